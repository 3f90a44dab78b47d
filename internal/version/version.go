// Package version holds the two version texts: Vedette's own and the one that OSSEC tools, agents and managers print and exchange.
package version

// Version is Vedette's own version, set by the linker in releases.
var Version = "0.1.0-dev"

// Compat is the version text that tools, banners and keepalives show: other programs parse it, and it tells peers which generation of
// the protocol is spoken (spec operations.md, section 4).
const Compat = "v4.2.0"

// Product is the product name in those texts.
const Product = "OSSEC HIDS"
