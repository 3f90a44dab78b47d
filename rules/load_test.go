package rules

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/vectors"
)

// loadDeviations are the cases of load.jsonl whose outcome differs from the reference's, and why: with OssecExact, and without.
var loadDeviations = map[string]struct{ exact, fixed, why string }{
	"var-no-name":                 {"load_error", "load_error", "a variable without name is always an error (spec 2.1; the README allows it)"},
	"list-value-without-check":    {"load_error", "load_error", "match_key_value without check_value would never be right (spec 11.2)"},
	"field-no-attr":               {"load_error", "load_error", "the reference crashes (spec 4.4)"},
	"field-undecoded-event":       {"loads", "loads", "the reference crashes at the event; here the field is missing (spec 4.4)"},
	"field-decoder-without-order": {"loads", "loads", "the reference crashes at the event; here the field is missing (spec 4.4)"},
	"info-bad-type":               {"load_error", "load_error", "the reference never ends loading (spec 4.6)"},
	"info-bad-attr":               {"load_error", "load_error", "the reference never ends loading (spec 4.6)"},
	"time-bad-2":                  {"loads", "load_error", "a missing hour is an error (spec 4.5)"},
	"time-bad-8":                  {"loads", "load_error", "a missing hour is an error (spec 4.5)"},
	"weekday-bad-0":               {"load_error", "loads", "negation of days works (spec 4.5)"},
	"match-too-long":              {"loads", "load_error", "a condition that would vanish is an error (spec 2)"},
}

func TestLoad(t *testing.T) {
	for _, c := range vectors.Read[ruleCase](t, "rules/load.jsonl") {
		for _, exact := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/exact=%v", c.Name, exact), func(t *testing.T) { c.checkLoad(t, exact) })
		}
	}
}

func (c *ruleCase) checkLoad(t *testing.T, exact bool) {
	rs, probs := Load(c.sources(t), c.options(exact))
	got, want := "loads", c.Outcome
	if probs.Err() != nil {
		got = "load_error"
	}
	dev, deviates := loadDeviations[c.Name]
	if deviates {
		want = dev.fixed
		if exact {
			want = dev.exact
		}
	}
	if got != want {
		t.Fatalf("%s, want %s\n%v\nreference: %q", got, want, probs.Err(), c.Messages)
	}
	if (rs != nil) != (got == "loads") {
		t.Fatal("a ruleset is returned exactly when there is no error")
	}
	if !deviates {
		c.checkMessages(t, probs)
	}
	for _, p := range probs {
		if p.Pos.File == "" || (p.Pos.Line == 0 && p.Code != 1220 && p.Code != 1226 && p.Code != 1202) {
			t.Errorf("problem without place: %v", p)
		}
	}
	if rs == nil {
		return
	}
	e := &engine{rs: rs, state: NewState(rs, Stores{})}
	for i, l := range c.Lines {
		out, _ := e.line(l.Log, time.Unix(1700000000, 0))
		if c.Outcome == "crash_at_event" {
			if out.Rule != nil && out.Rule.ID == 100 {
				t.Errorf("line %d: the rule that crashes the reference matches", i)
			}
			continue
		}
		rule := "none"
		if out.Rule != nil {
			rule = fmt.Sprint(out.Rule.ID)
		}
		if rule != orNone(l.Rule) {
			t.Errorf("line %d %q: rule %s, want %s", i, l.Log, rule, orNone(l.Rule))
		}
	}
}

var programPrefix = regexp.MustCompile(`^(ossec-analysisd|ossec-testrule)(: ?|(\(\d+\): ))`)

// checkMessages looks for each of the reference's messages among the problems.
func (c *ruleCase) checkMessages(t *testing.T, probs config.Problems) {
	if c.Outcome != "load_error" {
		return
	}
	var all strings.Builder
	for _, p := range probs {
		all.WriteString(p.Error() + "\n")
	}
	have := strings.ReplaceAll(all.String(), "rules/", "rules//")
	for _, m := range c.Messages {
		m = programPrefix.ReplaceAllString(m, "$3")
		m, _, _ = strings.Cut(m, " (line ?)")
		m, _, _ = strings.Cut(m, "aaaa...")
		if !strings.Contains(have, m) {
			t.Errorf("no problem has the text %q:\n%s", m, have)
		}
	}
}

func TestLoadReportsAllProblemsAtOnce(t *testing.T) {
	const text = `<group name="a,">
<rule id="1" level="0"><category>syslog</category></rule>
<rule id="100" level="3"><nosuch/></rule>
<rule id="101" level="3"><if_sid>100</if_sid><srcip>x</srcip></rule>
<rule id="102" level="x"><match>a</match></rule>
</group>`
	_, probs := Load(Sources{Decoders: vectorDecoders(t), Rules: []File{{Name: "rules/t.xml", Data: []byte(text)}}}, DefaultOptions())
	var lines []int
	for _, p := range probs {
		if p.Code != 1220 {
			lines = append(lines, p.Pos.Line)
		}
	}
	if got, want := fmt.Sprint(lines), "[3 4 5 5]"; got != want {
		t.Errorf("problems on lines %s, want %s (a child of a broken rule is not blamed for it):\n%v", got, want, probs.Err())
	}
}

func TestLoadBoundsTheTree(t *testing.T) {
	var b strings.Builder
	b.WriteString(`<group name="g,"><rule id="1" level="0"><category>syslog</category></rule>`)
	for id := 10; id < 60; id++ {
		fmt.Fprintf(&b, `<rule id="%d" level="3"><if_group>g</if_group></rule>`, id)
	}
	b.WriteString(`</group>`)
	rs, probs := Load(Sources{Decoders: vectorDecoders(t), Rules: []File{{Name: "t.xml", Data: []byte(b.String())}}}, DefaultOptions())
	if rs != nil || probs.Err() == nil {
		t.Fatal("a tree that doubles with each rule must be refused")
	}
}
