//go:build unix

package forward

import (
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes gives st_mode, owner and group.
func attributes(st os.FileInfo) (mode, uid, gid uint32) {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint32(s.Mode), s.Uid, s.Gid
	}
	return uint32(st.Mode().Perm()), 0, 0
}

// unameText gives "<sysname> <nodename> <release> <version> <machine>".
func unameText() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "No system info available"
	}
	parts := []string{unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Release[:]),
		unix.ByteSliceToString(u.Version[:]), unix.ByteSliceToString(u.Machine[:])}
	return strings.Join(parts, " ")
}
