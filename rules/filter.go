package rules

import (
	"math/bits"
	"strings"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/pattern"
)

// The pre-filter answers two questions before any pattern of a rule is run. Which positions can be reached by events of this class
// (decoder, type, program name, which fields are set)? The answer is computed once per class and kept. And which positions' patterns
// can match this very text? For that each position has at most one deciding pattern whose required literals stand in one automaton per
// subject. Both only ever leave out positions whose conditions cannot hold (spec rules.md, section 18).

// filter is the immutable part.
type filter struct {
	words    int
	always   []uint64 // positions without a deciding pattern
	subjects []subjectFilter
	programs []programTest
	progAt   []uint64 // positions with a program name condition
}

// subjectFilter finds, for one subject, the positions whose deciding pattern can match.
type subjectFilter struct {
	sub   subject
	auto  *pattern.Automaton
	masks [][]wordMask // of each literal: the positions that it allows
	at    []uint64     // positions decided here
}

// wordMask is a piece of a set of positions.
type wordMask struct {
	word int32
	mask uint64
}

// programTest is one distinct program name condition and the positions that have it.
type programTest struct {
	m  matcher
	at []wordMask
}

// add adds a position; positions come in ascending order.
func (t *programTest) add(i int) {
	w := int32(i >> 6)
	if n := len(t.at); n == 0 || t.at[n-1].word != w {
		t.at = append(t.at, wordMask{word: w})
	}
	t.at[len(t.at)-1].mask |= 1 << (i & 63)
}

// literalsOf gives the required literals of a pattern, when it has any.
func literalsOf(m matcher) ([]string, bool) {
	if l, ok := m.(interface{ Literals() ([]string, bool) }); ok {
		return l.Literals()
	}
	return nil, false
}

func (rs *Ruleset) buildFilter() {
	f := &rs.filter
	f.words = (len(rs.nodes) + 63) / 64
	f.always = make([]uint64, f.words)
	f.progAt = make([]uint64, f.words)
	type building struct {
		lits  []string
		index map[string]int
		masks []map[int32]uint64
		at    []uint64
	}
	var subs [numSubjects]*building
	programs := map[string]int{}
	for i := range rs.nodes {
		r := rs.nodes[i].rule
		if m := r.conds.text[subProgram].active(); m != nil {
			setBit(f.progAt, i)
			key := patternKey(m)
			at, ok := programs[key]
			if !ok {
				at = len(f.programs)
				programs[key] = at
				f.programs = append(f.programs, programTest{m: m})
			}
			f.programs[at].add(i)
		}
		sub, lits, ok := r.deciding()
		if !ok {
			setBit(f.always, i)
			continue
		}
		b := subs[sub]
		if b == nil {
			b = &building{index: map[string]int{}, at: make([]uint64, f.words)}
			subs[sub] = b
		}
		setBit(b.at, i)
		for _, l := range lits {
			at, ok := b.index[l]
			if !ok {
				at = len(b.lits)
				b.index[l] = at
				b.lits = append(b.lits, l)
				b.masks = append(b.masks, map[int32]uint64{})
			}
			b.masks[at][int32(i>>6)] |= 1 << (i & 63)
		}
	}
	for s, b := range subs {
		if b == nil {
			continue
		}
		sf := subjectFilter{sub: subject(s), auto: pattern.NewAutomaton(b.lits), at: b.at}
		for _, m := range b.masks {
			var wm []wordMask
			for w, mask := range m {
				wm = append(wm, wordMask{w, mask})
			}
			sf.masks = append(sf.masks, wm)
		}
		f.subjects = append(f.subjects, sf)
	}
}

// patternKey tells patterns of different languages apart.
func patternKey(m matcher) string {
	switch m.(type) {
	case *pattern.Match:
		return "m:" + m.String()
	case *pattern.PCRE2:
		return "p:" + m.String()
	}
	return "r:" + m.String()
}

// deciding chooses the pattern whose literals decide whether the rule is looked at: the one with the longest literals.
func (r *Rule) deciding() (sub subject, lits []string, ok bool) {
	best := 0
	for i := range r.tests {
		t := &r.tests[i]
		if t.kind != testText || t.subject == subProgram || t.subject == subHost {
			continue
		}
		l, has := literalsOf(t.m)
		if !has {
			continue
		}
		score := 16
		for _, s := range l {
			score = min(score, len(s))
		}
		if score > best {
			best, lits, sub, ok = score, l, t.subject, true
		}
	}
	if sub == subRegex {
		sub = subLog
	}
	return sub, lits, ok
}

func setBit(set []uint64, i int) { set[i>>6] |= 1 << (i & 63) }

// classKey identifies a class of events.
type classKey struct {
	decoder int32 // number of the decoder name, 0 = none that a rule mentions
	program uint32
	fields  uint32
	typ     event.DecoderType
	dynamic bool
}

// class is what holds for all events of a class.
type class struct {
	live []uint64 // positions that can be reached
	scan uint32   // subject filters that are of use, a bit each
}

// Limits of the caches, since senders choose program names and fields freely.
const (
	maxClasses     = 2048
	maxPrograms    = 2048
	maxProgramName = 64
)

// hitSet is the set of literals that a scan found.
type hitSet = pattern.Bitset

// classify finds the class of an event.
func (rs *Ruleset) classify(ev *event.Event, sc *Scratch) *class {
	if sc.owner != rs {
		sc.owner = rs
		sc.classes = map[classKey]*class{}
		sc.programs = map[string]uint32{}
		sc.sigs = map[string]uint32{}
		sc.hits = make([]uint64, rs.filter.words)
		sc.lits = hitSet{}
	}
	k := classKey{decoder: rs.decoded[ev.DecodedAs], fields: ev.Fields.Mask(), typ: ev.Type, dynamic: len(ev.Dynamic) > 0}
	if ev.HasProgram {
		k.program = rs.programSignature(ev.ProgramName, sc)
	}
	if c := sc.classes[k]; c != nil {
		return c
	}
	if len(sc.classes) >= maxClasses {
		clear(sc.classes)
	}
	c := rs.newClass(ev)
	sc.classes[k] = c
	return c
}

// programSignature numbers the set of program name conditions that a name fulfils, from 1.
func (rs *Ruleset) programSignature(name string, sc *Scratch) uint32 {
	if s, ok := sc.programs[name]; ok {
		return s
	}
	key := make([]byte, (len(rs.filter.programs)+7)/8)
	for i := range rs.filter.programs {
		if rs.filter.programs[i].m.MatchString(name) {
			key[i>>3] |= 1 << (i & 7)
		}
	}
	s, ok := sc.sigs[string(key)]
	if !ok {
		if len(sc.sigs) >= maxClasses {
			// Signatures are part of the keys of classes: both start anew.
			clear(sc.sigs)
			clear(sc.programs)
			clear(sc.classes)
		}
		s = uint32(len(sc.sigs)) + 1
		sc.sigs[string(key)] = s
	}
	if len(name) <= maxProgramName {
		if len(sc.programs) >= maxPrograms {
			clear(sc.programs)
		}
		sc.programs[strings.Clone(name)] = s
	}
	return s
}

// newClass computes which positions events like ev can reach.
func (rs *Ruleset) newClass(ev *event.Event) *class {
	f := &rs.filter
	c := &class{live: make([]uint64, f.words)}
	program := make([]uint64, f.words)
	copy(program, f.progAt)
	for i := range program {
		program[i] = ^program[i]
	}
	if ev.HasProgram {
		for i := range f.programs {
			if f.programs[i].m.MatchString(ev.ProgramName) {
				for _, m := range f.programs[i].at {
					program[m.word] |= m.mask
				}
			}
		}
	}
	for i := range rs.nodes {
		n := &rs.nodes[i]
		switch {
		case n.parent >= 0 && c.live[n.parent>>6]>>(n.parent&63)&1 == 0:
		case n.parent < 0 && n.rule.Category != ev.Type:
		case program[i>>6]>>(i&63)&1 == 0:
		case !n.rule.possible(ev):
		default:
			setBit(c.live, i)
		}
	}
	for i := range f.subjects {
		sf := &f.subjects[i]
		for w, b := range sf.at {
			if b&c.live[w] != 0 {
				c.scan |= 1 << i
				break
			}
		}
	}
	return c
}

// possible tests what is the same for all events of ev's class: the decoder, and whether the fields that are tested are there.
func (r *Rule) possible(ev *event.Event) bool {
	if r.conds.decoded && ev.DecodedAs != r.conds.decodedAs {
		return false
	}
	for i := range r.tests {
		t := &r.tests[i]
		ok := true
		switch t.kind {
		case testText:
			_, ok = t.subject.value(ev)
		case testAction:
			ok = ev.Fields.Has(event.Action)
		case testField:
			ok = len(ev.Dynamic) > 0
		case testSrcIP:
			ok = ev.Fields.Has(event.SrcIP)
		case testDstIP:
			ok = ev.Fields.Has(event.DstIP)
		case testNever:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}

// scan fills sc.hits with the positions whose deciding patterns can match the event.
func (rs *Ruleset) scan(ev *event.Event, c *class, sc *Scratch) {
	f := &rs.filter
	copy(sc.hits, f.always)
	for i := range f.subjects {
		if c.scan>>i&1 == 0 {
			continue
		}
		sf := &f.subjects[i]
		v, ok := sf.sub.value(ev)
		if !ok {
			continue
		}
		sf.auto.Scan(v, &sc.lits)
		words := sc.lits.Words()
		for w, word := range words {
			if word == 0 {
				continue
			}
			words[w] = 0
			for ; word != 0; word &= word - 1 {
				for _, m := range sf.masks[w<<6+bits.TrailingZeros64(word)] {
					sc.hits[m.word] |= m.mask
				}
			}
		}
	}
}
