//go:build unix

package baseline

import (
	"os"
	"syscall"
)

// keepOwner gives f the owner of the file that st describes, as far as we may.
func keepOwner(f *os.File, st os.FileInfo) {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		f.Chown(int(sys.Uid), int(sys.Gid)) //nolint:errcheck // without root the file stays ours
	}
}

// tryLock takes the lock on an open file; false if another process has it.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) //nolint:gosec // a file descriptor
	if err == syscall.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, err
}
