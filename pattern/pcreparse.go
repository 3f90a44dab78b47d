package pattern

import (
	"slices"
	"strings"
)

// pcreParser reads PCRE2 syntax in caseless byte mode (spec patterns.md, section 4) into a tree. It refuses what no engine here can do:
// recursion, branch reset, \X, Unicode properties beyond ASCII bytes, and the verbs; such a pattern is an error, never another meaning.
type pcreParser struct {
	src      string
	at       int
	captures int
	total    int            // capturing groups of the whole pattern
	names    map[string]int // of named groups
	refs     []reference
	depth    int
	quoting  bool // between \Q and \E
}

// reference is a back reference that is checked when all groups are known.
type reference struct{ group, at int }

// options are the in-pattern options; they end with the group.
type options struct{ fold, multi, dotAll, extended, ungreedy, noAuto bool }

// parsePCRE2 reads a whole pattern.
func parsePCRE2(src string) (n *node, captures int, err error) {
	p := &pcreParser{src: src, names: make(map[string]int)}
	p.countGroups()
	if n, err = p.alternation(&options{fold: true}); err != nil {
		return nil, 0, err
	}
	if p.at < len(src) {
		return nil, 0, p.bad(p.at, "unmatched ')'")
	}
	for _, r := range p.refs {
		if r.group > p.captures {
			return nil, 0, p.bad(r.at, "reference to group %d, which does not exist", r.group)
		}
	}
	return n, p.captures, nil
}

func (p *pcreParser) bad(at int, format string, args ...any) error {
	return bad(p.src, at, format, args...)
}

// countGroups finds the number of capturing groups, on which the reading of \10 and above depends, roughly: it skips escapes and classes.
func (p *pcreParser) countGroups() {
	inClass := false
	for i := 0; i < len(p.src); i++ {
		switch c := p.src[i]; {
		case c == '\\':
			i++
		case inClass:
			inClass = c != ']'
		case c == '[':
			inClass = true
			if strings.HasPrefix(p.src[i+1:], "^") {
				i++
			}
			if strings.HasPrefix(p.src[i+1:], "]") {
				i++
			}
		case c == '(':
			rest := p.src[i+1:]
			named := strings.HasPrefix(rest, "?P<") || strings.HasPrefix(rest, "?'") ||
				strings.HasPrefix(rest, "?<") && !strings.HasPrefix(rest, "?<=") && !strings.HasPrefix(rest, "?<!")
			if named || !strings.HasPrefix(rest, "?") && !strings.HasPrefix(rest, "*") {
				p.total++
			}
		}
	}
}

func (p *pcreParser) more() bool { return p.at < len(p.src) }

func (p *pcreParser) take(prefix string) bool {
	if strings.HasPrefix(p.src[p.at:], prefix) {
		p.at += len(prefix)
		return true
	}
	return false
}

func (p *pcreParser) alternation(o *options) (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.bad(p.at, "groups nest too deeply")
	}
	defer func() { p.depth-- }()
	var alts []*node
	for {
		seq, err := p.sequence(o)
		if err != nil {
			return nil, err
		}
		alts = append(alts, seq)
		if !p.take("|") {
			return alternate(alts), nil
		}
	}
}

// sequence reads up to "|", ")" or the end. Option settings inside change o for what follows, also in later alternatives.
func (p *pcreParser) sequence(o *options) (*node, error) {
	var seq []*node
	repeatable := false // the last of seq may be repeated
	for p.more() {
		if p.quoting {
			if p.take(`\E`) {
				p.quoting = false
				continue
			}
			seq = append(seq, char(p.src[p.at], o))
			repeatable = true
			p.at++
			continue
		}
		if c := p.src[p.at]; c == '|' || c == ')' {
			break
		}
		if o.extended && p.skipExtended() {
			continue
		}
		if rep, ok, err := p.repetition(); err != nil {
			return nil, err
		} else if ok {
			if !repeatable {
				return nil, p.bad(rep.at, "nothing to repeat")
			}
			seq[len(seq)-1] = rep.apply(seq[len(seq)-1], o)
			repeatable = false
			continue
		}
		n, rep, err := p.item(o)
		if err != nil {
			return nil, err
		}
		if n != nil {
			seq = append(seq, n)
			repeatable = rep
		}
	}
	return concat(seq), nil
}

// skipExtended skips white space and comments of (?x).
func (p *pcreParser) skipExtended() bool {
	switch p.src[p.at] {
	case ' ', '\t', '\n', '\v', '\f', '\r':
		p.at++
		return true
	case '#':
		if i := strings.IndexByte(p.src[p.at:], '\n'); i >= 0 {
			p.at += i + 1
		} else {
			p.at = len(p.src)
		}
		return true
	}
	return false
}

// repetition is a quantifier as written.
type repetition struct {
	at, min, max     int
	lazy, possessive bool
}

func (r *repetition) apply(n *node, o *options) *node {
	if n.op == opLook || n.op == opEmpty {
		// A repeated assertion is tried once if at all.
		if r.min > 0 {
			return n
		}
		r.max = min(r.max, 1)
		if r.max < 0 {
			r.max = 1
		}
	}
	rep := &node{op: opRepeat, subs: []*node{n}, min: r.min, max: r.max, greedy: r.lazy == o.ungreedy || r.possessive}
	if r.possessive {
		return &node{op: opAtomic, subs: []*node{rep}}
	}
	return rep
}

const maxRepeat = 65535

// repetition reads a quantifier if one stands here; a "{" that begins none is a literal.
func (p *pcreParser) repetition() (r repetition, ok bool, err error) {
	r.at = p.at
	switch p.src[p.at] {
	case '*':
		r.max = -1
	case '+':
		r.min, r.max = 1, -1
	case '?':
		r.max = 1
	case '{':
		end, ok := p.counts(&r)
		if !ok {
			return r, false, nil
		}
		if r.min > maxRepeat || r.max > maxRepeat || r.max >= 0 && r.max < r.min {
			return r, false, p.bad(p.at, "repeat counts out of order or above %d", maxRepeat)
		}
		p.at = end - 1
	default:
		return r, false, nil
	}
	p.at++
	switch {
	case p.take("?"):
		r.lazy = true
	case p.take("+"):
		r.possessive = true
	}
	return r, true, nil
}

// counts reads {n}, {n,} or {n,m} and gives the offset behind it.
func (p *pcreParser) counts(r *repetition) (end int, ok bool) {
	i := p.at + 1
	if r.min, i, ok = p.number(i); !ok {
		return 0, false
	}
	r.max = r.min
	if i < len(p.src) && p.src[i] == ',' {
		i++
		r.max = -1
		if n, j, ok := p.number(i); ok {
			r.max, i = n, j
		}
	}
	if i == len(p.src) || p.src[i] != '}' {
		return 0, false
	}
	return i + 1, true
}

// number reads decimal digits at i.
func (p *pcreParser) number(i int) (n, end int, ok bool) {
	for end = i; end < len(p.src) && isDigit(p.src[end]); end++ {
		n = min(n*10+int(p.src[end]-'0'), 1<<20)
	}
	return n, end, end > i
}

// item reads one item that is not a quantifier. A nil node stands for an item without content (a comment, an option setting).
func (p *pcreParser) item(o *options) (n *node, repeatable bool, err error) {
	switch c := p.src[p.at]; c {
	case '^':
		p.at++
		if o.multi {
			return &node{op: opBeginLine}, false, nil
		}
		return &node{op: opBegin}, false, nil
	case '$':
		p.at++
		if o.multi {
			return &node{op: opEndLine}, false, nil
		}
		return &node{op: opEndNL}, false, nil
	case '.':
		p.at++
		if o.dotAll {
			return &node{op: opSet, set: setAll}, true, nil
		}
		return &node{op: opSet, set: setNotNL}, true, nil
	case '[':
		set, err := p.class(o)
		if err != nil {
			return nil, false, err
		}
		return &node{op: opSet, set: set}, true, nil
	case '(':
		return p.group(o)
	case '\\':
		return p.escape(o)
	default:
		p.at++
		return char(c, o), true, nil
	}
}

// char is one literal byte.
func char(c byte, o *options) *node {
	if o.fold || otherCase(c) == c {
		return lit(string([]byte{lower[c]}))
	}
	s := &byteSet{}
	s.add(c)
	return &node{op: opSet, set: s}
}

// group reads from "(".
func (p *pcreParser) group(o *options) (*node, bool, error) {
	open := p.at
	p.at++
	switch {
	case p.take("*"):
		return nil, false, p.bad(open, "verbs (*...) are not supported")
	case !p.take("?"):
		if o.noAuto {
			n, err := p.body(open, *o)
			return n, true, err
		}
		n, err := p.capture(open, o, "")
		return n, true, err
	case p.take("#"):
		i := strings.IndexByte(p.src[p.at:], ')')
		if i < 0 {
			return nil, false, p.bad(open, "comment without ')'")
		}
		p.at += i + 1
		return nil, false, nil
	case p.take(":"):
		n, err := p.body(open, *o)
		return n, true, err
	case p.take(">"):
		n, err := p.wrapped(open, o, node{op: opAtomic})
		return n, true, err
	case p.take("="):
		return p.look(open, o, node{op: opLook})
	case p.take("!"):
		return p.look(open, o, node{op: opLook, not: true})
	case p.take("<="):
		return p.look(open, o, node{op: opLook, behind: true})
	case p.take("<!"):
		return p.look(open, o, node{op: opLook, behind: true, not: true})
	case p.take("P="):
		name, err := p.name(')')
		if err != nil {
			return nil, false, err
		}
		n, err := p.named(name, open, o)
		return n, true, err
	case p.take("P<"), p.take("<"):
		return p.namedGroup(open, o, '>')
	case p.take("'"):
		return p.namedGroup(open, o, '\'')
	case p.take("("):
		n, err := p.conditional(open, o)
		return n, true, err
	}
	return p.setting(open, o)
}

// body reads alternatives up to ")"; option settings inside end there.
func (p *pcreParser) body(open int, o options) (*node, error) {
	n, err := p.alternation(&o)
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, p.bad(open, "missing ')'")
	}
	return n, nil
}

func (p *pcreParser) wrapped(open int, o *options, n node) (*node, error) {
	body, err := p.body(open, *o)
	n.subs = []*node{body}
	return &n, err
}

func (p *pcreParser) capture(open int, o *options, name string) (*node, error) {
	p.captures++
	if name != "" {
		if _, dup := p.names[name]; dup {
			return nil, p.bad(open, "two groups are named %q", name)
		}
		p.names[name] = p.captures
	}
	return p.wrapped(open, o, node{op: opCapture, n: p.captures})
}

func (p *pcreParser) look(open int, o *options, n node) (*node, bool, error) {
	l, err := p.wrapped(open, o, n)
	if err == nil && n.behind && !fixedWidth(l.subs[0]) {
		err = p.bad(open, "lookbehind without a fixed length")
	}
	return l, true, err
}

func (p *pcreParser) namedGroup(open int, o *options, end byte) (*node, bool, error) {
	name, err := p.name(end)
	if err != nil {
		return nil, false, err
	}
	n, err := p.capture(open, o, name)
	return n, true, err
}

// name reads a group name up to end.
func (p *pcreParser) name(end byte) (string, error) {
	from := p.at
	for p.more() && isWord(p.src[p.at]) {
		p.at++
	}
	name := p.src[from:p.at]
	if name == "" || isDigit(name[0]) || len(name) > 32 || !p.more() || p.src[p.at] != end {
		return "", p.bad(from, "bad group name")
	}
	p.at++
	return name, nil
}

func (p *pcreParser) named(name string, at int, o *options) (*node, error) {
	n, ok := p.names[name]
	if !ok {
		return nil, p.bad(at, "no group is named %q before this place", name)
	}
	return &node{op: opBackref, n: n, fold: o.fold}, nil
}

// conditional reads what follows "(?(": a group number or name, then one or two alternatives.
func (p *pcreParser) conditional(open int, o *options) (*node, error) {
	n, end, ok := p.number(p.at)
	switch {
	case ok && n > 0:
		p.at = end
		if !p.take(")") {
			return nil, p.bad(open, "condition without ')'")
		}
	case p.take("<"), p.take("'"):
		closing := byte('>')
		if p.src[p.at-1] == '\'' {
			closing = '\''
		}
		name, err := p.name(closing)
		if err != nil {
			return nil, err
		}
		if n, ok = p.names[name]; !ok || !p.take(")") {
			return nil, p.bad(open, "condition on an unknown group")
		}
	default:
		return nil, p.bad(open, "conditions other than a group are not supported")
	}
	p.refs = append(p.refs, reference{n, open})
	body, err := p.body(open, *o)
	if err != nil {
		return nil, err
	}
	yes, no := body, &node{op: opEmpty}
	if body.op == opAlt {
		if len(body.subs) > 2 {
			return nil, p.bad(open, "condition with more than two alternatives")
		}
		yes, no = body.subs[0], body.subs[1]
	}
	return &node{op: opCond, n: n, subs: []*node{yes, no}}, nil
}

// setting reads (?imsxU-imsxU) or (?imsxU-imsxU:...).
func (p *pcreParser) setting(open int, o *options) (*node, bool, error) {
	s := *o
	on := true
	if p.take("^") {
		s = options{}
	}
	for p.more() {
		c := p.src[p.at]
		p.at++
		switch c {
		case ')':
			*o = s
			return nil, false, nil
		case ':':
			n, err := p.body(open, s)
			return n, true, err
		case '-':
			if !on {
				return nil, false, p.bad(open, "second '-' among options")
			}
			on = false
		case 'J':
		default:
			flag := s.flag(c)
			if flag == nil {
				return nil, false, p.bad(open, "group syntax (?%c is not supported", c)
			}
			*flag = on
		}
	}
	return nil, false, p.bad(open, "missing ')'")
}

func (o *options) flag(c byte) *bool {
	switch c {
	case 'i':
		return &o.fold
	case 'm':
		return &o.multi
	case 's':
		return &o.dotAll
	case 'x':
		return &o.extended
	case 'n':
		return &o.noAuto
	case 'U':
		return &o.ungreedy
	}
	return nil
}

// fixedWidth reports whether each alternative of a lookbehind has one length.
func fixedWidth(n *node) bool {
	if n.op == opAlt {
		return !slices.ContainsFunc(n.subs, func(s *node) bool { return width(s) < 0 })
	}
	return width(n) >= 0
}

// width is the number of bytes that n takes, -1 when that varies.
func width(n *node) int {
	switch n.op {
	case opLit:
		return len(n.lit)
	case opSet:
		return 1
	case opCapture, opAtomic:
		return width(n.subs[0])
	case opConcat:
		sum := 0
		for _, s := range n.subs {
			w := width(s)
			if w < 0 {
				return -1
			}
			sum += w
		}
		return sum
	case opAlt, opCond:
		w := width(n.subs[0])
		for _, s := range n.subs[1:] {
			if width(s) != w {
				return -1
			}
		}
		return w
	case opRepeat:
		if w := width(n.subs[0]); w >= 0 && n.min == n.max {
			return w * n.min
		}
		return -1
	case opBackref:
		return -1
	}
	return 0
}
