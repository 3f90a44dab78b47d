package patterntest

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is a pattern language.
type Kind uint8

// The three languages of decoders and rules.
const (
	Match Kind = iota
	Regex
	PCRE2
)

// Plain is a pattern that is searched in the simplest way: OS_Match by comparing text, the others by a Go regexp that says the same.
type Plain struct {
	kind     Kind
	alts     []plainAlt     // OS_Match
	shortcut *plainAlt      // anchored literals, compared byte by byte (spec patterns.md, section 6)
	re       *regexp.Regexp // the others
	src      string         // of re
}

// plainAlt is a piece of text with its anchors.
type plainAlt struct {
	text       string
	start, end bool
	never      bool
}

// New compiles a pattern. It refuses what Go's regexp cannot express.
func New(kind Kind, p string) (*Plain, error) {
	out := &Plain{kind: kind}
	if kind != Match {
		if a, ok := anchoredLiteral(p); ok {
			out.shortcut = &a
			return out, nil
		}
	}
	switch kind {
	case Match:
		return newMatch(p), nil
	case Regex:
		out.src = "(?i)" + regexSource(p)
	default:
		for i := 0; i < len(p); i++ {
			if p[i] >= 0x80 {
				return nil, fmt.Errorf("%q: only ASCII patterns are searched bytewise", p)
			}
		}
		out.src = "(?i)" + p
	}
	re, err := regexp.Compile(out.src)
	if err != nil {
		return nil, err
	}
	out.re = re
	return out, nil
}

// Find gives the end of the leftmost match and the captures that took part.
func (p *Plain) Find(s string) (end int, caps []string, ok bool) {
	switch {
	case p.kind == Match:
		return 0, nil, p.matches(s)
	case p.shortcut != nil:
		return p.shortcut.literal(s)
	}
	text, offset := s, func(i int) int { return i }
	if p.kind == PCRE2 { // every byte is a character
		runes := make([]rune, len(s))
		for i := range len(s) {
			runes[i] = rune(s[i])
		}
		text = string(runes)
		offset = func(i int) int { return utf8.RuneCountInString(text[:i]) }
	}
	loc := p.re.FindStringSubmatchIndex(text)
	if loc == nil {
		return 0, nil, false
	}
	for i := 2; i < len(loc) && len(caps) < 64; i += 2 {
		if loc[i] >= 0 {
			caps = append(caps, s[offset(loc[i]):offset(loc[i+1])])
		}
	}
	return offset(loc[1]), caps, true
}

const literalBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 !\"#%&',/:;<=>@_`~-"

func anchoredLiteral(p string) (plainAlt, bool) {
	var a plainAlt
	if strings.HasPrefix(p, "^") {
		a.start, p = true, p[1:]
	}
	if strings.HasSuffix(p, "$") {
		a.end, p = true, p[:len(p)-1]
	}
	for i := range len(p) {
		if strings.IndexByte(literalBytes, p[i]) < 0 {
			return a, false
		}
	}
	a.text = p
	return a, a.start || a.end
}

// literal compares as section 6 of the spec says.
func (a *plainAlt) literal(s string) (int, []string, bool) {
	low, text := asciiLower(s), asciiLower(a.text)
	switch {
	case a.start && a.end:
		return len(s), nil, low == text
	case a.start:
		return len(text), nil, strings.HasPrefix(low, text)
	}
	return len(s), nil, strings.HasSuffix(low, text)
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 32
		}
	}
	return string(b)
}

// newMatch takes an OS_Match pattern apart.
func newMatch(p string) *Plain {
	out := &Plain{kind: Match}
	for _, alt := range strings.Split(p, "|") {
		var a plainAlt
		for _, c := range []byte(alt) {
			switch {
			case c == '^':
				a.start, a.never = true, a.never || a.text != ""
			case c == '$':
				a.end = true
			default:
				a.never = a.never || a.end
				a.text += string([]byte{c})
			}
		}
		out.alts = append(out.alts, a)
	}
	if a := out.alts[0]; len(out.alts) == 1 && (a.start || a.end) && a.text != "" && strings.Count(p, "^")+strings.Count(p, "$") < 3 &&
		!a.never && strings.Count(p, "^") < 2 && strings.Count(p, "$") < 2 {
		out.shortcut = &a
	}
	return out
}

func (p *Plain) matches(s string) bool {
	if p.shortcut != nil {
		_, _, ok := p.shortcut.literal(s)
		return ok
	}
	text := fold(s)
	for i := range p.alts {
		a := &p.alts[i]
		if a.never {
			continue
		}
		want := fold(a.text)
		for at := 0; at+len(want) <= len(text); at++ {
			if (!a.start || at == 0) && (!a.end || at+len(want) == len(text)) && equal(text[at:at+len(want)], want) {
				return true
			}
		}
	}
	return false
}

// fold gives the characters of s, each as the smallest one that equals it when case is ignored; a byte that is no UTF-8 is a negative one.
func fold(s string) (out []rune) {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = -rune(s[i])
		} else {
			for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
				if o < r {
					r = o
				}
			}
		}
		out = append(out, r)
		i += n
	}
	return out
}

func equal(a, b []rune) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// regexSource writes an OS_Regex as a Go regexp (spec patterns.md, sections 3 and 8).
func regexSource(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); {
		c, size := utf8.DecodeRuneInString(p[i:])
		switch {
		case c == '\\' && i+1 < len(p):
			b.WriteString(regexEscape(p[i+1]))
			size = 2
		case (c == '+' || c == '*') && i >= 2 && p[i-2] == '\\':
			b.WriteRune(c)
			if rest := strings.TrimLeft(p[i+1:], ")"); p[i-1] == '\\' || rest != "" && rest[0] != '|' {
				b.WriteByte('?')
			}
		case c == '^':
			b.WriteString(`\A`)
		case c == '$':
			b.WriteString(`\z`)
		case c == '|' || c == '(' || c == ')':
			b.WriteRune(c)
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
		i += size
	}
	return b.String()
}

func regexEscape(c byte) string {
	switch c {
	case 'w':
		return `[A-Za-z0-9@_\-]`
	case 'W':
		return `[^A-Za-z0-9@_\-]`
	case 'd':
		return `[0-9]`
	case 'D':
		return `[^0-9]`
	case 's':
		return `[ ]`
	case 'S':
		return `[^ ]`
	case 'p':
		return `[()*+,\-.:;<=>?\[\]!"'#%&${}|]`
	case '.':
		return `(?s:.)`
	case 't':
		return `\t`
	}
	return regexp.QuoteMeta(string(rune(c)))
}
