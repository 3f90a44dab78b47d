package rules

import "fmt"

// AppendTrace appends the tried rules as the verbose test tool prints them (spec decoders.md, section 13), a line each.
func AppendTrace(b []byte, steps []Step) []byte {
	for _, s := range steps {
		b = fmt.Appendf(b, "    Trying rule: %d - %s\n", s.Rule.ID, s.Rule.Description)
		if s.Matched {
			b = fmt.Appendf(b, "       *Rule %d matched.\n", s.Rule.ID)
		}
		if s.Children {
			b = append(b, "       *Trying child rules.\n"...)
		}
	}
	return b
}

// tracer walks the whole tree as the spec writes it: one rule after the other, no filter, no index. It serves the verbose test tool and
// the tests, which compare it with the fast way.
type tracer struct {
	s     *State
	p     *Prepared
	steps []Step
}

func (t *tracer) run() *Rule {
	rs := t.s.rs
	for i := int32(0); i < rs.roots; i++ {
		if rs.nodes[i].rule.Category != t.p.Event.Type {
			continue
		}
		if r := t.evaluate(i); r != nil {
			return r
		}
	}
	return nil
}

func (t *tracer) evaluate(i int32) *Rule {
	n := &t.s.rs.nodes[i]
	r := n.rule
	t.steps = append(t.steps, Step{Rule: r})
	at := len(t.steps) - 1
	if !t.holds(r) {
		return nil
	}
	t.steps[at].Matched = true
	t.steps[at].Children = n.first < n.last
	for c := n.first; c < n.last; c++ {
		if f := t.evaluate(c); f != nil {
			return f
		}
	}
	if r.NoAlert {
		return nil
	}
	t.s.fired[r.index]++
	return r
}

func (t *tracer) holds(r *Rule) bool {
	if !r.direct(t.p) {
		return false
	}
	if !r.stateful() {
		return r.listed(t.p)
	}
	return t.s.remembers(r, !r.listed(t.p))
}
