package pattern

import "strings"

// Word is a compiled word match: alternatives of plain text, case-insensitive for ASCII, "^" for a prefix (spec patterns.md, section 5).
type Word struct {
	src  string
	alts literals
}

// CompileWord compiles a word match; every text is a valid one. The empty pattern matches nothing.
func CompileWord(p string) *Word {
	p = cutNUL(p)
	w := &Word{src: p}
	if p == "" {
		return w
	}
	for alt := range strings.SplitSeq(p, "|") {
		rest, start := strings.CutPrefix(alt, "^")
		w.alts.add(rest, start, false)
	}
	w.alts.prepare()
	return w
}

// MatchString reports whether an alternative occurs in s.
func (w *Word) MatchString(s string) bool { return w.alts.match(s) }

// String gives the pattern as written.
func (w *Word) String() string { return w.src }

// WordMatch reports whether pattern p matches s. Compile patterns that are used more than once.
func WordMatch(p, s string) bool { return CompileWord(p).MatchString(s) }
