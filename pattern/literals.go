package pattern

import "strings"

// literals is an alternation of literals, each possibly bound to the start or the end of the text, compared with ASCII folding.
type literals struct {
	alts   []literal
	always bool       // an alternative is empty and matches everything
	free   *Automaton // all alternatives without anchors, when they are many
}

type literal struct {
	find       finder
	start, end bool
}

// manyLiterals is the number of unanchored alternatives from which one pass of an automaton beats a search for each.
const manyLiterals = 6

// add appends an alternative in the order of writing.
func (l *literals) add(lit string, start, end bool) {
	if lit == "" && !(start && end) {
		l.always = true
	}
	l.alts = append(l.alts, literal{newFinder(foldASCII(lit)), start, end})
}

// prepare is called after the last add.
func (l *literals) prepare() {
	var free []string
	for i := range l.alts {
		if a := &l.alts[i]; !a.start && !a.end && a.find.lit != "" {
			free = append(free, a.find.lit)
		}
	}
	if len(free) >= manyLiterals {
		l.free = NewAutomaton(free)
	}
}

// match reports whether any alternative matches.
func (l *literals) match(s string) bool {
	if l.always {
		return true
	}
	for i := range l.alts {
		a := &l.alts[i]
		switch {
		case a.start && a.end:
			if equalFold(s, a.find.lit) {
				return true
			}
		case a.start:
			if hasPrefixFold(s, a.find.lit) {
				return true
			}
		case a.end:
			if hasSuffixFold(s, a.find.lit) {
				return true
			}
		case l.free == nil:
			if a.find.index(s, 0) >= 0 {
				return true
			}
		}
	}
	return l.free != nil && l.free.Any(s)
}

// cutNUL cuts a pattern at its first zero byte.
func cutNUL(p string) string {
	if i := strings.IndexByte(p, 0); i >= 0 {
		return p[:i]
	}
	return p
}
