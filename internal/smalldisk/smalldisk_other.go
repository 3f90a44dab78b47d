//go:build !linux

// Package smalldisk gives tests a real file system that is full after a few bytes.
package smalldisk

import "testing"

// Run skips the test: only Linux has the means.
func Run(t *testing.T, _ int, _ func(t *testing.T, dir string)) { t.Skip("needs Linux") }

// Fill is never reached.
func Fill(*testing.T, string) string { return "" }
