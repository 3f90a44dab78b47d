//go:build !unix

package forward

import (
	"os"
	"runtime"
)

// attributes gives st_mode, owner and group.
func attributes(st os.FileInfo) (mode, uid, gid uint32) { return uint32(st.Mode().Perm()), 0, 0 }

// unameText gives "<sysname> <nodename> <release> <version> <machine>" as far as they are known.
func unameText() string {
	host, err := os.Hostname()
	if err != nil {
		return "No system info available"
	}
	return runtime.GOOS + " " + host + " - - " + runtime.GOARCH
}
