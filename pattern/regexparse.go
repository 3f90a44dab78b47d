package pattern

import "unicode/utf8"

// osParser reads OS_Regex (spec patterns.md, section 3). It works on the raw bytes, as the rule for quantifiers does.
type osParser struct {
	src      string
	at       int
	captures int
}

// The classes of OS_Regex.
var (
	setOSWord  = setOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@_-")
	setDigit   = setOf("0123456789")
	setOSSpace = setOf(" ")
	setOSPunct = setOf("()*+,-.:;<=>?[]!\"'#%&${}|")
	setAll     = inverse(&byteSet{})
)

func setOf(chars string) *byteSet {
	s := &byteSet{}
	for i := 0; i < len(chars); i++ {
		s.add(chars[i])
	}
	return s
}

func inverse(s *byteSet) *byteSet {
	c := *s
	c.invert()
	return &c
}

// osEscapes are the sets of the letters that may follow a backslash.
var osEscapes = map[byte]*byteSet{
	'w': setOSWord, 'W': inverse(setOSWord),
	'd': setDigit, 'D': inverse(setDigit),
	's': setOSSpace, 'S': inverse(setOSSpace),
	'p': setOSPunct, '.': setAll,
}

const osQuoted = "$(){}[]\\|<"

// parseRegex reads a whole pattern.
func parseRegex(src string) (*node, int, error) {
	p := &osParser{src: src}
	n, err := p.alternation(0)
	if err != nil {
		return nil, 0, err
	}
	if p.at < len(src) {
		return nil, 0, bad(src, p.at, "unbalanced ')'")
	}
	return n, p.captures, nil
}

const maxDepth = 500 // of groups; Go's regexp refuses trees deeper than 1000

func (p *osParser) alternation(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, bad(p.src, p.at, "groups nest too deeply")
	}
	var alts []*node
	for {
		seq, err := p.sequence(depth)
		if err != nil {
			return nil, err
		}
		alts = append(alts, seq)
		if p.at == len(p.src) || p.src[p.at] != '|' {
			return alternate(alts), nil
		}
		p.at++
	}
}

func (p *osParser) sequence(depth int) (*node, error) {
	var seq []*node
	for p.at < len(p.src) {
		switch c := p.src[p.at]; {
		case c == '|' || c == ')':
			// A quantifier cannot follow: the sequence that starts behind sees it as its first item.
			return concat(seq), nil
		case (c == '+' || c == '*') && p.at >= 2 && p.src[p.at-2] == '\\':
			if err := p.quantify(seq); err != nil {
				return nil, err
			}
		default:
			item, err := p.item(depth)
			if err != nil {
				return nil, err
			}
			seq = append(seq, item)
		}
	}
	return concat(seq), nil
}

func (p *osParser) quantify(seq []*node) error {
	at := p.at
	p.at++
	if len(seq) == 0 {
		return bad(p.src, at, "nothing to repeat")
	}
	last := seq[len(seq)-1]
	switch last.op {
	case opBegin, opEnd, opRepeat:
		return bad(p.src, at, "nothing to repeat")
	}
	rep := &node{op: opRepeat, subs: []*node{last}, max: -1, greedy: p.closesAlternative()}
	if p.src[at] == '+' {
		rep.min = 1
	}
	if p.src[at-1] == '\\' {
		rep.greedy = false // a quantified backslash is always lazy
	}
	seq[len(seq)-1] = rep
	return nil
}

// closesAlternative reports whether only closing parentheses stand before the next "|" or the end, which makes a quantifier greedy.
func (p *osParser) closesAlternative() bool {
	i := p.at
	for i < len(p.src) && p.src[i] == ')' {
		i++
	}
	return i == len(p.src) || p.src[i] == '|'
}

func (p *osParser) item(depth int) (*node, error) {
	c := p.src[p.at]
	switch {
	case c == '^':
		p.at++
		return &node{op: opBegin}, nil
	case c == '$':
		p.at++
		return &node{op: opEnd}, nil
	case c == '(':
		return p.group(depth)
	case c == '\\':
		return p.escape()
	case c < utf8.RuneSelf:
		p.at++
		return lit(string(rune(lower[c]))), nil
	}
	r, size := utf8.DecodeRuneInString(p.src[p.at:])
	p.at += size
	return &node{op: opRune, r: r}, nil
}

func (p *osParser) group(depth int) (*node, error) {
	open := p.at
	p.at++
	p.captures++
	n := p.captures
	body, err := p.alternation(depth + 1)
	if err != nil {
		return nil, err
	}
	if p.at == len(p.src) {
		return nil, bad(p.src, open, "unbalanced '('")
	}
	p.at++
	return &node{op: opCapture, n: n, subs: []*node{body}}, nil
}

func (p *osParser) escape() (*node, error) {
	if p.at+1 == len(p.src) {
		return nil, bad(p.src, p.at, "backslash at the end")
	}
	c := p.src[p.at+1]
	p.at += 2
	if set := osEscapes[c]; set != nil {
		return &node{op: opSet, set: set}, nil
	}
	if c == 't' {
		return lit("\t"), nil
	}
	for i := 0; i < len(osQuoted); i++ {
		if c == osQuoted[i] {
			return lit(osQuoted[i : i+1]), nil
		}
	}
	return nil, bad(p.src, p.at-2, "unknown escape '\\%c'", c)
}
