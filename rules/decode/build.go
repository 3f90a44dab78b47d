package decode

import (
	"slices"

	"github.com/vedette-hids/vedette/pattern"
)

// startAll lets the walk begin at every member.
func (l *list) startAll() {
	l.start = make([]uint64, l.words())
	for i := range l.nodes {
		setBit(l.start, i)
	}
}

// groupSiblings finds the groups of same-named children. A group is entered at its first member only and followed by name. In exact mode
// a group whose members are scattered is followed as OSSEC does: the node after a member comes next, whatever its name, and a failed
// member hides what stands after it (spec section 6).
func (l *list) groupSiblings(exact bool) {
	l.startAll()
	l.next = make([]int, len(l.nodes))
	last := map[string]int{}
	scattered := false
	for i, n := range l.nodes {
		l.next[i] = -1
		if before, ok := last[n.name]; ok {
			l.next[before] = i
			l.start[i/64] &^= 1 << (i % 64)
			scattered = scattered || before != i-1
		}
		last[n.name] = i
	}
	if exact && scattered {
		l.followOrder()
	}
}

// followOrder turns next into OSSEC's meaning and fills resume.
func (l *list) followOrder() {
	l.startAll()
	l.resume = make([]int, len(l.nodes))
	for i := range l.nodes {
		if l.next[i] >= 0 {
			l.next[i] = i + 1
		}
	}
	for i := range l.nodes {
		j := i + 1
		if l.next[i] >= 0 {
			for j < len(l.nodes) && l.next[j] >= 0 {
				j++
			}
			j++
		}
		l.resume[i] = j
	}
}

// minIndexed is the number of members from which an index pays.
const minIndexed = 3

// minLiteralMembers is the number of members without usable prefix from which one scan of the log for all their literals beats asking
// each.
const minLiteralMembers = 4

// minLiteralLength is the length in bytes under which a literal makes the scan slower than asking the member.
const minLiteralLength = 4

// buildIndex sorts the members where a walk can begin by what their prematch tells about the log.
func (l *list) buildIndex() {
	l.always = append([]uint64(nil), l.start...)
	if len(l.nodes) < minIndexed || l.resume != nil {
		return
	}
	fromLog, fromParent := make([]uint64, l.words()), make([]uint64, l.words())
	prefixes := make([]prefix, len(l.nodes))
	var byLiteral []int
	anyLog, anyParent := false, false
	for i, n := range l.nodes {
		if l.start[i/64]&(1<<(i%64)) == 0 || n.prematch == nil {
			continue
		}
		prefixes[i] = n.prematchPrefix
		switch {
		case len(n.prematchPrefix) == 0:
			byLiteral = append(byLiteral, i)
			continue
		case n.preAt == afterParent:
			setBit(fromParent, i)
			anyParent = true
		default:
			setBit(fromLog, i)
			anyLog = true
		}
		l.always[i/64] &^= 1 << (i % 64)
	}
	if anyLog {
		l.fromLog = newPrefixIndex(prefixes, fromLog)
	}
	if anyParent {
		l.fromParent = newPrefixIndex(prefixes, fromParent)
	}
	if len(byLiteral) >= minLiteralMembers {
		l.buildLiterals(byLiteral)
	}
	l.hasIndex = anyLog || anyParent || l.literals != nil
}

// buildLiterals makes the automaton of the literals that the prematches of members need.
func (l *list) buildLiterals(members []int) {
	var lits []string
	for _, i := range members {
		p, ok := l.nodes[i].prematch.(interface{ Literals() ([]string, bool) })
		if !ok {
			continue
		}
		need, ok := p.Literals()
		if !ok || slices.ContainsFunc(need, func(lit string) bool { return len(lit) < minLiteralLength }) {
			continue
		}
		for _, lit := range need {
			lits = append(lits, lit)
			l.literalOf = append(l.literalOf, i)
		}
		l.always[i/64] &^= 1 << (i % 64)
	}
	if len(lits) > 0 {
		l.literals = pattern.NewAutomaton(lits)
	}
}

// buildProgramIndex prepares the choice of decoders by program name.
func (l *list) buildProgramIndex() {
	prefixes := make([]prefix, len(l.nodes))
	for i, n := range l.nodes {
		prefixes[i] = n.programPrefix
	}
	l.programIndex = newPrefixIndex(prefixes, l.start)
}
