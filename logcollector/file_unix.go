//go:build unix

package logcollector

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func openNoWait(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}

// statPath follows symbolic links.
func statPath(path string) (status, error) {
	var st unix.Stat_t
	for {
		err := unix.Stat(path, &st)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return status{}, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		return unixStatus(&st), nil
	}
}

func statFile(f *os.File) (status, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil { //nolint:gosec // descriptors are small
		return status{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return unixStatus(&st), nil
}

func unixStatus(st *unix.Stat_t) status {
	s := status{
		id: identity{uint64(st.Dev), uint64(st.Ino)}, size: st.Size, mtime: st.Mtim.Nano(), //nolint:unconvert // types differ between systems
		links: uint64(st.Nlink), //nolint:unconvert // as above
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		s.mode = fs.ModeDir
	case unix.S_IFIFO:
		s.mode = fs.ModeNamedPipe
	case unix.S_IFCHR:
		s.mode = fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFSOCK:
		s.mode = fs.ModeSocket
	default:
		s.mode = fs.ModeDevice
	}
	return s
}

// readPipe reads what is there now; 0 means nothing, whether or not there is a writer.
func readPipe(f *os.File, buf []byte) (int, error) {
	n, err := unix.Read(int(f.Fd()), buf) //nolint:gosec // descriptors are small
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return max(n, 0), err
}

// tooManyOpen reports whether an open failed because the process has no descriptors left.
func tooManyOpen(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }
