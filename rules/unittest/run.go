package unittest

import (
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/decode"
)

// Failure is one expectation that did not hold.
type Failure struct {
	Case *Case
	Step int    // from 0
	Text string // what was expected and what came
}

// String gives "file:line: name, step N: text".
func (f Failure) String() string {
	step := ""
	if len(f.Case.Steps) > 1 {
		step = fmt.Sprintf(", step %d", f.Step+1)
	}
	return fmt.Sprintf("%s:%d: %s%s: %s", f.Case.File, f.Case.Line, f.Case.Name, step, f.Text)
}

// Report is the result of a run.
type Report struct {
	Cases, Steps int
	Failures     []Failure
	Final        map[int]int // rule id → steps that ended in it
	Matched      map[int]int // rule id → steps in which its conditions held
}

// OK reports whether everything held.
func (r *Report) OK() bool { return len(r.Failures) == 0 }

// Uncovered lists the rules whose conditions never held, in load order. Rules of level 0 that only group others count too.
func (r *Report) Uncovered(rs *rules.Ruleset) []*rules.Rule {
	var out []*rules.Rule
	for _, rule := range rs.Rules() {
		if r.Matched[rule.ID] == 0 {
			out = append(out, rule)
		}
	}
	return out
}

// start is the time of the first step of each case: a Monday, at noon.
var start = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// Run runs the cases, each with a fresh state.
func Run(rs *rules.Ruleset, cases []Case) *Report {
	r := &Report{Final: map[int]int{}, Matched: map[int]int{}}
	var sc rules.Scratch
	var p rules.Prepared
	for i := range cases {
		c := &cases[i]
		r.Cases++
		state := rules.NewState(rs, rules.Stores{})
		now := start
		for j := range c.Steps {
			s := &c.Steps[j]
			now = now.Add(s.After)
			ev := s.event(now)
			rs.Prepare(ev, &sc, &p)
			out := state.Trace(&p, now)
			r.Steps++
			r.cover(&out)
			if text := s.verdict(ev, &out); text != "" {
				r.Failures = append(r.Failures, Failure{c, j, text})
			}
		}
	}
	return r
}

// event makes the event of a step.
func (s *Step) event(now time.Time) *event.Event {
	location := s.Location
	if location == "" {
		location = "stdin"
	}
	ev, err := event.ParseQueue("1:"+location+":"+s.Log, now)
	if err != nil { // too short, or an odd location: the line counts
		ev = event.NewEvent(event.Message{Kind: event.KindLog, Location: location, Text: s.Log}, now)
	}
	return ev
}

func (r *Report) cover(out *rules.Outcome) {
	for _, t := range out.Trace {
		if t.Matched {
			r.Matched[t.Rule.ID]++
		}
	}
	if out.Rule != nil {
		r.Final[out.Rule.ID]++
	}
}

// verdict compares an outcome with the expectations; "" means that the step is fine.
func (s *Step) verdict(ev *event.Event, out *rules.Outcome) string {
	var bad []string
	differ := func(what, got, want string) {
		if want != "" && !strings.EqualFold(got, want) {
			bad = append(bad, fmt.Sprintf("%s %s, want %s", what, got, want))
		}
	}
	rule, level := none, none
	if out.Rule != nil {
		rule, level = strconv.Itoa(out.Rule.ID), strconv.Itoa(out.Rule.Level)
	}
	differ("rule", rule, s.Rule)
	if s.Level != nil {
		differ("level", level, strconv.Itoa(*s.Level))
	}
	decoder := ev.Decoder
	if decoder == "" {
		decoder = none
	}
	differ("decoder", decoder, s.Decoder)
	if s.Alert != nil {
		differ("alert", strconv.FormatBool(out.Alert != nil && out.Alert.Rule.Log), strconv.FormatBool(*s.Alert))
	}
	if s.Group != "" && (out.Rule == nil || !strings.Contains(out.Rule.Groups, s.Group)) {
		bad = append(bad, fmt.Sprintf("the rule is not in group %s", s.Group))
	}
	names := make([]string, 0, len(s.Fields))
	for n := range s.Fields {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		if got, ok := fieldOf(ev, n); !ok {
			bad = append(bad, fmt.Sprintf("field %s is not set, want %q", n, s.Fields[n]))
		} else if got != s.Fields[n] {
			bad = append(bad, fmt.Sprintf("field %s is %q, want %q", n, got, s.Fields[n]))
		}
	}
	switch {
	case s.Fail && len(bad) == 0:
		return fmt.Sprintf("rule %s level %s decoder %s, which must not be", rule, level, decoder)
	case s.Fail:
		return ""
	}
	return strings.Join(bad, "; ")
}

// fieldOf finds a field by the name that the test tool prints.
func fieldOf(ev *event.Event, name string) (string, bool) {
	for f := event.Field(0); f < event.NumFields; f++ {
		if decode.FieldLabel(f) == name {
			return ev.Fields.Get(f)
		}
	}
	return ev.DynamicValue(name)
}

// Write prints the failures, a summary, and with coverage the rules that no step exercised.
func (r *Report) Write(w io.Writer, rs *rules.Ruleset, coverage bool) error {
	var b strings.Builder
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "FAIL %s\n", f)
	}
	uncovered := r.Uncovered(rs)
	total := len(rs.Rules())
	if coverage {
		for _, u := range uncovered {
			fmt.Fprintf(&b, "not covered: rule %d (%s:%d) %s\n", u.ID, u.Pos.File, u.Pos.Line, u.Description)
		}
	}
	fmt.Fprintf(&b, "%d tests, %d lines, %d failures; %d of %d rules covered\n", r.Cases, r.Steps, len(r.Failures), total-len(uncovered), total)
	_, err := io.WriteString(w, b.String())
	return err
}
