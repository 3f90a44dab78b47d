package rootcheck

import (
	"context"
	"errors"
	"os"
)

// Entries of /dev that may be or hold regular files: by name at any level, and by full path.
var (
	devNames = set("MAKEDEV", "README.MAKEDEV", "MAKEDEV.README", ".udevdb", ".udev.tdb", ".initramfs-tools", "MAKEDEV.local", ".udev",
		".initramfs", "oprofile", "fd", "cgroup")
	devPaths = set("/dev/shm", "/dev/shm/sysconfig", "/dev/bus/usb/.usbfs", "/dev/gpmctl")
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// checkDev looks for regular files below /dev (spec section 6).
func (s *Scanner) checkDev(ctx context.Context) error { return s.devDir(ctx, s.base+"/dev") }

func (s *Scanner) devDir(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := readDir(dir)
	if err != nil {
		return nil // not there, or not ours to read
	}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		if devNames[e.Name()] || devPaths[path] {
			continue
		}
		switch {
		case e.IsDir():
			if err := s.devDir(ctx, path); err != nil {
				return err
			}
		case e.Type().IsRegular() && isRegular(path):
			if err := s.report(ctx, "File '%s' present on /dev. Possible hidden file.", path); err != nil {
				return err
			}
		}
	}
	return nil
}

// readDir gives the entries of a directory in its own order.
func readDir(dir string) ([]os.DirEntry, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	entries, err := f.ReadDir(-1)
	return entries, errors.Join(err, f.Close())
}
