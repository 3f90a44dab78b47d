//go:build unix

package rootcheck

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// openFlags keep opening from blocking and from side effects.
const openFlags = unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// exists asks for a path in several ways, as a rootkit may have hooked some of them: as an entry of its directory, by its state, its access
// rights, and by opening it. One yes is enough.
func exists(path string) bool {
	if path == "" || strings.IndexByte(path, 0) >= 0 {
		return false
	}
	return asEntry(path) || byState(path) || unix.Access(path, unix.F_OK) == nil || byOpening(path)
}

func asEntry(path string) bool {
	dir, err := unix.Open(filepath.Dir(path), unix.O_RDONLY|unix.O_DIRECTORY|openFlags, 0)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	fd, err := unix.Openat(dir, filepath.Base(path), unix.O_RDONLY|unix.O_DIRECTORY|openFlags, 0)
	if err == nil {
		unix.Close(fd)
		return true
	}
	return errors.Is(err, unix.ENOTDIR)
}

func byState(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil
}

func byOpening(path string) bool {
	fd, err := unix.Open(path, unix.O_RDONLY|openFlags, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// inode is what the system check needs of a file's state besides fs.FileInfo.
type inode struct {
	dev, links uint64
	uid        uint32
	ino        uint64
}

func inodeOf(st fs.FileInfo) (inode, bool) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return inode{}, false
	}
	return inode{dev: uint64(s.Dev), links: uint64(s.Nlink), uid: s.Uid, ino: s.Ino}, true //nolint:unconvert // types differ by system
}

// mayFail reports whether an error of lstat has causes that hide nothing: a network or user-space file system that keeps even root out.
func mayFail(err error) bool {
	for _, e := range []error{unix.EACCES, unix.ESTALE, unix.EIO, unix.ENOTCONN, unix.ETIMEDOUT, unix.EHOSTDOWN, unix.ENAMETOOLONG} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
