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

// TestLoadErrorsNamePlaceAndReason loads a file with a mistake on each line: all are reported at once, each with its line, rule, element
// and reason.
func TestLoadErrorsNamePlaceAndReason(t *testing.T) {
	mistakes := []struct{ xml, want string }{
		{`<rule id="100001" level="x"><match>a</match></rule>`, "Invalid level: x. Must be integer (rule 100001)"},
		{`<rule id="100002" level="3"><nosuch>a</nosuch></rule>`, "Invalid option 'nosuch' for rule '100002'. (rule 100002, <nosuch>)"},
		{`<rule id="100003" level="3"><if_sid>99999</if_sid></rule>`, "Signature ID '99999' not found. Invalid 'if_sid'. (rule 100003)"},
		{`<rule id="100004" level="3"><regex>a\q</regex></rule>`, `(1450): ERROR: Syntax error on regex: 'a\q': 6. (rule 100004, <regex>: unknown escape '\q', at byte 1)`},
		{`<rule id="100005" level="3"><srcip>10.0.0.0/33</srcip></rule>`, `(1237): ERROR: Invalid ip address: '10.0.0.0/33'. (rule 100005, <srcip>: prefix length "33" is more than 32)`},
		{`<rule id="100006" level="3"><time>25:00 - 3</time></rule>`, "(1274): ERROR: Invalid configuration. Element 'time': 25:00 - 3. (rule 100006, <time>)"},
		{`<rule id="100007" level="3" frequency="3"><match>x</match></rule>`, "Missing if_matched on rule '100007'. (rule 100007)"},
		{`<rule id="100008" level="3"><decoded_as>nope</decoded_as></rule>`, "Invalid decoder name: 'nope'. (rule 100008, <decoded_as>)"},
		{`<rule id="100009" level="3"><category>mail</category></rule>`, "(1273): ERROR: Invalid category 'mail' chosen. (rule 100009, <category>: there are firewall"},
		{`<rule level="3"><match>x</match></rule>`, "No rule id or level specified for rule '10'. (rule without id)"},
		{`<rule id="100011" level="3"><if_group>none</if_group></rule>`, "Group 'none' not found. Invalid 'if_group'. (rule 100011) Perhaps it is one of the rules above"},
		{`<rule id="100012" level="3"><id_pcre2>(?R)</id_pcre2></rule>`, "'(?R)': 6. (rule 100012, <id_pcre2>: "},
		{`<rule id="100013" level="3"><options>no_full_log</options></rule>`, "(1235): ERROR: Invalid value for element 'options': no_full_log. (rule 100013, <options>)"},
		{`<rule id="100014" level="3"><weekday>someday</weekday></rule>`, "(1241): ERROR: Invalid day format: 'someday'. (rule 100014, <weekday>: days are monday"},
		{`<rule id="100015" level="3"><list field="x">rules/lists/y</list></rule>`, `List match field="x" is not valid. (rule 100015, <list>)`},
		{`<rule id="100016" level="3" overwrite="yes"><match>x</match></rule>`, "Overwrite rule '100016' not found. (rule 100016)"},
		{`<rule id="100017" level="3"><if_matched_regex>(</if_matched_regex></rule>`, "'(': 6. (rule 100017, <if_matched_regex>: "},
		{`<rul id="100018" level="3"><match>x</match></rul>`, "'rul' is not a valid element."},
	}
	text := `<group name="a,"><rule id="1" level="0"><category>syslog</category></rule>`
	for _, m := range mistakes {
		text += "\n" + m.xml
	}
	text += "</group>"
	_, probs := Load(Sources{Decoders: vectorDecoders(t), Rules: []File{{Name: "rules/t.xml", Data: []byte(text)}}}, DefaultOptions())
	for i, m := range mistakes {
		found := false
		for _, p := range probs {
			found = found || p.Pos.Line == i+2 && strings.Contains(p.Error(), m.want)
		}
		if !found {
			t.Errorf("line %d has no problem %q", i+2, m.want)
		}
	}
	if t.Failed() {
		t.Log(probs.Err())
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
