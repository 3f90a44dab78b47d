package pattern

import (
	"strings"
	"unicode/utf8"
)

// Match is a compiled OS_Match pattern: alternatives of plain text with "^" and "$", ignoring case (spec patterns.md, section 2).
type Match struct {
	src  string
	alts literals
	wide []wideLiteral // alternatives that Unicode folding could match where ASCII folding does not
}

// wideLiteral is an alternative as canonical runes, for texts that are not ASCII.
type wideLiteral struct {
	runes      []rune
	start, end bool
}

// CompileMatch compiles an OS_Match pattern of at most MaxLength bytes. Every such text compiles, if it is UTF-8. The error is an *Error.
func CompileMatch(p string) (*Match, error) {
	if len(p) > MaxLength {
		return nil, &Error{Code: CodeTooLong, Pattern: p, Offset: -1, Reason: "longer than 2048 bytes"}
	}
	p = cutNUL(p)
	m := &Match{src: p}
	shortcut := matchShortcut(p)
	if !shortcut && !utf8.ValidString(p) {
		return nil, bad(p, -1, "not valid UTF-8")
	}
	for alt := range strings.SplitSeq(p, "|") {
		lit, start, end, ok := splitAnchors(alt)
		if !ok {
			continue
		}
		if shortcut {
			m.alts.add(lit, start, end)
			continue
		}
		m.addFolded(lit, start, end)
	}
	m.alts.prepare()
	return m, nil
}

// matchShortcut reports whether a pattern is compared byte by byte (spec patterns.md, section 6): one alternative with an anchor and text.
func matchShortcut(p string) bool {
	rest, start := strings.CutPrefix(p, "^")
	rest, end := strings.CutSuffix(rest, "$")
	return (start || end) && rest != "" && !strings.ContainsAny(rest, "^$|")
}

// splitAnchors takes an alternative apart. ok is false when it can never match because an anchor stands inside the text.
func splitAnchors(alt string) (lit string, start, end, ok bool) {
	var b strings.Builder
	for i := 0; i < len(alt); i++ {
		switch alt[i] {
		case '^':
			if b.Len() > 0 {
				return "", false, false, false
			}
			start = true
		case '$':
			end = true
		default:
			if end {
				return "", false, false, false
			}
			b.WriteByte(alt[i])
		}
	}
	return b.String(), start, end, true
}

// addFolded adds an alternative that folds case as Unicode does. On ASCII texts that is ASCII folding of the canonical text.
func (m *Match) addFolded(lit string, start, end bool) {
	var runes []rune
	wide := false
	for _, r := range lit {
		c := canon(r)
		runes = append(runes, c)
		wide = wide || c >= utf8.RuneSelf || hasWideFold(byte(c))
	}
	if wide {
		m.wide = append(m.wide, wideLiteral{runes, start, end})
	}
	m.alts.add(string(runes), start, end)
}

// hasWideFold reports whether a folded ASCII letter is the small form of a character outside ASCII (Kelvin sign, long s).
func hasWideFold(c byte) bool { return c == 'k' || c == 's' }

// MatchString reports whether an alternative occurs in s.
func (m *Match) MatchString(s string) bool {
	if m.alts.match(s) {
		return true
	}
	return len(m.wide) > 0 && !isASCII(s) && m.matchWide(s)
}

// matchWide compares rune by rune.
func (m *Match) matchWide(s string) bool {
	for i := range m.wide {
		w := &m.wide[i]
		for at := 0; at <= len(s); {
			if n := w.prefix(s[at:]); n >= 0 && (!w.end || at+n == len(s)) {
				return true
			}
			if w.start || at == len(s) {
				break
			}
			_, size := runeAt(s[at:])
			at += size
		}
	}
	return false
}

// prefix gives the number of bytes of s that the literal takes at its start, -1 when it does not stand there.
func (w *wideLiteral) prefix(s string) int {
	at := 0
	for _, want := range w.runes {
		if at == len(s) {
			return -1
		}
		r, size := runeAt(s[at:])
		if r != want {
			return -1
		}
		at += size
	}
	return at
}

// String gives the pattern as written.
func (m *Match) String() string { return m.src }

// Literals gives folded literals of which at least one is found by an Automaton in every text that the pattern matches. ok is false
// when there is no such set; ok with an empty set says that the pattern never matches.
func (m *Match) Literals() (lits []string, ok bool) {
	for i := range m.alts.alts {
		best := longestASCII(m.alts.alts[i].find.lit, matchShortcut(m.src))
		if len(best) < minLiteral {
			return nil, false
		}
		lits = append(lits, best)
	}
	return lits, true
}

// minLiteral is the length from which a literal tells texts apart.
const minLiteral = 3

// longestASCII gives the longest piece of lit that consists of ASCII, or lit itself when bytes are compared as they are.
func longestASCII(lit string, bytes bool) string {
	if bytes || isASCII(lit) {
		return lit
	}
	best := ""
	for piece := range strings.FieldsFuncSeq(lit, func(r rune) bool { return r >= utf8.RuneSelf }) {
		if len(piece) > len(best) {
			best = piece
		}
	}
	return best
}
