//go:build unix

// Package cputime tells how much processor time this process has used; benchmarks divide by it.
package cputime

import (
	"syscall"
	"time"
)

// Used is the processor time of all threads of this process so far, user and system.
func Used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
