package pattern

// The program is what vm.go runs: a flat form of the tree, over bytes.

type instOp uint8

const (
	inMatch instOp = iota
	inLit          // compare lit
	inSet          // one byte of set
	inLoop         // bytes of set, min to max, greedy or lazy
	inSplit        // try the next instruction, then x
	inJump         // go on at x
	inSave         // remember the position in slot x
	inMark         // remember the position in mark x
	inAgain        // unless the position is still that of mark min: jump to x, or, lazily, go on and try x later
	inFail         // no match
	inBegin        // assertions
	inEnd
	inEndNL
	inEndLine
	inWordB
	inNoWordB
)

type table [256]bool

type inst struct {
	op       instOp
	greedy   bool
	disjoint bool // inLoop: what follows begins with a byte outside set, so that only one length can match
	x        int32
	min, max int32 // inLoop; max < 0: unlimited
	lit      string
	set      *table
	first    *table // inLoop: bytes with which what follows begins; inSplit: the next instruction's. nil: not known
	firstX   *table // inSplit: bytes with which x begins
}

type program struct {
	code     []inst
	captures int
	marks    int
	anchored bool
	first    *table // bytes with which a match begins; nil: not known
	lead     finder // literal with which every match begins; empty: none
	newline  bool   // has an assertion that looks at a final newline
}

// maxProgram is the number of instructions above which a pattern is left to the linear engine.
const maxProgram = 4000

type compiler struct {
	code   []inst
	marks  int
	tables map[byteSet]*table
}

// compileProgram translates a tree. ok is false when it needs more than the program can do, or too much room.
func compileProgram(n *node, captures int) (*program, bool) {
	if n.any(needsMore) {
		return nil, false
	}
	c := &compiler{tables: make(map[byteSet]*table)}
	if !c.emit(n) {
		return nil, false
	}
	c.add(inst{op: inMatch})
	p := &program{code: c.code, captures: captures, marks: c.marks, anchored: n.isAnchored()}
	p.newline = n.any(func(n *node) bool { return n.op == opEndNL })
	c.lookAhead()
	if set, ok := c.firstOf(0); ok {
		p.first = c.table(set)
	}
	at := 0
	for p.code[at].op == inSave {
		at++
	}
	if p.code[at].op == inLit {
		p.lead = newFinder(p.code[at].lit)
	}
	return p, true
}

// needsMore reports whether a node is beyond the program and beyond RE2: lookaround and the like.
func needsMore(n *node) bool {
	switch n.op {
	case opLook, opAtomic, opBackref, opCond, opBeginLine:
		return true
	}
	return false
}

// repeatsEmpty reports whether a node repeats something that can be empty. RE2 matches the same texts then, but captures differ.
func repeatsEmpty(n *node) bool {
	return n.op == opRepeat && n.max != 0 && n.max != 1 && n.subs[0].canBeEmpty()
}

func (c *compiler) add(i inst) int {
	c.code = append(c.code, i)
	return len(c.code) - 1
}

func (c *compiler) table(s *byteSet) *table {
	key := *s
	key.wide = false
	t := c.tables[key]
	if t == nil {
		t = new(table)
		for i := range t {
			t[i] = s.has(byte(i))
		}
		c.tables[key] = t
	}
	return t
}

var assertions = map[nodeOp]instOp{
	opBegin: inBegin, opEnd: inEnd, opEndNL: inEndNL, opEndLine: inEndLine, opWordB: inWordB, opNoWordB: inNoWordB, opNever: inFail,
}

func (c *compiler) emit(n *node) bool {
	if len(c.code) > maxProgram {
		return false
	}
	switch n.op {
	case opEmpty:
	case opLit:
		c.add(inst{op: inLit, lit: n.lit})
	case opSet:
		c.add(inst{op: inSet, set: c.table(n.set)})
	case opRune:
		c.emitRune(n.r)
	case opCapture:
		c.add(inst{op: inSave, x: int32(2*n.n - 2)})
		if !c.emit(n.subs[0]) {
			return false
		}
		c.add(inst{op: inSave, x: int32(2*n.n - 1)})
	case opConcat:
		for _, s := range n.subs {
			if !c.emit(s) {
				return false
			}
		}
	case opAlt:
		return c.emitAlt(n.subs)
	case opRepeat:
		return c.emitRepeat(n)
	default:
		c.add(inst{op: assertions[n.op]})
	}
	return true
}

// emitRune emits a character above 127. The program runs on ASCII texts then, where only its ASCII case partner can stand.
func (c *compiler) emitRune(r rune) {
	if k := canon(r); k < 128 {
		c.add(inst{op: inLit, lit: string(k)})
		return
	}
	c.add(inst{op: inFail})
}

func (c *compiler) emitAlt(subs []*node) bool {
	var jumps []int
	for i, s := range subs {
		if i+1 == len(subs) {
			if !c.emit(s) {
				return false
			}
			break
		}
		split := c.add(inst{op: inSplit})
		if !c.emit(s) {
			return false
		}
		jumps = append(jumps, c.add(inst{op: inJump}))
		c.code[split].x = int32(len(c.code))
	}
	for _, j := range jumps {
		c.code[j].x = int32(len(c.code))
	}
	return true
}

func (c *compiler) emitRepeat(n *node) bool {
	body := n.subs[0]
	if set := body.single(); set != nil {
		if n.max != 0 {
			c.add(inst{op: inLoop, set: c.table(set), min: int32(n.min), max: int32(n.max), greedy: n.greedy})
		}
		return true
	}
	if n.max < 0 {
		return c.emitUnlimited(body, n.min, n.greedy)
	}
	for range n.min {
		if !c.emit(body) {
			return false
		}
	}
	var skips []int
	for range n.max - n.min {
		skips = append(skips, c.option(n.greedy))
		if !c.emit(body) {
			return false
		}
	}
	for _, s := range skips {
		c.code[s].x = int32(len(c.code))
	}
	return true
}

// option begins a part that may be left out: greedy prefers to go on, lazy prefers to leave it. It returns the instruction whose x is
// to be set to the end of the part.
func (c *compiler) option(greedy bool) int {
	split := c.add(inst{op: inSplit})
	if greedy {
		return split
	}
	skip := c.add(inst{op: inJump})
	c.code[split].x = int32(len(c.code))
	return skip
}

// emitUnlimited emits min copies of body of which the last one is repeated. A round that took no text is the last round.
func (c *compiler) emitUnlimited(body *node, min int, greedy bool) bool {
	for range min - 1 {
		if !c.emit(body) {
			return false
		}
	}
	skip := -1
	if min == 0 {
		skip = c.option(greedy)
	}
	start := len(c.code)
	if body.canBeEmpty() {
		mark := int32(c.marks)
		c.marks++
		c.add(inst{op: inMark, x: mark})
		if !c.emit(body) {
			return false
		}
		c.add(inst{op: inAgain, x: int32(start), min: mark, greedy: greedy})
	} else {
		if !c.emit(body) {
			return false
		}
		if greedy {
			split := c.add(inst{op: inSplit})
			c.add(inst{op: inJump, x: int32(start)})
			c.code[split].x = int32(len(c.code))
		} else {
			c.add(inst{op: inSplit, x: int32(start)})
		}
	}
	if skip >= 0 {
		c.code[skip].x = int32(len(c.code))
	}
	return true
}

// lookAhead notes at loops and splits which bytes can come next, so that the matcher need not try what cannot match.
func (c *compiler) lookAhead() {
	if len(c.code) > 400 {
		return // each step below walks over the code
	}
	for i := range c.code {
		in := &c.code[i]
		switch in.op {
		case inLoop:
			if set, ok := c.firstOf(i + 1); ok {
				in.first = c.table(set)
				in.disjoint = in.max < 0 && !overlap(in.set, in.first)
			}
		case inSplit:
			if set, ok := c.firstOf(i + 1); ok {
				in.first = c.table(set)
			}
			if set, ok := c.firstOf(int(in.x)); ok {
				in.firstX = c.table(set)
			}
		}
	}
}

func overlap(a, b *table) bool {
	for i := range a {
		if a[i] && b[i] {
			return true
		}
	}
	return false
}

// firstOf gives the bytes with which a match of the code at pc must begin; ok is false when it may match without a byte.
func (c *compiler) firstOf(pc int) (*byteSet, bool) {
	set := &byteSet{}
	seen := make(map[int]bool)
	return set, c.collectFirst(pc, set, seen)
}

func (c *compiler) collectFirst(pc int, set *byteSet, seen map[int]bool) bool {
	for {
		if seen[pc] {
			return true
		}
		seen[pc] = true
		in := &c.code[pc]
		switch in.op {
		case inFail:
			return true
		case inLit:
			set.add(in.lit[0])
			set.add(otherCase(in.lit[0]))
			return true
		case inSet:
			addTable(set, in.set)
			return true
		case inLoop:
			addTable(set, in.set)
			if in.min > 0 {
				return true
			}
		case inSplit, inAgain:
			if !c.collectFirst(int(in.x), set, seen) {
				return false
			}
		case inJump:
			pc = int(in.x)
			continue
		case inSave, inMark, inBegin, inWordB, inNoWordB:
		default: // inMatch, and the assertions that hold at the end
			return false
		}
		pc++
	}
}

func addTable(set *byteSet, t *table) {
	for i := range t {
		if t[i] {
			set.add(byte(i))
		}
	}
}
