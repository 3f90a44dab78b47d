package responders

import (
	"os"

	"golang.org/x/sys/unix"
)

// copyLabel keeps the SELinux label, best effort.
func copyLabel(f *os.File, from string) {
	const name = "security.selinux"
	var buf [512]byte
	if n, err := unix.Getxattr(from, name, buf[:]); err == nil && n > 0 {
		unix.Fsetxattr(int(f.Fd()), name, buf[:n], 0) //nolint:errcheck // without the right to relabel the default label stays
	}
}
