package pattern

import "sync"

// machine runs a program on a text: depth first, choices kept on an explicit stack, so that it needs no memory in the steady state. It
// counts the choices it takes back; beyond a limit it gives up and the linear engine takes over.
type machine struct {
	stack []choice
	caps  []int32 // offsets by slot, -1 unset; nil when no captures are wanted
	room  []int32 // backs caps
	marks []int32
	fuel  int
}

// slots gives n slots for captures.
func (m *machine) slots(n int) []int32 {
	if cap(m.room) < n {
		m.room = make([]int32, n)
	}
	return m.room[:n]
}

type choice struct {
	kind choiceKind
	pc   int32
	pos  int32
	far  int32 // choiceBack: furthest position still to try; choiceOn: furthest position allowed; choiceUndo: old value
}

type choiceKind uint8

const (
	choiceGo     choiceKind = iota // go on at pc, pos
	choiceBack                     // greedy loop: pc follows it, positions pos..far are left, the last first
	choiceOn                       // lazy loop at pc: has come to pos, may go on to far
	choiceUndo                     // set slot pc to far again
	choiceUnmark                   // set mark pc to far again
)

var machines = sync.Pool{New: func() any { return &machine{stack: make([]choice, 0, 64)} }}

// outcome of a search.
type outcome uint8

const (
	noMatch outcome = iota
	matched
	exhausted // out of fuel: not decided
)

// fuelFor is the number of choices that may be taken back in one search (eight bytes of a loop count as one). Ordinary patterns take a few for each byte at most; a pattern
// that needs more is not worth it, the linear engine is about as fast then.
func fuelFor(text string) int { return 2000 + 24*len(text) }

// search looks for the leftmost match of p in s and gives its end. With captures it leaves their offsets in m.caps.
func (m *machine) search(p *program, s string) (int, outcome) {
	for len(m.marks) < p.marks {
		m.marks = append(m.marks, 0)
	}
	if p.anchored {
		return m.runAt(p, s, 0)
	}
	if p.lead.lit != "" {
		for at := p.lead.index(s, 0); at >= 0; at = p.lead.index(s, at+1) {
			if end, out := m.runAt(p, s, at); out != noMatch {
				return end, out
			}
		}
		return 0, noMatch
	}
	if first := p.first; first != nil {
		for at := 0; at < len(s); at++ {
			if !first[s[at]] {
				continue
			}
			if end, out := m.runAt(p, s, at); out != noMatch {
				return end, out
			}
		}
		return 0, noMatch
	}
	for at := 0; at <= len(s); at++ {
		if end, out := m.runAt(p, s, at); out != noMatch {
			return end, out
		}
	}
	return 0, noMatch
}

// runAt tries to match at one position.
func (m *machine) runAt(p *program, s string, start int) (int, outcome) {
	for i := range m.caps {
		m.caps[i] = -1
	}
	m.stack = m.stack[:0]
	code := p.code
	pc, pos := 0, start
	for {
		in := &code[pc]
		switch in.op {
		case inMatch:
			return pos, matched
		case inLit:
			if !hasPrefixFold(s[pos:], in.lit) {
				goto back
			}
			pos += len(in.lit)
			pc++
			continue
		case inSet:
			if pos == len(s) || !in.set[s[pos]] {
				goto back
			}
			pos++
			pc++
			continue
		case inLoop:
			var ok bool
			if pos, ok = m.loop(in, s, pc, pos); !ok {
				goto back
			}
			pc++
			continue
		case inSplit:
			if in.first != nil && (pos == len(s) || !in.first[s[pos]]) {
				pc = int(in.x)
				continue
			}
			if in.firstX == nil || (pos < len(s) && in.firstX[s[pos]]) {
				m.stack = append(m.stack, choice{kind: choiceGo, pc: in.x, pos: int32(pos)})
			}
			pc++
			continue
		case inJump:
			pc = int(in.x)
			continue
		case inSave:
			if m.caps != nil {
				m.stack = append(m.stack, choice{kind: choiceUndo, pc: in.x, far: m.caps[in.x]})
				m.caps[in.x] = int32(pos)
			}
			pc++
			continue
		case inMark:
			m.stack = append(m.stack, choice{kind: choiceUnmark, pc: in.x, far: m.marks[in.x]})
			m.marks[in.x] = int32(pos)
			pc++
			continue
		case inAgain:
			switch {
			case int(m.marks[in.min]) == pos:
				pc++
			case in.greedy:
				m.stack = append(m.stack, choice{kind: choiceGo, pc: int32(pc + 1), pos: int32(pos)})
				pc = int(in.x)
			default:
				m.stack = append(m.stack, choice{kind: choiceGo, pc: in.x, pos: int32(pos)})
				pc++
			}
			continue
		default:
			if holds(in.op, s, pos) {
				pc++
				continue
			}
		}
	back:
		if m.fuel--; m.fuel < 0 {
			return 0, exhausted
		}
		var ok bool
		if pc, pos, ok = m.back(code, s); !ok {
			return 0, noMatch
		}
	}
}

// loop enters a loop over one set at pos; the position from which to go on, and what is left to try goes on the stack.
func (m *machine) loop(in *inst, s string, pc, pos int) (int, bool) {
	far := len(s)
	if in.max >= 0 && pos+int(in.max) < far {
		far = pos + int(in.max)
	}
	low := pos + int(in.min)
	if low > far {
		return 0, false
	}
	if in.greedy || in.disjoint {
		p := pos
		for p < far && in.set[s[p]] {
			p++
		}
		m.fuel -= (p - pos) / 8
		if p < low {
			return 0, false
		}
		if in.disjoint {
			return p, p < len(s) && in.first[s[p]]
		}
		if p > low {
			m.stack = append(m.stack, choice{kind: choiceBack, pc: int32(pc + 1), pos: int32(low), far: int32(p - 1)})
		}
		return p, true
	}
	p := pos
	for p < low {
		if !in.set[s[p]] {
			return 0, false
		}
		p++
	}
	return m.lazy(in, s, pc, p, far)
}

// lazy goes on from p, at most to far, until what follows the loop can begin.
func (m *machine) lazy(in *inst, s string, pc, p, far int) (int, bool) {
	if in.first != nil {
		from := p
		for p == len(s) || !in.first[s[p]] {
			if p >= far || !in.set[s[p]] {
				return 0, false
			}
			p++
		}
		m.fuel -= (p - from) / 8
	}
	if p < far && in.set[s[p]] {
		m.stack = append(m.stack, choice{kind: choiceOn, pc: int32(pc), pos: int32(p + 1), far: int32(far)})
	}
	return p, true
}

// back takes the last choice back and gives where to go on.
func (m *machine) back(code []inst, s string) (pc, pos int, ok bool) {
	for len(m.stack) > 0 {
		top := &m.stack[len(m.stack)-1]
		switch top.kind {
		case choiceGo:
			pc, pos = int(top.pc), int(top.pos)
			m.stack = m.stack[:len(m.stack)-1]
			return pc, pos, true
		case choiceUnmark:
			m.marks[top.pc] = top.far
			m.stack = m.stack[:len(m.stack)-1]
		case choiceUndo:
			m.caps[top.pc] = top.far
			m.stack = m.stack[:len(m.stack)-1]
		case choiceBack:
			p := int(top.far)
			if first := code[top.pc-1].first; first != nil {
				for p >= int(top.pos) && !first[s[p]] { // p < len(s): the loop had taken s[p]
					p--
				}
			}
			if p < int(top.pos) {
				m.stack = m.stack[:len(m.stack)-1]
				continue
			}
			pc, pos = int(top.pc), p
			if p == int(top.pos) {
				m.stack = m.stack[:len(m.stack)-1]
			} else {
				top.far = int32(p - 1)
			}
			return pc, pos, true
		case choiceOn:
			c := *top
			m.stack = m.stack[:len(m.stack)-1]
			if p, ok := m.lazy(&code[c.pc], s, int(c.pc), int(c.pos), int(c.far)); ok {
				return int(c.pc) + 1, p, true
			}
		}
	}
	return 0, 0, false
}

// holds tests an assertion.
func holds(op instOp, s string, pos int) bool {
	switch op {
	case inBegin:
		return pos == 0
	case inEnd:
		return pos == len(s)
	case inEndNL:
		return pos == len(s) || pos == len(s)-1 && s[pos] == '\n'
	case inEndLine:
		return pos == len(s) || s[pos] == '\n'
	case inWordB:
		return atBoundary(s, pos)
	case inNoWordB:
		return !atBoundary(s, pos)
	}
	return false
}

func atBoundary(s string, pos int) bool {
	before := pos > 0 && isWord(s[pos-1])
	after := pos < len(s) && isWord(s[pos])
	return before != after
}
