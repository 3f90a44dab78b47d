package syscheck

import (
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/pattern"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

// root is one configured path.
type root struct {
	config.Directory
	path    string // without trailing slashes
	set     sum.Set
	index   int
	earlier []*root // roots before this one that may own paths below it
}

// options collects the monitored properties.
func options(d *config.Directory) sum.Set {
	var s sum.Set
	for _, o := range [...]struct {
		on  bool
		bit sum.Set
	}{{d.Size, sum.Size}, {d.Perm, sum.Perm}, {d.Owner, sum.Owner}, {d.Group, sum.Group}, {d.MD5, sum.MD5}, {d.SHA1, sum.SHA1}, {d.SHA256, sum.SHA256}} {
		if o.on {
			s |= o.bit
		}
	}
	return s
}

// optionNames lists what is on, in the order of the start log (spec section 3.1).
func optionNames(d *config.Directory) string {
	var names []string
	for _, o := range [...]struct {
		on   bool
		name string
	}{
		{d.Perm, "perm"}, {d.Size, "size"}, {d.Owner, "owner"}, {d.Group, "group"}, {d.MD5, "md5sum"}, {d.SHA1, "sha1sum"},
		{d.SHA256, "sha256sum"}, {d.Realtime, "realtime"}, {d.ReportChanges, "report_changes"}, {d.NoRecurse, "no_recurse"},
	} {
		if o.on {
			names = append(names, o.name)
		}
	}
	return strings.Join(names, " | ")
}

// newRoots prepares the configured directories.
func newRoots(dirs []config.Directory) []*root {
	var roots []*root
	for i := range dirs {
		r := &root{Directory: dirs[i], path: trimSlashes(dirs[i].Path), set: options(&dirs[i]), index: i}
		for _, e := range roots {
			if within(r.path, e.path) || within(e.path, r.path) {
				r.earlier = append(r.earlier, e)
			}
		}
		roots = append(roots, r)
	}
	return roots
}

func trimSlashes(path string) string {
	for len(path) > 1 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	return path
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	if dir == "/" {
		return strings.HasPrefix(path, "/")
	}
	return strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

// join appends a name to a directory path.
func join(dir, name string) string {
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}

// split cuts a path into directory and name.
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	switch {
	case i < 0:
		return ".", path
	case i == 0:
		return "/", path[1:]
	}
	return path[:i], path[i+1:]
}

// covers reports whether the root monitors the file at path, as far as place and restrict go.
func (r *root) covers(path string) bool {
	if !r.reaches(path) {
		return false
	}
	return r.Restrict == nil || r.Restrict.MatchString(path)
}

// reaches reports whether a walk of the root comes by the file at path.
func (r *root) reaches(path string) bool {
	if !within(path, r.path) {
		return false
	}
	if !r.NoRecurse || path == r.path {
		return true
	}
	dir, _ := split(path)
	return dir == r.path
}

// enters reports whether a walk of the root enters the directory at path.
func (r *root) enters(dir string) bool {
	return dir == r.path || !r.NoRecurse && within(dir, r.path)
}

// taken reports whether an earlier root owns the file at path: the first element that sees a path decides its options (spec section
// 4.10).
func (r *root) taken(path string) bool {
	for _, e := range r.earlier {
		if e.covers(path) {
			return true
		}
	}
	return false
}

// filter is the ignore and nodiff part of the configuration.
type filter struct {
	prefixes []string
	patterns []*pattern.Match
}

// match reports whether path begins with one of the prefixes, without regard to case and to path separators, or matches a pattern (spec
// section 1.2).
func (f *filter) match(path string) bool {
	for _, p := range f.prefixes {
		if len(path) >= len(p) && equalFoldASCII(path[:len(p)], p) {
			return true
		}
	}
	for _, p := range f.patterns {
		if p.MatchString(path) {
			return true
		}
	}
	return false
}

func equalFoldASCII(a, b string) bool {
	for i := range len(a) {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z' {
			return false
		}
	}
	return true
}
