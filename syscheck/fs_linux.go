package syscheck

import (
	"errors"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// lstat looks at path itself.
func lstat(path string) (fileInfo, error) { return statWith(unix.Lstat, path) }

// stat looks at what path leads to.
func stat(path string) (fileInfo, error) { return statWith(unix.Stat, path) }

func statWith(call func(string, *unix.Stat_t) error, path string) (fileInfo, error) {
	var st unix.Stat_t
	for {
		err := call(path, &st)
		if err == nil {
			return fromStat(&st), nil
		}
		if err != unix.EINTR {
			return fileInfo{}, err
		}
	}
}

func fromStat(st *unix.Stat_t) fileInfo {
	info := fileInfo{
		size: st.Size, mode: st.Mode, uid: st.Uid, gid: st.Gid,
		stamp: stamp{size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(), inode: st.Ino, device: uint64(st.Dev)}, //nolint:unconvert // 32 bits on some systems
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		info.kind = kindRegular
	case unix.S_IFLNK:
		info.kind = kindSymlink
	case unix.S_IFDIR:
		info.kind = kindDir
	}
	return info
}

// content is an open regular file. It bypasses os.File because a scan opens hundreds of thousands of files, and the poller and the
// clean-up of os.File cost more than reading a small file does.
type content struct{ fd int }

// openContent opens the regular file at path without ever blocking: a FIFO, or a device that took the file's place, is refused. It follows
// a symbolic link in the last place only if follow is set.
func openContent(path string, follow bool) (content, fileInfo, error) {
	flags := unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := open(path, flags|unix.O_NOATIME)
	if err == unix.EPERM {
		fd, err = open(path, flags)
	}
	if err != nil {
		return content{-1}, fileInfo{}, err
	}
	c := content{fd}
	info, err := c.restat()
	if err == nil && info.kind != kindRegular {
		err = errNotRegular
	}
	if err != nil {
		c.Close()
		return content{-1}, fileInfo{}, err
	}
	return c, info, nil
}

func open(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// Read implements io.Reader.
func (c content) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(c.fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// restat looks at the open file again.
func (c content) restat() (fileInfo, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstat(c.fd, &st)
		if err == nil {
			return fromStat(&st), nil
		}
		if err != unix.EINTR {
			return fileInfo{}, err
		}
	}
}

// Close implements io.Closer.
func (c content) Close() error { return unix.Close(c.fd) }

// network reports whether path lies on NFS or CIFS; a path whose file system cannot be asked counts as one (spec section 4.1).
func network(path string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return true
	}
	const nfs, cifs = 0x6969, 0xFF534D42
	t := uint32(st.Type) //nolint:gosec // the magic numbers have 32 bits
	return t == nfs || t == cifs
}

// gone reports whether an error means that the path does not exist.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

// replaced reports whether an error of openContent means that something else took the place of a regular file.
func replaced(err error) bool { return errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) }

// dropResident gives the pages of a file mapping back to the page cache, so that they do not count as memory of this process.
func dropResident(at uintptr, size int) {
	if at == 0 || size <= 0 {
		return
	}
	unix.Syscall(unix.SYS_MADVISE, at, uintptr(size), unix.MADV_DONTNEED) //nolint:errcheck // advice
}
