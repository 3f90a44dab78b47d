package pattern

import "slices"

// Limits of the search for required literals.
const (
	maxExact    = 16  // texts of a piece that are followed one by one
	maxRequired = 128 // literals of a whole pattern
)

// need is what is known of the texts a node matches, folded.
type need struct {
	exact []string // all texts, when they are few; nil: unknown
	best  []string // one of these occurs in every text; nil: unknown
}

// requiredLiterals gives folded literals of which one occurs in every folded text that n matches.
func requiredLiterals(n *node) ([]string, bool) {
	f := needOf(n)
	best := better(f.best, f.exact)
	if best == nil || len(best) > maxRequired || shortest(best) < minLiteral {
		return nil, false
	}
	best = slices.Clone(best)
	slices.Sort(best)
	return slices.Compact(best), true
}

func needOf(n *node) need {
	switch n.op {
	case opLit:
		return need{exact: []string{n.lit}}
	case opSet:
		return needOfSet(n.set)
	case opNever:
		return need{exact: []string{}, best: []string{}}
	case opRune, opBackref:
		return need{}
	case opCapture, opAtomic:
		return needOf(n.subs[0])
	case opConcat:
		return needOfConcat(n.subs)
	case opAlt, opCond:
		return needOfAlt(n.subs)
	case opRepeat:
		return needOfRepeat(n)
	}
	return need{exact: []string{""}} // assertions take no text
}

func needOfSet(set *byteSet) need {
	if set.wide || set.count() > 8 {
		return need{}
	}
	var exact []string
	for c := range 256 {
		if set.has(byte(c)) {
			exact = append(exact, string([]byte{lower[c]}))
		}
	}
	exact = slices.Compact(exact)
	slices.Sort(exact)
	exact = slices.Compact(exact)
	if len(exact) > 3 {
		return need{}
	}
	return need{exact: exact}
}

// needOfConcat multiplies neighbouring exact pieces as long as they stay few, and keeps the best of the pieces.
func needOfConcat(subs []*node) need {
	var best []string
	run := []string{""}
	whole := true
	flush := func() {
		best = better(best, run)
		run, whole = []string{""}, false
	}
	for _, s := range subs {
		f := needOf(s)
		best = better(best, f.best)
		if f.exact == nil {
			flush()
			continue
		}
		if len(run)*len(f.exact) > maxExact {
			flush()
			if len(f.exact) > maxExact {
				best = better(best, f.exact)
				continue
			}
		}
		run = product(run, f.exact)
	}
	if whole {
		return need{exact: run, best: best}
	}
	return need{best: better(best, run)}
}

func product(a, b []string) []string {
	out := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			out = append(out, x+y)
		}
	}
	return out
}

func needOfAlt(subs []*node) need {
	out := need{exact: []string{}, best: []string{}}
	for _, s := range subs {
		f := needOf(s)
		if f.exact == nil || out.exact == nil || len(out.exact)+len(f.exact) > maxRequired {
			out.exact = nil
		} else {
			out.exact = append(out.exact, f.exact...)
		}
		b := better(f.best, f.exact)
		if b == nil || out.best == nil || len(out.best)+len(b) > maxRequired {
			out.best = nil
		} else {
			out.best = append(out.best, b...)
		}
	}
	return out
}

func needOfRepeat(n *node) need {
	if n.max == 0 {
		return need{exact: []string{""}}
	}
	f := needOf(n.subs[0])
	if n.min == 0 {
		if n.max == 1 && f.exact != nil && len(f.exact) < maxExact {
			return need{exact: append([]string{""}, f.exact...)}
		}
		return need{}
	}
	if n.min == n.max && f.exact != nil && n.min <= 8 {
		subs := make([]*node, n.min)
		for i := range subs {
			subs[i] = n.subs[0]
		}
		return needOfConcat(subs)
	}
	return need{best: better(f.best, f.exact)}
}

// better chooses between two sets, either of which may be nil (unknown).
func better(a, b []string) []string {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case score(b) > score(a):
		return b
	}
	return a
}

// score prefers long literals, then few.
func score(lits []string) int {
	if len(lits) == 0 {
		return 1 << 20 // never matches: nothing is better
	}
	return 16*min(shortest(lits), 12) - 3*min(len(lits), 40)
}

func shortest(lits []string) int {
	n := 1 << 20
	for _, l := range lits {
		n = min(n, len(l))
	}
	return n
}
