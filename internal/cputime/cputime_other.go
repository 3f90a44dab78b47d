//go:build !unix

package cputime

import "time"

var start = time.Now()

// Used is the time since the start, where the system does not tell the processor time.
func Used() time.Duration { return time.Since(start) }
