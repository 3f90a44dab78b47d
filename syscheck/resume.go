package syscheck

import "strings"

// mark is a place in a scan of all roots: everything before it is done. The zero value is the beginning.
type mark struct {
	root, dir string
}

// text is the stored form of a mark.
func (k mark) text() string {
	if k == (mark{}) {
		return ""
	}
	return k.root + "\x00" + k.dir
}

// parseMark reads the stored form. What it does not know is the beginning.
func parseMark(text string) mark {
	root, dir, ok := strings.Cut(text, "\x00")
	if !ok {
		return mark{}
	}
	return mark{root, dir}
}

// before reports whether a scan comes by a before b. Roots are walked in the order of the configuration; one that is not configured any more is
// before all others.
func (p *pass) before(a, b mark) bool {
	x, y := p.m.order(a.root), p.m.order(b.root)
	if x != y {
		return x < y
	}
	return walksBefore(a.dir, b.dir)
}

// order is the number of a root in the order of the scan; -1 = none.
func (m *Monitor) order(path string) int {
	for i, r := range m.roots {
		if r.path == path {
			return i
		}
	}
	return -1
}
