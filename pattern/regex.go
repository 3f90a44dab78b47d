package pattern

import (
	"strings"
	"unicode/utf8"
)

// Regex is a compiled OS_Regex pattern (spec patterns.md, section 3).
type Regex struct {
	compiled
}

// PCRE2 is a compiled PCRE2 pattern in caseless byte mode (spec patterns.md, section 4). Recursion, branch reset groups, verbs, \X, \N{...}
// and conditions other than a group's are refused when compiling.
type PCRE2 struct {
	compiled
}

// compiled is what the two languages share.
type compiled struct {
	src      string
	shortcut *literal // compared directly, without captures
	eng      *engine
	lits     []string
	hasLits  bool
}

// CompileRegex compiles an OS_Regex pattern of 1 to MaxLength bytes. The error is an *Error.
func CompileRegex(p string) (*Regex, error) {
	if len(p) > MaxLength {
		return nil, &Error{Code: CodeTooLong, Pattern: p, Offset: -1, Reason: "longer than 2048 bytes"}
	}
	p = cutNUL(p)
	if p == "" {
		return nil, bad(p, -1, "empty pattern")
	}
	if c, ok := compileShortcut(p); ok {
		return &Regex{c}, nil
	}
	if !utf8.ValidString(p) {
		return nil, bad(p, -1, "not valid UTF-8")
	}
	n, captures, err := parseRegex(p)
	if err != nil {
		return nil, err
	}
	c, err := newCompiled(p, n, captures, true)
	if err != nil {
		return nil, err
	}
	return &Regex{c}, nil
}

// CompilePCRE2 compiles a PCRE2 pattern. The error is an *Error.
func CompilePCRE2(p string) (*PCRE2, error) {
	p = cutNUL(p)
	if p == "" {
		return nil, &Error{Code: CodeEmpty, Pattern: p, Offset: -1, Reason: "empty pattern"}
	}
	if c, ok := compileShortcut(p); ok {
		return &PCRE2{c}, nil
	}
	n, captures, err := parsePCRE2(p)
	if err != nil {
		return nil, err
	}
	c, err := newCompiled(p, n, captures, false)
	if err != nil {
		return nil, err
	}
	return &PCRE2{c}, nil
}

func newCompiled(p string, n *node, captures int, unicode bool) (compiled, error) {
	eng, err := newEngine(n, captures, unicode)
	if err != nil {
		return compiled{}, bad(p, -1, "%v", err)
	}
	c := compiled{src: p, eng: eng}
	c.lits, c.hasLits = requiredLiterals(n)
	return c, nil
}

// shortcutChars are the bytes a pattern may have that is compared directly (spec patterns.md, section 6).
const shortcutChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 !\"#%&',/:;<=>@_`~-"

// compileShortcut recognises patterns that are an anchored literal.
func compileShortcut(p string) (compiled, bool) {
	rest, start := strings.CutPrefix(p, "^")
	rest, end := strings.CutSuffix(rest, "$")
	if !start && !end || strings.Trim(rest, shortcutChars) != "" {
		return compiled{}, false
	}
	l := &literal{newFinder(foldASCII(rest)), start, end}
	c := compiled{src: p, shortcut: l}
	if len(rest) >= minLiteral {
		c.lits, c.hasLits = []string{l.find.lit}, true
	}
	return c, true
}

// MatchString reports whether the pattern occurs in s.
func (c *compiled) MatchString(s string) bool {
	if c.shortcut != nil {
		_, ok := c.shortcut.match(s)
		return ok
	}
	return c.eng.match(s)
}

// Find looks for the leftmost match. It gives the byte offset behind the match and appends the captures to caps: those of groups that
// took part, in the order of their opening parentheses, at most MaxCaptures. The captures are parts of s. Without a match caps comes
// back as it was.
func (c *compiled) Find(s string, caps []string) (end int, out []string, ok bool) {
	if c.shortcut != nil {
		end, ok = c.shortcut.match(s)
		return end, caps, ok
	}
	if c.eng.captures == 0 {
		end, ok = c.eng.find(s, nil, nil)
		return end, caps, ok
	}
	out = caps
	end, ok = c.eng.find(s, caps, &out)
	return end, out, ok
}

// match compares an anchored literal and gives the end of the match, 0 when there is none.
func (l *literal) match(s string) (end int, ok bool) {
	end = len(s)
	switch {
	case l.start && l.end:
		ok = equalFold(s, l.find.lit)
	case l.start:
		end, ok = len(l.find.lit), hasPrefixFold(s, l.find.lit)
	default:
		ok = hasSuffixFold(s, l.find.lit)
	}
	if !ok {
		return 0, false
	}
	return end, true
}

// String gives the pattern as written.
func (c *compiled) String() string { return c.src }

// NumCaptures gives the number of capturing groups.
func (c *compiled) NumCaptures() int {
	if c.eng == nil {
		return 0
	}
	return c.eng.captures
}

// IsShortcut reports whether the pattern is an anchored literal that is compared directly and so has no room for captures; a decoder
// whose only regex is such a pattern is an error (spec patterns.md, section 6).
func (c *compiled) IsShortcut() bool { return c.shortcut != nil }

// Literals gives folded literals of which at least one is found by an Automaton in every text that the pattern matches. ok is false
// when there is no such set; ok with an empty set says that the pattern never matches.
func (c *compiled) Literals() (lits []string, ok bool) { return c.lits, c.hasLits }
