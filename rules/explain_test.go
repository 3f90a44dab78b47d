package rules

import (
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/internal/vectors"
)

// TestExplainFindsTheFinalRule explains every line of the vectors before it is processed. Where conditions with a memory cannot be asked
// the explanation may go further than the engine.
func TestExplainFindsTheFinalRule(t *testing.T) {
	for _, c := range vectors.Read[ruleCase](t, "rules/cases.jsonl") {
		rs, probs := Load(c.sources(t), c.options(true))
		if probs.Err() != nil {
			t.Fatal(probs.Err())
		}
		guesses := false
		for _, r := range rs.rules {
			guesses = guesses || r.flags&(flagFTS|flagDiff) != 0
		}
		e := &engine{rs: rs, state: NewState(rs, Stores{Ignore: noIgnore{}})}
		for i, l := range c.Lines {
			at := time.Unix(1700000000+l.T, 0)
			if c.T0 != 0 {
				at = time.Unix(c.T0+l.T, 0)
			}
			_, ev := e.prepare(l.Log, at)
			x := e.state.Explain(&e.p, at)
			text := x.String()
			e.p.Event = ev
			out := e.state.Process(&e.p, at)
			if !guesses && x.Final != out.Rule {
				t.Errorf("%s line %d: explained %v, processed %v\n%s", c.Name, i, ruleID(x.Final), ruleID(out.Rule), text)
			}
		}
	}
}

func TestExplainSaysHowFarACorrelationIs(t *testing.T) {
	rs := loadText(t, `<group name="g,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="100" level="3"><match>alpha</match></rule>
<rule id="101" level="8" frequency="2" timeframe="60"><if_matched_sid>100</if_matched_sid><same_source_ip/></rule>
<rule id="102" level="2"><pcre2>^never</pcre2></rule></group>`)
	e := &engine{rs: rs, state: NewState(rs, Stores{})}
	at := time.Unix(1700000000, 0)
	for _, n := range []string{"1", "2"} {
		e.line("Nov 23 10:00:00 host kv[1]: alpha "+n+" src=1.1.1.1", at)
	}
	e.prepare("Nov 23 10:00:00 host kv[1]: alpha 3 src=1.1.1.1", at)
	text := e.state.Explain(&e.p, at).String()
	for _, want := range []string{"101 (level 8) does not match: <if_matched_sid> \"100\"", "2 of 3 earlier events within 60 seconds", "final rule: 100"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	e.prepare("Nov 23 10:00:00 host kv[1]: other", at)
	text = e.state.Explain(&e.p, at).String()
	if want := "102 (level 2) does not match: <pcre2> \"^never\"\n"; !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}
