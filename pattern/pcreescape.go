package pattern

import (
	"strconv"
	"strings"
)

// The byte sets of PCRE2's escapes, in the C locale.
var (
	setNotNL = inverse(setOf("\n"))
	setWord  = setOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
	setSpace = setOf("\t\n\v\f\r ")
	setHoriz = setOf("\t \xa0")
	setVert  = setOf("\n\v\f\r\x85")
)

var pcreSets = map[byte]*byteSet{
	'd': setDigit, 'D': inverse(setDigit),
	'w': setWord, 'W': inverse(setWord),
	's': setSpace, 'S': inverse(setSpace),
	'h': setHoriz, 'H': inverse(setHoriz),
	'v': setVert, 'V': inverse(setVert),
	'N': setNotNL, 'C': setAll,
}

var pcreAssertions = map[byte]nodeOp{
	'A': opBegin, 'G': opBegin, 'z': opEnd, 'Z': opEndNL, 'b': opWordB, 'B': opNoWordB,
}

// escape reads from a backslash outside classes.
func (p *pcreParser) escape(o *options) (*node, bool, error) {
	at := p.at
	if at+1 == len(p.src) {
		return nil, false, p.bad(at, "backslash at the end")
	}
	c := p.src[at+1]
	if c == 'N' && strings.HasPrefix(p.src[at+2:], "{") && !isRepeat(p, at+2) {
		return nil, false, p.bad(at, `\N{...} is not supported`)
	}
	if set := pcreSets[c]; set != nil {
		p.at += 2
		return &node{op: opSet, set: set}, true, nil
	}
	if op, ok := pcreAssertions[c]; ok {
		p.at += 2
		return &node{op: op}, false, nil
	}
	switch c {
	case 'Q':
		p.at += 2
		p.quoting = true
		return nil, false, nil
	case 'E':
		p.at += 2
		return nil, false, nil
	case 'K':
		p.at += 2
		return &node{op: opEmpty}, false, nil // moves the start of the match, which nobody sees
	case 'R':
		p.at += 2
		crlf := concat([]*node{lit("\r"), lit("\n")})
		return &node{op: opAtomic, subs: []*node{alternate([]*node{crlf, {op: opSet, set: setVert}})}}, true, nil
	case 'p', 'P':
		p.at += 2
		set, err := p.property(c == 'P')
		return &node{op: opSet, set: set}, true, err
	case 'g', 'k':
		n, err := p.reference(o)
		return n, true, err
	case '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if n, end, _ := p.number(at + 1); n < 10 || n <= p.total || c >= '8' {
			p.at = end
			return p.backref(n, at, o), true, nil
		}
	}
	b, err := p.byteEscape()
	if err != nil {
		return nil, false, err
	}
	return char(b, o), true, nil
}

func isRepeat(p *pcreParser, at int) bool {
	q := pcreParser{src: p.src, at: at}
	var r repetition
	_, ok := q.counts(&r)
	return ok
}

func (p *pcreParser) backref(n, at int, o *options) *node {
	p.refs = append(p.refs, reference{n, at})
	return &node{op: opBackref, n: n, fold: o.fold}
}

// reference reads \g and \k. \g<...> and \g'...' are subroutine calls.
func (p *pcreParser) reference(o *options) (*node, error) {
	at := p.at
	kind := p.src[at+1]
	p.at += 2
	if p.take("{") {
		from := p.at
		end := strings.IndexByte(p.src[from:], '}')
		if end < 0 {
			return nil, p.bad(at, "reference without '}'")
		}
		text := p.src[from : from+end]
		p.at = from + end + 1
		if n, err := strconv.Atoi(text); err == nil && kind == 'g' {
			return p.numbered(n, text[0] == '-' || text[0] == '+', at, o)
		}
		return p.named(text, at, o)
	}
	if kind == 'k' {
		for _, q := range []string{"<>", "''"} {
			if p.take(q[:1]) {
				name, err := p.name(q[1])
				if err != nil {
					return nil, err
				}
				return p.named(name, at, o)
			}
		}
		return nil, p.bad(at, `\k without a name`)
	}
	relative := p.take("-")
	n, end, ok := p.number(p.at)
	if !ok {
		return nil, p.bad(at, "subroutine calls are not supported")
	}
	p.at = end
	if relative {
		n = -n
	}
	return p.numbered(n, relative, at, o)
}

func (p *pcreParser) numbered(n int, relative bool, at int, o *options) (*node, error) {
	if relative && n < 0 {
		n += p.captures + 1
	} else if relative {
		n += p.captures
	}
	if n <= 0 {
		return nil, p.bad(at, "reference to a group that does not exist")
	}
	return p.backref(n, at, o), nil
}

var byteEscapes = map[byte]byte{'a': 7, 'e': 27, 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// byteEscape reads an escape that stands for one byte, in classes and outside.
func (p *pcreParser) byteEscape() (byte, error) {
	at := p.at
	if at+1 == len(p.src) {
		return 0, p.bad(at, "backslash at the end")
	}
	c := p.src[at+1]
	p.at += 2
	if b, ok := byteEscapes[c]; ok {
		return b, nil
	}
	switch {
	case !isAlnum(c):
		return c, nil
	case c == 'x':
		return p.hexEscape(at)
	case c == 'o':
		return p.braced(at, 8)
	case c == 'c':
		if !p.more() || p.src[p.at] < 0x20 || p.src[p.at] > 0x7e {
			return 0, p.bad(at, `\c needs a printable ASCII character`)
		}
		b := p.src[p.at]
		p.at++
		if isLower(b) {
			b -= 0x20
		}
		return b ^ 0x40, nil
	case isDigit(c) && c < '8':
		n := 0
		p.at = at + 1
		for i := 0; i < 3 && p.more() && p.src[p.at] >= '0' && p.src[p.at] <= '7'; i++ {
			n = n*8 + int(p.src[p.at]-'0')
			p.at++
		}
		if n > 255 {
			return 0, p.bad(at, "octal value above 255")
		}
		return byte(n), nil
	}
	return 0, p.bad(at, `unknown escape '\%c'`, c)
}

func (p *pcreParser) hexEscape(at int) (byte, error) {
	if p.more() && p.src[p.at] == '{' {
		return p.braced(at, 16)
	}
	n := 0
	for i := 0; i < 2 && p.more(); i++ {
		d, err := strconv.ParseUint(p.src[p.at:p.at+1], 16, 8)
		if err != nil {
			break
		}
		n = n*16 + int(d)
		p.at++
	}
	return byte(n), nil
}

// braced reads {digits} of a base.
func (p *pcreParser) braced(at, base int) (byte, error) {
	end := strings.IndexByte(p.src[p.at:], '}')
	if !strings.HasPrefix(p.src[p.at:], "{") || end < 0 {
		return 0, p.bad(at, "number in braces expected")
	}
	n, err := strconv.ParseUint(p.src[p.at+1:p.at+end], base, 16)
	if err != nil || n > 255 {
		return 0, p.bad(at, "bad number in braces, or above 255")
	}
	p.at += end + 1
	return byte(n), nil
}

// posixSets are the classes [:name:].
var posixSets = map[string]*byteSet{
	"alnum":  setOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
	"alpha":  setOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
	"ascii":  rangeSet(0, 0x7f),
	"blank":  setOf(" \t"),
	"cntrl":  with(rangeSet(0, 0x1f), 0x7f),
	"digit":  setDigit,
	"graph":  rangeSet(0x21, 0x7e),
	"lower":  rangeSet('a', 'z'),
	"print":  rangeSet(0x20, 0x7e),
	"punct":  setOf("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
	"space":  setSpace,
	"upper":  rangeSet('A', 'Z'),
	"word":   setWord,
	"xdigit": setOf("0123456789abcdefABCDEF"),
}

func rangeSet(lo, hi byte) *byteSet {
	s := &byteSet{}
	s.addRange(lo, hi)
	return s
}

func with(s *byteSet, c byte) *byteSet { s.add(c); return s }

// property reads what follows \p or \P, for the properties whose members among the bytes are plain.
func (p *pcreParser) property(not bool) (*byteSet, error) {
	at := p.at - 2
	if !p.more() {
		return nil, p.bad(at, "property name expected")
	}
	name := p.src[p.at : p.at+1]
	p.at++
	if name == "{" {
		end := strings.IndexByte(p.src[p.at:], '}')
		if end < 0 {
			return nil, p.bad(at, "property without '}'")
		}
		name = p.src[p.at : p.at+end]
		p.at += end + 1
	}
	if rest, ok := strings.CutPrefix(name, "^"); ok {
		name, not = rest, !not
	}
	set := latinProperty(name)
	if set == nil {
		return nil, p.bad(at, "property %q is not supported", name)
	}
	if not {
		return inverse(set), nil
	}
	return set, nil
}
