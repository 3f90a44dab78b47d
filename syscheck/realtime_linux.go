package syscheck

import (
	"errors"

	"golang.org/x/sys/unix"
)

// limitReached reports whether an error means that a kernel limit for watches was hit.
func limitReached(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EMFILE) }
