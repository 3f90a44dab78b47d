package pattern

import (
	"fmt"
	"regexp"
	"strings"
)

// The engines of the libraries work on characters. For byte patterns each byte stands for the character of the same number (a Latin-1
// view), of the text as of the pattern; the other case of ASCII letters is written out, because their folding would know É and é too.

// latin1 gives the text as characters, one a byte.
func latin1(s string) string {
	if isASCII(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + len(s)/2)
	for i := 0; i < len(s); i++ {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// writer writes a tree as a pattern of a library.
type writer struct {
	strings.Builder
	unicode bool // OS_Regex: the whole is case-insensitive by Unicode
	net     bool // for regexp2, else for regexp
}

// linearPattern writes a tree for Go's regexp. ok is false when it cannot be expressed.
func linearPattern(n *node, unicode bool) (string, bool) {
	if !unicode && n.any(needsMore) {
		return "", false
	}
	w := &writer{unicode: unicode}
	if unicode {
		w.WriteString("(?i)")
	}
	w.node(n)
	return w.String(), true
}

// backtrackPattern writes a tree for regexp2.
func backtrackPattern(n *node) string {
	w := &writer{net: true}
	w.node(n)
	return w.String()
}

func (w *writer) node(n *node) {
	switch n.op {
	case opLit:
		w.literal(n.lit)
	case opSet:
		w.set(n.set)
	case opRune:
		w.WriteString(regexp.QuoteMeta(string(n.r)))
	case opCapture:
		w.group("(", n.subs[0])
	case opConcat:
		for _, s := range n.subs {
			if s.op == opAlt {
				w.group("(?:", s)
			} else {
				w.node(s)
			}
		}
	case opAlt:
		for i, s := range n.subs {
			if i > 0 {
				w.WriteByte('|')
			}
			w.node(s)
		}
	case opRepeat:
		w.group("(?:", n.subs[0])
		w.quantifier(n)
	case opLook:
		w.group(lookOpen(n), n.subs[0])
	case opAtomic:
		w.group("(?>", n.subs[0])
	case opBackref:
		w.backref(n)
	case opCond:
		fmt.Fprintf(w, "(?(%d)", n.n)
		w.group("(?:", n.subs[0])
		w.WriteByte('|')
		w.group("(?:", n.subs[1])
		w.WriteByte(')')
	default:
		w.assertion(n.op)
	}
}

func (w *writer) group(open string, n *node) {
	w.WriteString(open)
	w.node(n)
	w.WriteByte(')')
}

func lookOpen(n *node) string {
	open := "(?"
	if n.behind {
		open += "<"
	}
	if n.not {
		return open + "!"
	}
	return open + "="
}

func (w *writer) backref(n *node) {
	if n.fold {
		fmt.Fprintf(w, `(?i:\%d)`, n.n)
		return
	}
	fmt.Fprintf(w, `(?:\%d)`, n.n)
}

func (w *writer) quantifier(n *node) {
	switch {
	case n.min == 0 && n.max < 0:
		w.WriteByte('*')
	case n.min == 1 && n.max < 0:
		w.WriteByte('+')
	case n.min == 0 && n.max == 1:
		w.WriteByte('?')
	case n.max < 0:
		fmt.Fprintf(w, "{%d,}", n.min)
	default:
		fmt.Fprintf(w, "{%d,%d}", n.min, n.max)
	}
	if !n.greedy {
		w.WriteByte('?')
	}
}

func (w *writer) literal(s string) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 0x80:
			w.WriteString(`\x` + hex2(c))
		case isLower(c) && !w.unicode:
			w.WriteString("[" + string(rune(c)) + string(rune(otherCase(c))) + "]")
		case isAlnum(c):
			w.WriteByte(c)
		default:
			w.WriteString(`\x` + hex2(c))
		}
	}
}

func hex2(c byte) string { return fmt.Sprintf("%02x", c) }

func (w *writer) set(s *byteSet) {
	limit := 256
	if w.unicode {
		limit = 128
	}
	if s.count() == 0 {
		if w.net {
			w.WriteString(`(?!)`)
		} else {
			w.WriteString(`[^\x00-\x{10ffff}]`)
		}
		return
	}
	if s.count() == 256 {
		w.WriteString(`(?s:.)`)
		return
	}
	w.WriteByte('[')
	if s.wide && w.unicode {
		w.WriteByte('^') // a complement, so that folding happens before it
		s = inverse(s)
	}
	for lo := 0; lo < limit; lo++ {
		if !s.has(byte(lo)) {
			continue
		}
		hi := lo
		for hi+1 < limit && s.has(byte(hi+1)) {
			hi++
		}
		fmt.Fprintf(w, `\x%02x-\x%02x`, lo, hi)
		lo = hi
	}
	w.WriteByte(']')
}

func (w *writer) assertion(op nodeOp) {
	const word = `[0-9A-Z_a-z]`
	switch op {
	case opNever:
		if w.net {
			w.WriteString(`(?!)`)
		} else {
			w.WriteString(`[^\x00-\x{10ffff}]`)
		}
	case opBegin:
		w.WriteString(`\A`)
	case opEnd, opEndNL:
		if op == opEndNL && w.net {
			w.WriteString(`(?=\n?\z)`)
		} else {
			w.WriteString(`\z`) // regexp is not asked about texts with a final newline
		}
	case opBeginLine:
		w.WriteString(`(?:\A|(?<=\n)(?!\z))`)
	case opEndLine:
		if w.net {
			w.WriteString(`(?=\n|\z)`)
		} else {
			w.WriteString(`(?m:$)`)
		}
	case opWordB:
		if w.net {
			w.WriteString(`(?:(?<=` + word + `)(?!` + word + `)|(?<!` + word + `)(?=` + word + `))`)
		} else {
			w.WriteString(`\b`)
		}
	case opNoWordB:
		if w.net {
			w.WriteString(`(?:(?<=` + word + `)(?=` + word + `)|(?<!` + word + `)(?!` + word + `))`)
		} else {
			w.WriteString(`\B`)
		}
	}
}
