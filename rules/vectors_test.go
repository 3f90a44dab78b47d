package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/vectors"
	"github.com/vedette-hids/vedette/rules/decode"
	"github.com/vedette-hids/vedette/rules/list"
)

// ordered is a JSON object whose order of members counts.
type ordered []struct{ Name, Text string }

func (o *ordered) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t == nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var text *string
		if err := dec.Decode(&text); err != nil {
			return err
		}
		if text == nil {
			*o = append(*o, struct{ Name, Text string }{name.(string), "\x00missing"})
			continue
		}
		*o = append(*o, struct{ Name, Text string }{name.(string), *text})
	}
	return nil
}

// ruleCase is one line of cases.jsonl or load.jsonl.
type ruleCase struct {
	Name            string
	RulesFiles      ordered `json:"rules_files"`
	Lists           map[string]string
	ListsCompiled   *bool             `json:"lists_compiled"`
	LogAlertLevel   *int              `json:"log_alert_level"`
	EmailAlertLevel *int              `json:"email_alert_level"`
	InternalOptions map[string]string `json:"internal_options"`
	T0              int64
	LogMessages     []string `json:"log_messages"`
	Outcome         string
	Messages        []string
	Lines           []ruleLine
}

type ruleLine struct {
	Log         string
	Rule        *int
	Level       *int
	Decoder     *string
	Alert       bool
	Tried       []int
	Groups      string
	Mail        bool
	Previous    []string
	T           int64
	Description *string
	Info        [][2]string
}

func vectorDecoders(tb testing.TB) []decode.Source {
	tb.Helper()
	return []decode.Source{{Name: "decoders.xml", Data: vectors.Data(tb, "rules/decoders.xml")}}
}

func (c *ruleCase) sources(tb testing.TB) Sources {
	src := Sources{Decoders: vectorDecoders(tb)}
	for _, f := range c.RulesFiles {
		file := File{Name: "rules/" + f.Name, Data: []byte(f.Text)}
		if f.Text == "\x00missing" {
			file = File{Name: "rules/" + f.Name, Err: os.ErrNotExist}
		}
		src.Rules = append(src.Rules, file)
	}
	for name, text := range c.Lists {
		l := ListFile{Name: list.Name("lists/" + name)}
		if c.ListsCompiled == nil || *c.ListsCompiled {
			l.DB = list.Parse([]byte(text))
		}
		src.Lists = append(src.Lists, l)
	}
	return src
}

func (c *ruleCase) options(exact bool) Options {
	o := DefaultOptions()
	o.OssecExact = exact
	o.SuppressRepeats = false // the test tool does not suppress
	o.LogFirewall = false
	o.LocalHost = "vm"
	o.Location = time.UTC
	o.Responds = func(*event.Rule) bool { return false }
	if c.LogAlertLevel != nil {
		o.LogLevel = *c.LogAlertLevel
	}
	if c.EmailAlertLevel != nil {
		o.EmailLevel = *c.EmailAlertLevel
	}
	for k, v := range c.InternalOptions {
		n, _ := strconv.Atoi(v)
		if k == "analysisd.sid_prev_matched_max" {
			o.SIDPrevMatchedMax = n
		}
	}
	return o
}

// noIgnore is the ignore store of the test tool, which never writes it.
type noIgnore struct{}

func (noIgnore) Add(string)      {}
func (noIgnore) Has(string) bool { return false }

// engine runs lines through one ruleset and state.
type engine struct {
	rs    *Ruleset
	state *State
	sc    Scratch
	p     Prepared
	trace bool
}

func (e *engine) line(log string, at time.Time) (Outcome, *event.Event) {
	ev := event.NewEvent(event.Message{Kind: event.KindLog, Location: "stdin", Text: log}, at)
	e.rs.Prepare(ev, &e.sc, &e.p)
	if e.trace {
		return e.state.Trace(&e.p, at), ev
	}
	return e.state.Process(&e.p, at), ev
}

// exactOnly are the cases of cases.jsonl that pass only with OssecExact, and why.
var exactOnly = map[string]string{
	"list-address_match_key_value": "the inverted lookup is corrected (spec 11.2)",
	"list-three":                   "all lists are enforced (spec 11.2)",
	"list-four":                    "all lists are enforced (spec 11.2)",
	"list-not-compiled":            "a missing list never matches (spec 11.2)",
	"list-not-compiled-addr":       "a missing list never matches (spec 11.2)",
	"list-address-longest-prefix":  "the inverted lookup is corrected (spec 11.2)",

	"overwrite-keeps-pcre2":            "overwrite replaces every condition (spec 6)",
	"overwrite-match-then-pcre2":       "overwrite replaces every condition (spec 6)",
	"overwrite-keeps-regex-pcre2":      "overwrite replaces every condition (spec 6)",
	"overwrite-keeps-user-pcre2":       "overwrite replaces every condition (spec 6)",
	"overwrite-keeps-fields":           "overwrite replaces every condition (spec 6)",
	"overwrite-keeps-info-details":     "overwrite replaces every condition (spec 6)",
	"overwrite-list-kept":              "overwrite replaces every condition (spec 6)",
	"overwrite-correlation-onto-plain": "overwrite installs the correlation search too (spec 6)",
}

func TestCases(t *testing.T) {
	for _, c := range vectors.Read[ruleCase](t, "rules/cases.jsonl") {
		for _, mode := range []struct {
			name         string
			exact, trace bool
		}{{"exact", true, false}, {"trace", true, true}, {"fixed", false, false}} {
			t.Run(c.Name+"/"+mode.name, func(t *testing.T) {
				why := exactOnly[c.Name]
				if !mode.exact && why != "" {
					if c.run(t, mode.exact, mode.trace) {
						t.Errorf("passes without OssecExact: remove it from the list of deviations (%s)", why)
					}
					return
				}
				if !c.run(t, mode.exact, mode.trace) {
					t.Error("differs from the vector")
				}
			})
		}
	}
}

// run reports whether all lines give what the vector says.
func (c *ruleCase) run(t *testing.T, exact, trace bool) (ok bool) {
	rs, probs := Load(c.sources(t), c.options(exact))
	if err := probs.Err(); err != nil {
		t.Logf("load: %v", err)
		return false
	}
	e := &engine{rs: rs, trace: trace}
	e.state = NewState(rs, Stores{Ignore: noIgnore{}})
	start := time.Unix(c.T0, 0).UTC()
	if c.T0 == 0 {
		start = time.Unix(1700000000, 0).UTC()
	}
	ok = true
	for i, l := range c.Lines {
		out, ev := e.line(l.Log, start.Add(time.Duration(l.T)*time.Second))
		for _, d := range l.compare(&out, ev, trace) {
			t.Logf("line %d %q: %s", i, l.Log, d)
			ok = false
		}
	}
	return ok
}

// compare lists the differences of an outcome from a vector line.
func (l *ruleLine) compare(out *Outcome, ev *event.Event, trace bool) (diffs []string) {
	bad := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			diffs = append(diffs, fmt.Sprintf("%s: got %v, want %v", what, got, want))
		}
	}
	rule, level := "none", "none"
	if out.Rule != nil {
		rule, level = strconv.Itoa(out.Rule.ID), strconv.Itoa(out.Rule.Level)
	}
	bad("rule", rule, orNone(l.Rule))
	bad("level", level, orNone(l.Level))
	decoder := ""
	if l.Decoder != nil {
		decoder = *l.Decoder
	}
	bad("decoder", ev.Decoder, decoder)
	bad("alert", out.Alert != nil && out.Alert.Rule.Log, l.Alert)
	if out.Alert != nil && l.Alert {
		bad("groups", out.Alert.Rule.Groups, l.Groups)
		bad("mail", out.Alert.Rule.Mail, l.Mail)
		if !slices.Equal(out.Alert.Previous, l.Previous) {
			bad("previous", out.Alert.Previous, l.Previous)
		}
	}
	if out.Rule != nil && l.Description != nil {
		bad("description", out.Rule.Description, *l.Description)
	}
	if out.Rule != nil && l.Info != nil {
		var got [][2]string
		for _, i := range out.Rule.Infos {
			got = append(got, [2]string{i.Type, i.Text})
		}
		bad("info", got, l.Info)
	}
	if trace {
		var tried []int
		for _, s := range out.Trace {
			tried = append(tried, s.Rule.ID)
		}
		bad("tried", tried, l.Tried)
	}
	return diffs
}

func orNone(n *int) string {
	if n == nil {
		return "none"
	}
	return strconv.Itoa(*n)
}

var _ = strings.TrimSpace
