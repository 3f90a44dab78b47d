//go:build !linux

package syscheck

import (
	"errors"
	"io/fs"
	"os"
)

// lstat looks at path itself.
func lstat(path string) (fileInfo, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return fileInfo{}, err
	}
	return fromFileInfo(st), nil
}

// stat looks at what path leads to.
func stat(path string) (fileInfo, error) {
	st, err := os.Stat(path)
	if err != nil {
		return fileInfo{}, err
	}
	return fromFileInfo(st), nil
}

// fromFileInfo builds st_mode of the portable description; owner, group and inode stay 0.
func fromFileInfo(st fs.FileInfo) fileInfo {
	m := st.Mode()
	info := fileInfo{size: st.Size(), mode: uint32(m.Perm())}
	info.stamp = stamp{size: st.Size(), mtime: st.ModTime().UnixNano()}
	for _, bit := range [...]struct {
		is   fs.FileMode
		mode uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&bit.is != 0 {
			info.mode |= bit.mode
		}
	}
	switch {
	case m.IsRegular():
		info.kind, info.mode = kindRegular, info.mode|0o100000
	case m&fs.ModeSymlink != 0:
		info.kind, info.mode = kindSymlink, info.mode|0o120000
	case m.IsDir():
		info.kind, info.mode = kindDir, info.mode|0o040000
	}
	return info
}

// content is an open regular file.
type content struct{ *os.File }

// openContent opens the regular file at path.
func openContent(path string, _ bool) (content, fileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return content{}, fileInfo{}, err
	}
	c := content{f}
	info, err := c.restat()
	if err == nil && info.kind != kindRegular {
		err = errNotRegular
	}
	if err != nil {
		f.Close()
		return content{}, fileInfo{}, err
	}
	return c, info, nil
}

// restat looks at the open file again.
func (c content) restat() (fileInfo, error) {
	st, err := c.Stat()
	if err != nil {
		return fileInfo{}, err
	}
	return fromFileInfo(st), nil
}

// network cannot be told here.
func network(string) bool { return false }

// gone reports whether an error means that the path does not exist.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// replaced cannot be told here.
func replaced(error) bool { return false }

func dropResident(uintptr, int) {}
