package rootcheck

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sysDirs are the trees that the system check walks, sysRead those in which it reads the files.
var (
	sysDirs = []string{"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/dev", "/lib", "/etc", "/root", "/var/log", "/var/mail", "/var/lib",
		"/var/www", "/usr/lib", "/usr/include", "/tmp", "/boot", "/usr/local", "/var/tmp", "/sys"}
	sysRead = []string{"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/dev", "/etc", "/boot"}
)

// sysCheck is one run of the system check (spec section 7).
type sysCheck struct {
	*Scanner
	ctx    context.Context
	ignore map[string]bool
}

func (s *Scanner) checkSys(ctx context.Context) error {
	c := &sysCheck{Scanner: s, ctx: ctx, ignore: set(s.cfg.Ignore...)}
	if s.cfg.ScanAll {
		return c.tree("/")
	}
	for _, dir := range sysDirs {
		if s.base == "" && leadsInto(dir) {
			continue
		}
		if err := c.tree(s.base + dir); err != nil {
			return err
		}
	}
	return nil
}

// leadsInto reports whether one of the trees is a symbolic link into another, as /bin is on merged systems; it is walked there.
func leadsInto(dir string) bool {
	target, err := filepath.EvalSymlinks(dir)
	return err == nil && target != dir && slices.ContainsFunc(sysDirs, func(d string) bool {
		return target == d || strings.HasPrefix(target, d+"/")
	})
}

// tree walks from a root of the check. It may be a symbolic link.
func (c *sysCheck) tree(root string) error {
	st, err := os.Stat(root)
	if err != nil || !st.IsDir() {
		return nil
	}
	return c.dir(root, st, inode{})
}

// dir checks the entries of a directory, then its link count.
func (c *sysCheck) dir(path string, st fs.FileInfo, parent inode) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	node, ok := inodeOf(st)
	newDevice := !ok || node.dev != parent.dev
	if c.ignore[path] || st.Size() == 0 || strings.Contains(path, "/dev/fd") || c.cfg.ScanAll && (path == "/proc" || path == "/sys") {
		return nil
	}
	kind := kindOfFS(path)
	if kind.invented || kind.network && c.cfg.SkipNFS {
		return nil
	}
	entries, err := readDir(path)
	if err != nil {
		return nil
	}
	subdirs := 0
	for _, e := range entries {
		sub, err := c.entry(path, e, node)
		if err != nil {
			return err
		}
		if sub {
			subdirs++
		}
	}
	if ok && kind.countsLinks {
		return c.linkCount(path, node, subdirs, newDevice)
	}
	return nil
}

func below(dir, name string) string {
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}

// entry checks one entry; isDir tells whether it is a directory.
func (c *sysCheck) entry(dir string, e os.DirEntry, parent inode) (isDir bool, err error) {
	path := below(dir, e.Name())
	if name, ok := c.anywhere[e.Name()]; ok {
		if err := c.reportFile(c.ctx, path, "Rootkit '%s' detected by the presence of file '%s'.", name, path); err != nil {
			return false, err
		}
	}
	st, err := os.Lstat(path)
	if err != nil {
		return e.IsDir(), c.hidden(dir, path, e.Name(), err)
	}
	switch {
	case st.IsDir():
		return true, c.dir(path, st, parent)
	case !st.Mode().IsRegular():
		return false, nil
	}
	if c.reads(path) {
		if err := c.size(path, st); err != nil {
			return false, err
		}
	}
	node, ok := inodeOf(st)
	if ok && node.uid == 0 && st.Mode()&0o002 != 0 {
		return false, c.report(c.ctx, "File '%s' is owned by root and has write permissions to anyone.", path)
	}
	return false, nil
}

// hidden reports an entry that its directory lists and that has no state, if that stays so. An entry that was removed in between does not.
func (c *sysCheck) hidden(dir, path, name string, err error) error {
	if mayFail(err) {
		return nil
	}
	if err := c.pause(c.ctx, c.o.Sleep); err != nil {
		return err
	}
	for range 2 {
		entries, err := readDir(dir)
		if err != nil || !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == name }) {
			return nil
		}
		if _, err := os.Lstat(path); err == nil || mayFail(err) {
			return nil
		}
	}
	return c.report(c.ctx, "Anomaly detected in file '%s'. Hidden from stats, but showing up on readdir. Possible kernel level rootkit.", path)
}

// reads reports whether the content of a file is read.
func (c *sysCheck) reads(path string) bool {
	return c.cfg.ReadAll || slices.ContainsFunc(sysRead, func(d string) bool { return strings.HasPrefix(path, d+"/") })
}

// size reports a file that gives more or fewer bytes than its size, twice, while the size stays. Files above maxRead are left out.
func (c *sysCheck) size(path string, st fs.FileInfo) error {
	if st.Size() > maxRead {
		return nil
	}
	for try := range 2 {
		if try > 0 {
			if err := c.pause(c.ctx, c.o.Sleep); err != nil {
				return err
			}
		}
		n, err := countBytes(c.ctx, path, st.Size())
		if err != nil || n == st.Size() {
			return c.ctx.Err()
		}
		if now, err := os.Lstat(path); err != nil || now.Size() != st.Size() {
			return nil
		}
	}
	return c.reportFile(c.ctx, path,
		"Anomaly detected in file '%s'. File size doesn't match what we found. Possible kernel level rootkit.", path)
}

// countBytes reads a file and counts, up to one byte more than size.
func countBytes(ctx context.Context, path string, size int64) (int64, error) {
	f, err := openRegular(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.Copy(io.Discard, io.LimitReader(&reader{ctx, f}, size+1))
}

// linkCount reports a directory that has more or fewer links than it shows subdirectories, if both stay so.
func (c *sysCheck) linkCount(path string, node inode, subdirs int, newDevice bool) error {
	if linksFit(node.links, subdirs, newDevice) {
		return nil
	}
	if err := c.pause(c.ctx, c.o.Sleep); err != nil {
		return err
	}
	again, links, ok := countSubdirs(path)
	if !ok || again != subdirs || links != node.links {
		return nil // somebody is at work here
	}
	return c.report(c.ctx, "Files hidden inside directory '%s'. Link count does not match number of files (%d,%d).", path, subdirs+2, links)
}

// linksFit compares: a directory has two links and one for each subdirectory; one link is no count at all. The first directory of a device
// may have one less.
func linksFit(links uint64, subdirs int, newDevice bool) bool {
	want := uint64(subdirs) + 2
	return links < 2 || links == want || newDevice && links+1 == want
}

func countSubdirs(path string) (subdirs int, links uint64, ok bool) {
	before, err := os.Stat(path)
	if err != nil {
		return 0, 0, false
	}
	entries, err := readDir(path)
	if err != nil {
		return 0, 0, false
	}
	for _, e := range entries {
		if st, err := os.Lstat(below(path, e.Name())); err == nil && st.IsDir() {
			subdirs++
		}
	}
	after, err := os.Stat(path)
	if err != nil || !before.ModTime().Equal(after.ModTime()) {
		return 0, 0, false
	}
	node, ok := inodeOf(after)
	return subdirs, node.links, ok
}
