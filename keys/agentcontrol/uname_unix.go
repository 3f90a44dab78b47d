//go:build unix

package agentcontrol

import (
	"strings"

	"golang.org/x/sys/unix"
)

// systemName gives "<system> <host> <release> <version> <machine>".
func systemName() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "Unknown"
	}
	var parts []string
	for _, f := range [][]byte{u.Sysname[:], u.Nodename[:], u.Release[:], u.Version[:], u.Machine[:]} {
		parts = append(parts, unix.ByteSliceToString(f))
	}
	return strings.Join(parts, " ")
}
