// Package ruleset reads what the manager and its tools analyse with: configuration, internal options, decoders, lists and rules of an
// install root, and the settings that the rule engine takes from them.
package ruleset
