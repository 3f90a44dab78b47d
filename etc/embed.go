// Package etc holds what gets installed: default configuration, decoders, rules and rootcheck data, embedded into the programs.
package etc

import "embed"

// Files are the default files: decoder.xml, rules/, shared/ (for etc/shared) and conf/ (for etc).
//
//go:embed decoder.xml rules
var Files embed.FS
