package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// Explanation says what became of an event and why.
type Explanation struct {
	Final  *Rule        // nil: no rule matches
	Tried  []*Explained // root rules, in order
	Reason Reason       // why the event would not even be matched
}

// Explained is one rule that was tried.
type Explained struct {
	Rule    *Rule
	Matched bool         // all its conditions hold
	Final   bool         // it is the rule that the event ends in
	Tests   []Condition  // the conditions in the order of testing, up to and with the first that fails
	Tried   []*Explained // its children, if it matched
}

// Condition is one condition of a rule and what it met.
type Condition struct {
	Element string // "pcre2", "srcip", "if_matched_sid"
	Want    string // as written in the rule
	Have    string // what the event has
	Missing bool   // the event does not have the value at all
	Holds   bool
	Detail  string // for conditions with a memory: how far they are, or why they were not asked
	onLog   bool   // Have is the log
}

// Explain tells which rules are tried for an event and why each of them does or does not match. It changes nothing: searches are not
// marked, and conditions that cannot be asked without recording the event (if_fts, check_diff) are taken to hold.
func (s *State) Explain(p *Prepared, now time.Time) *Explanation {
	s.take(p, now)
	defer func() { s.ev = nil }()
	x := &Explanation{Reason: p.drop}
	if p.drop != NotDropped {
		return x
	}
	if p.Event.Type == event.TypeOSSECAlert {
		x.Final = s.rs.byID[p.Event.ForwardedRule]
		return x
	}
	w := explainer{s: s, p: p}
	for i := int32(0); i < s.rs.roots && x.Final == nil; i++ {
		if s.rs.nodes[i].rule.Category != p.Event.Type {
			continue
		}
		var e *Explained
		e, x.Final = w.explain(i)
		x.Tried = append(x.Tried, e)
	}
	return x
}

type explainer struct {
	s *State
	p *Prepared
}

func (w *explainer) explain(i int32) (*Explained, *Rule) {
	n := &w.s.rs.nodes[i]
	e := &Explained{Rule: n.rule, Tests: w.conditions(n.rule)}
	if k := len(e.Tests); k > 0 && !e.Tests[k-1].Holds {
		return e, nil
	}
	e.Matched = true
	for c := n.first; c < n.last; c++ {
		child, final := w.explain(c)
		e.Tried = append(e.Tried, child)
		if final != nil {
			return e, final
		}
	}
	if n.rule.NoAlert {
		return e, nil
	}
	e.Final = true
	return e, n.rule
}

// conditions lists the conditions of r up to the first that fails.
func (w *explainer) conditions(r *Rule) (out []Condition) {
	add := func(c Condition) bool {
		out = append(out, c)
		return c.Holds
	}
	ev := w.p.Event
	if r.conds.decoded {
		have := ev.DecodedAs
		if !add(Condition{Element: "decoded_as", Want: r.conds.decodedAs, Have: have, Missing: have == "", Holds: have == r.conds.decodedAs}) {
			return out
		}
	}
	for i := range r.tests {
		t := &r.tests[i]
		c := t.describe(r, w.p)
		c.Holds = t.holds(r, w.p)
		if !add(c) {
			return out
		}
	}
	if r.flags&flagDiff != 0 && !add(Condition{Element: "check_diff", Have: ev.Log, Holds: true, Detail: "not asked, as asking stores the text"}) {
		return out
	}
	if r.flags&flagFTS != 0 && !add(w.fts()) {
		return out
	}
	for i := range r.conds.lists {
		l := &r.conds.lists[i]
		have, ok := l.field.value(ev)
		c := Condition{Element: "list", Want: l.name, Have: have, Missing: !ok, Holds: l.holds(ev, w.s.rs.opts.OssecExact)}
		if l.handle == nil {
			c.Detail = "the list is not declared in <rules>"
		}
		if !add(c) {
			return out
		}
	}
	if r.isCorrelation() && r.flags&flagDiff == 0 {
		add(w.correlation(r))
	}
	return out
}

func (w *explainer) fts() Condition {
	ev := w.p.Event
	c := Condition{Element: "if_fts", Holds: true, Detail: "not asked, as asking records the event"}
	switch {
	case ev.FirstSeen:
		c.Detail = "seen for the first time"
	case !ev.FTS:
		c.Holds, c.Missing, c.Detail = false, true, "the decoder has no <fts>"
	}
	return c
}

// describe fills in element, wanted and present value.
func (t *test) describe(r *Rule, p *Prepared) Condition {
	ev := p.Event
	field := func(name, want string, f event.Field) Condition {
		v, ok := ev.Fields.Get(f)
		return Condition{Element: name, Want: want, Have: v, Missing: !ok}
	}
	addresses := func(ts []addrTest) string {
		var all []string
		for _, a := range ts {
			all = append(all, a.text)
		}
		return strings.Join(all, " ")
	}
	switch t.kind {
	case testText, testNever:
		v, ok := t.subject.value(ev)
		name := t.subject.element(r.conds.text[t.subject].plain == nil)
		return Condition{Element: name, Want: t.m.String(), Have: v, Missing: !ok, onLog: t.subject == subLog || t.subject == subRegex}
	case testAction:
		return field("action", *r.conds.action, event.Action)
	case testField:
		c := Condition{Element: "field " + t.field.name, Want: t.field.regex.String(), Missing: true}
		for _, d := range ev.Dynamic {
			if strings.EqualFold(d.Name, t.field.name) {
				c.Have, c.Missing = d.Value, false
				break
			}
		}
		return c
	case testSrcIP:
		return field("srcip", addresses(r.conds.srcIP), event.SrcIP)
	case testDstIP:
		return field("dstip", addresses(r.conds.dstIP), event.DstIP)
	case testCompiled:
		return Condition{Element: "compiled_rule", Want: r.conds.compiled.String()}
	case testMaxSize:
		return Condition{Element: "maxsize", Want: fmt.Sprintf("at least %d bytes", r.maxSize), Have: fmt.Sprintf("%d bytes", len(ev.Log))}
	case testTime:
		p.clock()
		return Condition{Element: "time", Want: r.conds.time.from + "-" + r.conds.time.to, Have: fmt.Sprintf("%02d:%02d", p.minute/60, p.minute%60)}
	case testWeekday:
		p.clock()
		return Condition{Element: "weekday", Have: time.Weekday(p.day).String()}
	}
	return Condition{}
}

var searchNames = map[searchKind]string{searchSID: "if_matched_sid", searchGroup: "if_matched_group", searchRegex: "if_matched_regex"}

// correlation tells how far a correlation rule is.
func (w *explainer) correlation(r *Rule) Condition {
	c := Condition{Element: searchNames[r.search.kind]}
	switch r.search.kind {
	case searchSID:
		if r.search.target == nil {
			c.Detail = "the counted rule is not loaded before this one"
			return c
		}
		c.Want = fmt.Sprint(r.search.target.ID)
	case searchGroup:
		c.Want = r.search.group
	case searchRegex:
		if r.search.regex != nil {
			c.Want = r.search.regex.String()
		}
	}
	n, ok := w.s.corr.peek(r, w.s.ev, w.s.now, w.s.shard)
	c.Holds = ok
	if ok {
		n++
	}
	c.Detail = fmt.Sprintf("%d of %d earlier events within %d seconds", n, r.Frequency+1, r.timeframe)
	return c
}

// String gives the explanation as an indented text, a line per rule and failing condition. The log itself is not repeated in it.
func (x *Explanation) String() string {
	var b strings.Builder
	if x.Reason != NotDropped {
		fmt.Fprintf(&b, "not matched: %s\n", x.Reason)
	}
	for _, e := range x.Tried {
		e.write(&b, 0)
	}
	if x.Final == nil {
		b.WriteString("no rule matches\n")
	} else {
		fmt.Fprintf(&b, "final rule: %d (level %d)\n", x.Final.ID, x.Final.Level)
	}
	return b.String()
}

func (e *Explained) write(b *strings.Builder, depth int) {
	verdict := "matches: " + e.Rule.Description
	if !e.Matched {
		c := e.Tests[len(e.Tests)-1]
		if c.onLog {
			c.Have = ""
		}
		verdict = "does not match: " + c.String()
	}
	fmt.Fprintf(b, "%s%d (level %d) %s\n", strings.Repeat("  ", depth), e.Rule.ID, e.Rule.Level, verdict)
	for _, c := range e.Tried {
		c.write(b, depth+1)
	}
}

// String says in one line what was wanted and what was there.
func (c Condition) String() string {
	s := "<" + c.Element + ">"
	if c.Want != "" {
		s += fmt.Sprintf(" %q", c.Want)
	}
	switch {
	case c.Missing && c.Detail == "":
		s += ", the event has no such value"
	case c.Have != "":
		s += fmt.Sprintf(", the event has %q", c.Have)
	}
	if c.Detail != "" {
		s += ", " + c.Detail
	}
	return s
}
