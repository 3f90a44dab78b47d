package pattern

import (
	"strings"
	"unicode"
)

// class reads a bracketed class from "[".
func (p *pcreParser) class(o *options) (*byteSet, error) {
	open := p.at
	p.at++
	set := &byteSet{}
	not := p.take("^")
	for first := true; ; first = false {
		if !p.more() {
			return nil, p.bad(open, "missing ']'")
		}
		if p.src[p.at] == ']' && !first {
			p.at++
			break
		}
		if err := p.classItem(set, o); err != nil {
			return nil, err
		}
	}
	if o.fold {
		set.foldCase()
	}
	if not {
		set.invert()
	}
	set.wide = false
	return set, nil
}

// classItem reads a byte, a range or a set.
func (p *pcreParser) classItem(set *byteSet, o *options) error {
	at := p.at
	lo, sub, err := p.classAtom(o)
	if err != nil {
		return err
	}
	hyphen := p.at+1 < len(p.src) && p.src[p.at] == '-' && p.src[p.at+1] != ']'
	if sub != nil {
		set.merge(sub)
		if hyphen {
			return p.bad(at, "a range cannot begin with a class")
		}
		return nil
	}
	if lo < 0 { // \Q, \E
		return nil
	}
	if !hyphen {
		set.add(byte(lo))
		return nil
	}
	p.at++
	hi, sub, err := p.classAtom(o)
	for err == nil && sub == nil && hi < 0 && p.more() && p.src[p.at] != ']' {
		hi, sub, err = p.classAtom(o)
	}
	switch {
	case err != nil:
		return err
	case sub != nil:
		return p.bad(at, "a range cannot end with a class")
	case hi < 0:
		set.add(byte(lo))
		set.add('-')
		return nil
	case hi < lo:
		return p.bad(at, "range out of order")
	}
	set.addRange(byte(lo), byte(hi))
	return nil
}

// classAtom reads one byte, or a set; c < 0 and no set: nothing (\E).
func (p *pcreParser) classAtom(o *options) (c int, set *byteSet, err error) {
	at := p.at
	b := p.src[at]
	if b == '[' && p.at+1 < len(p.src) && strings.IndexByte(":.=", p.src[p.at+1]) >= 0 {
		if set, ok, err := p.posix(o); ok || err != nil {
			return 0, set, err
		}
	}
	if b != '\\' {
		p.at++
		return int(b), nil, nil
	}
	if at+1 == len(p.src) {
		return 0, nil, p.bad(at, "backslash at the end")
	}
	e := p.src[at+1]
	switch e {
	case 'b':
		p.at += 2
		return '\b', nil, nil
	case 'E':
		p.at += 2
		return -1, nil, nil
	case 'Q':
		return p.classQuoted()
	case 'N', 'C', 'B', 'R', 'X':
		return 0, nil, p.bad(at, `\%c has no meaning in a class`, e)
	case 'p', 'P':
		p.at += 2
		set, err := p.property(e == 'P')
		return 0, set, err
	}
	if s := pcreSets[e]; s != nil {
		p.at += 2
		return 0, s, nil
	}
	v, err := p.byteEscape()
	return int(v), nil, err
}

// classQuoted reads \Q...\E in a class: a byte alone, or the set of several.
func (p *pcreParser) classQuoted() (int, *byteSet, error) {
	text, _, found := strings.Cut(p.src[p.at+2:], `\E`)
	if !found {
		return 0, nil, p.bad(p.at, `\Q in a class without \E`)
	}
	p.at += len(text) + 4
	switch len(text) {
	case 0:
		return -1, nil, nil
	case 1:
		return int(text[0]), nil, nil
	}
	return 0, setOf(text), nil
}

// posix reads [:name:] or [:^name:]. Something that only looks like it is no class.
func (p *pcreParser) posix(o *options) (*byteSet, bool, error) {
	at := p.at
	mark := p.src[at+1]
	rest := p.src[at+2:]
	end := strings.Index(rest, string(rune(mark))+"]")
	if end < 0 || strings.ContainsAny(rest[:end], "]\\[") {
		return nil, false, nil
	}
	if mark != ':' {
		return nil, false, p.bad(at, "collating elements are not supported")
	}
	name, not := strings.CutPrefix(rest[:end], "^")
	set := posixSets[name]
	if set == nil {
		return nil, false, p.bad(at, "unknown class [:%s:]", name)
	}
	p.at += end + 4
	if o.fold && (name == "lower" || name == "upper") {
		set = posixSets["alpha"]
	}
	if not {
		set = inverse(set)
	}
	return set, true, nil
}

// latinProperty gives the bytes whose characters (of the same number) have a Unicode property; nil for an unknown name. PCRE2 asks the
// property of the character with the number of the byte even when it is not in UTF mode.
func latinProperty(name string) *byteSet {
	var in func(r rune) bool
	switch t, ok := unicode.Categories[name]; {
	case ok:
		in = func(r rune) bool { return unicode.Is(t, r) }
	case unicode.Scripts[name] != nil:
		in = func(r rune) bool { return unicode.Is(unicode.Scripts[name], r) }
	case name == "L&":
		in = func(r rune) bool { return unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r) }
	case name == "Any":
		in = func(rune) bool { return true }
	default:
		return nil
	}
	set := &byteSet{}
	for c := range 256 {
		if in(rune(c)) {
			set.add(byte(c))
		}
	}
	return set
}
