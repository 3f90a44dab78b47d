package logtest

import (
	"encoding/json"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/decode"
)

// Result is what became of an event, as --json prints it.
type Result struct {
	FullLog     string            `json:"full_log"`
	Location    string            `json:"location"`
	Hostname    string            `json:"hostname"`
	ProgramName *string           `json:"program_name"` // null: none
	Log         string            `json:"log"`
	Decoder     *Decoder          `json:"decoder"` // null: none matched
	Fields      map[string]string `json:"fields,omitempty"`
	Rule        *Rule             `json:"rule"` // null: none matched
	Alert       bool              `json:"alert"`
	Reason      string            `json:"reason,omitempty"` // why there is no alert
	Previous    []string          `json:"previous,omitempty"`
	Tried       []int             `json:"tried,omitempty"`       // with -v
	Explanation []Tried           `json:"explanation,omitempty"` // with --explain
	Why         string            `json:"why,omitempty"`         // with --explain=rule
}

// Decoder names the decoder of an event.
type Decoder struct {
	Name   string `json:"name"`
	Parent string `json:"parent,omitempty"`
}

// Rule is the rule that an event ends in.
type Rule struct {
	ID          int    `json:"id"`
	Level       int    `json:"level"`
	Description string `json:"description"`
	Groups      string `json:"groups"`
	File        string `json:"file"`
	Line        int    `json:"line"`
	Mail        bool   `json:"mail"`
	FiredTimes  int    `json:"firedtimes"`
}

// Tried is one tried rule with its conditions, up to the first that does not hold, and the child rules tried after it.
type Tried struct {
	ID         int         `json:"id"`
	Level      int         `json:"level"`
	Matched    bool        `json:"matched"`
	Final      bool        `json:"final,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	Tried      []Tried     `json:"tried,omitempty"`
}

// Condition is one condition of a rule.
type Condition struct {
	Element string  `json:"element"`
	Want    string  `json:"want,omitempty"`
	Have    *string `json:"have"` // null: the event has no such value
	Holds   bool    `json:"holds"`
	Detail  string  `json:"detail,omitempty"`
}

// NewResult describes an event that was analysed.
func NewResult(ev *event.Event, out *rules.Outcome) Result {
	res := Result{FullLog: ev.FullLog, Location: ev.Location, Hostname: ev.Hostname, Log: ev.Log, Fields: fields(ev),
		Alert: alerted(out), Reason: out.Reason.String()}
	if ev.HasProgram {
		res.ProgramName = &ev.ProgramName
	}
	if ev.Decoder != "" {
		res.Decoder = &Decoder{ev.Decoder, ev.DecoderParent}
	}
	if r := out.Rule; r != nil {
		res.Rule = &Rule{ID: r.ID, Level: r.Level, Description: r.Description, Groups: r.Groups, File: r.Pos.File, Line: r.Pos.Line,
			Mail: r.Mail, FiredTimes: out.Fired}
	}
	if out.Alert != nil {
		res.Previous = out.Alert.Previous
	}
	for _, s := range out.Trace {
		res.Tried = append(res.Tried, s.Rule.ID)
	}
	return res
}

// fields gives the fields of an event by the names that the tool prints.
func fields(ev *event.Event) map[string]string {
	m := map[string]string{}
	for f := event.Field(0); f < event.NumFields; f++ {
		if v, ok := ev.Fields.Get(f); ok {
			m[decode.FieldLabel(f)] = v
		}
	}
	for _, d := range ev.Dynamic {
		m[d.Name] = d.Value
	}
	return m
}

// TriedRules turns an explanation into its JSON form.
func TriedRules(list []*rules.Explained) []Tried {
	var out []Tried
	for _, e := range list {
		t := Tried{ID: e.Rule.ID, Level: e.Rule.Level, Matched: e.Matched, Final: e.Final, Tried: TriedRules(e.Tried)}
		for _, c := range e.Tests {
			cond := Condition{Element: c.Element, Want: c.Want, Holds: c.Holds, Detail: c.Detail}
			if !c.Missing {
				cond.Have = &c.Have
			}
			t.Conditions = append(t.Conditions, cond)
		}
		out = append(out, t)
	}
	return out
}

func (t *tool) writeJSON(ev *event.Event, out *rules.Outcome, x *rules.Explanation) error {
	res := NewResult(ev, out)
	switch {
	case x == nil:
	case t.explainRule != 0:
		res.Why = Why(t.set.Rules, x, t.explainRule)
	default:
		res.Explanation = TriedRules(x.Tried)
	}
	enc := json.NewEncoder(t.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(res)
}
