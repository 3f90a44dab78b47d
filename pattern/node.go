package pattern

import "math/bits"

// byteSet is a set of bytes; for OS_Regex, of characters below 128 and, with wide, all others.
type byteSet struct {
	w    [4]uint64
	wide bool // OS_Regex only: contains the characters above 127
}

func (b *byteSet) add(c byte)      { b.w[c>>6] |= 1 << (c & 63) }
func (b *byteSet) has(c byte) bool { return b.w[c>>6]>>(c&63)&1 != 0 }
func (b *byteSet) merge(o *byteSet) {
	b.w[0] |= o.w[0]
	b.w[1] |= o.w[1]
	b.w[2] |= o.w[2]
	b.w[3] |= o.w[3]
}
func (b *byteSet) invert() {
	for i := range b.w {
		b.w[i] = ^b.w[i]
	}
	b.wide = !b.wide
}

func (b *byteSet) addRange(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		b.add(byte(c))
	}
}

func (b *byteSet) count() int {
	n := 0
	for _, w := range b.w {
		n += bits.OnesCount64(w)
	}
	return n
}

// foldCase adds the other case of each ASCII letter.
func (b *byteSet) foldCase() {
	for c := byte('a'); c <= 'z'; c++ {
		if b.has(c) || b.has(c-0x20) {
			b.add(c)
			b.add(c - 0x20)
		}
	}
}

// nodeOp is the kind of a syntax tree node.
type nodeOp uint8

const (
	opEmpty     nodeOp = iota
	opNever            // matches nothing
	opLit              // text, ASCII case ignored
	opSet              // one byte
	opRune             // one character above 127, Unicode case ignored; OS_Regex only
	opBegin            // start of text
	opEnd              // end of text
	opEndNL            // end of text, or before one final newline
	opBeginLine        // start of text, or after a newline that is not the last byte
	opEndLine          // end of text, or before a newline
	opWordB            // word boundary
	opNoWordB          // no word boundary
	opCapture          // capture number n of subs[0]
	opConcat           // subs one after the other
	opAlt              // the first of subs that leads to a match
	opRepeat           // subs[0] min to max times, max < 0 unlimited
	opLook             // lookaround on subs[0]
	opAtomic           // the first match of subs[0] only
	opBackref          // text of capture n
	opCond             // if capture n matched subs[0], else subs[1]
)

// node is a syntax tree; which fields count is said at the operations.
type node struct {
	op       nodeOp
	lit      string // opLit: folded
	set      *byteSet
	r        rune
	n        int // opCapture, opBackref, opCond
	subs     []*node
	min, max int
	greedy   bool
	behind   bool // opLook: lookbehind
	not      bool // opLook: negative
	fold     bool // opBackref: ASCII case ignored
}

func lit(s string) *node { return &node{op: opLit, lit: s} }

// concat makes a sequence; neighbouring literals become one.
func concat(subs []*node) *node {
	var out []*node
	for _, s := range subs {
		if s.op == opEmpty {
			continue
		}
		if k := len(out) - 1; k >= 0 && s.op == opLit && out[k].op == opLit {
			out[k] = lit(out[k].lit + s.lit)
			continue
		}
		out = append(out, s)
	}
	switch len(out) {
	case 0:
		return &node{op: opEmpty}
	case 1:
		return out[0]
	}
	return &node{op: opConcat, subs: out}
}

func alternate(subs []*node) *node {
	if len(subs) == 1 {
		return subs[0]
	}
	return &node{op: opAlt, subs: subs}
}

// single gives the set of a node that always takes exactly one byte, else nil.
func (n *node) single() *byteSet {
	switch {
	case n.op == opSet:
		return n.set
	case n.op == opLit && len(n.lit) == 1:
		s := &byteSet{}
		s.add(n.lit[0])
		s.add(otherCase(n.lit[0]))
		return s
	}
	return nil
}

// canBeEmpty reports whether the node can match without taking text.
func (n *node) canBeEmpty() bool {
	switch n.op {
	case opLit, opSet, opRune, opNever:
		return false
	case opCapture, opAtomic:
		return n.subs[0].canBeEmpty()
	case opConcat:
		for _, s := range n.subs {
			if !s.canBeEmpty() {
				return false
			}
		}
		return true
	case opAlt, opCond:
		for _, s := range n.subs {
			if s.canBeEmpty() {
				return true
			}
		}
		return false
	case opRepeat:
		return n.min == 0 || n.subs[0].canBeEmpty()
	}
	return true
}

// any reports whether a condition holds for the node or a node below.
func (n *node) any(cond func(*node) bool) bool {
	if cond(n) {
		return true
	}
	for _, s := range n.subs {
		if s.any(cond) {
			return true
		}
	}
	return false
}

// isAnchored reports whether every match begins at the start of the text.
func (n *node) isAnchored() bool {
	switch n.op {
	case opBegin, opNever:
		return true
	case opCapture, opAtomic:
		return n.subs[0].isAnchored()
	case opConcat:
		for _, s := range n.subs {
			if s.isAnchored() {
				return true
			}
			if s.op != opWordB && s.op != opNoWordB && s.op != opLook {
				return false
			}
		}
		return false
	case opAlt, opCond:
		for _, s := range n.subs {
			if !s.isAnchored() {
				return false
			}
		}
		return true
	case opRepeat:
		return n.min > 0 && n.subs[0].isAnchored()
	}
	return false
}

// alternatives takes a tree apart that is nothing but literals with anchors at their ends.
func (n *node) alternatives() (alts literals, endNL, ok bool) {
	list := []*node{n}
	if n.op == opAlt {
		list = n.subs
	}
	for _, a := range list {
		text, start, end, nl, ok := a.anchoredLiteral()
		if !ok {
			return literals{}, false, false
		}
		endNL = endNL || nl
		alts.add(text, start, end)
	}
	alts.prepare()
	return alts, endNL, true
}

func (n *node) anchoredLiteral() (text string, start, end, endNL, ok bool) {
	parts := []*node{n}
	if n.op == opConcat {
		parts = n.subs
	}
	for _, p := range parts {
		switch {
		case p.op == opEmpty:
		case p.op == opBegin && text == "" && !end:
			start = true
		case p.op == opEnd:
			end = true
		case p.op == opEndNL:
			end, endNL = true, true
		case p.op == opLit && text == "" && !end:
			text = p.lit
		default:
			return "", false, false, false, false
		}
	}
	return text, start, end, endNL, true
}
