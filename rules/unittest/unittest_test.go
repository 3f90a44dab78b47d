package unittest

import (
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/vectors"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/decode"
)

func ruleset(t *testing.T) *rules.Ruleset {
	t.Helper()
	rs, probs := rules.Load(rules.Sources{
		Decoders: []decode.Source{{Name: "decoders.xml", Data: vectors.Data(t, "rules/decoders.xml")}},
		Rules: []rules.File{{Name: "rules/t.xml", Data: []byte(`<group name="base,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="100" level="3"><match>alpha</match><group>first,</group></rule>
<rule id="101" level="8" frequency="0" timeframe="60"><if_matched_sid>100</if_matched_sid></rule>
<rule id="102" level="2"><match>bravo</match></rule></group>`)}},
	}, rules.DefaultOptions())
	if err := probs.Err(); err != nil {
		t.Fatal(err)
	}
	return rs
}

const ini = `; a comment
[Alpha]
log 1 pass = Nov 23 10:00:00 host kv[1]: alpha a=b
log 2 fail = Nov 23 10:00:00 host kv[1]: bravo
log 3 pass = Nov 23 10:00:00 host kv[1]: bravo

rule = 100
alert = 3
decoder = kv
`

func TestINI(t *testing.T) {
	cases, err := ParseINI("t.ini", []byte(ini))
	if err != nil {
		t.Fatal(err)
	}
	r := Run(ruleset(t), cases)
	if r.Cases != 3 || len(r.Failures) != 1 {
		t.Fatalf("%+v", r)
	}
	want := "t.ini:5: Alpha: log 3: rule 102, want 100; level 2, want 3"
	if got := r.Failures[0].String(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

const yamlText = `
- name: twice
  steps:
    - {log: "Nov 23 10:00:00 host kv[1]: alpha src=1.1.1.1", rule: 100, level: 3, decoder: kv, group: first, alert: true, fields: {srcip: 1.1.1.1}}
    - {log: "Nov 23 10:00:00 host kv[1]: alpha 2", after: 30s, rule: 101}
    - {log: "Nov 23 10:00:00 host kv[1]: alpha 3", after: 61s, rule: 100}
- name: nothing
  steps:
    - {log: "no header", rule: none, decoder: none}
    - {log: "no header 2", rule: none, fields: {srcip: x}}
`

func TestYAML(t *testing.T) {
	cases, err := ParseYAML("t.yaml", []byte(yamlText))
	if err != nil {
		t.Fatal(err)
	}
	rs := ruleset(t)
	r := Run(rs, cases)
	if len(r.Failures) != 1 || r.Failures[0].String() != `t.yaml:7: nothing, step 2: field srcip is not set, want "x"` {
		t.Errorf("%v", r.Failures)
	}
	var out strings.Builder
	if err := r.Write(&out, rs, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"not covered: rule 102 (rules/t.xml:4)", "2 tests, 5 lines, 1 failures; 3 of 4 rules covered"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestMistakesInTestFiles(t *testing.T) {
	for text, want := range map[string]string{
		"- name: x\n  steps:\n    - {log: a, rull: 3}": `t:3: unknown key "rull"`,
		"- name: x": `t:1: test "x" has no steps`,
		"- name: x\n  steps: [{log: a, rule: abc}]": `rule "abc" is neither`,
		"- 3": "a mapping is expected",
	} {
		if _, err := ParseYAML("t", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"[a]\nlog 1 pas = x": `t:2: unknown key "log 1 pas"`,
		"[a]\nalert = high":  "t:2: alert",
		"[a]\nnothing":       "t:2: ",
	} {
		if _, err := ParseINI("t", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(ini)
	f.Add(yamlText)
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = ParseINI("f", []byte(text))
		_, _ = ParseYAML("f", []byte(text))
	})
}
