package rules

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/rules/list"
)

// loadText loads one rules file with the decoders of the vectors.
func loadText(tb testing.TB, text string) *Ruleset {
	tb.Helper()
	opts := DefaultOptions()
	opts.LocalHost, opts.Location = "vm", time.UTC
	rs, probs := Load(Sources{Decoders: vectorDecoders(tb), Rules: []File{{Name: "rules/t.xml", Data: []byte(text)}}}, opts)
	if err := probs.Err(); err != nil {
		tb.Fatal(err)
	}
	return rs
}

func (e *engine) prepare(log string, at time.Time) (*Prepared, *event.Event) {
	ev := event.NewEvent(event.Message{Kind: event.KindLog, Location: "stdin", Text: log}, at)
	e.rs.Prepare(ev, &e.sc, &e.p)
	return &e.p, ev
}

const swapRules = `<group name="g,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="100" level="3"><match>alpha</match></rule>
<rule id="101" level="8" frequency="1" timeframe="60"><if_matched_sid>100</if_matched_sid></rule>
%s
<rule id="103" level="4" ignore="60"><match>delta</match></rule></group>`

func TestSwapKeepsCorrelationByRuleID(t *testing.T) {
	old := loadText(t, fmt.Sprintf(swapRules, ""))
	young := loadText(t, fmt.Sprintf(swapRules, `<rule id="102" level="5"><match>bravo</match></rule>`))
	e := &engine{rs: old, state: NewState(old, Stores{})}
	at := time.Unix(1700000000, 0)
	e.line("Nov 23 10:00:00 host kv[1]: alpha 1", at)
	e.line("Nov 23 10:00:00 host kv[1]: alpha 2", at)
	if out, _ := e.line("Nov 23 10:00:00 host kv[1]: delta 1", at); out.Alert == nil {
		t.Fatal("first delta must alert")
	}
	p, _ := e.prepare("Nov 23 10:00:00 host kv[1]: alpha 3", at) // prepared with the old ruleset
	e.state.Swap(young)
	out := e.state.Process(p, at)
	if out.Rule != young.Rule(101) || len(out.Alert.Previous) != 2 {
		t.Fatalf("rule %s, want 101 of the new ruleset with its history", ruleID(out.Rule))
	}
	e.rs = young
	if out, _ = e.line("Nov 23 10:00:00 host kv[1]: delta 2", at.Add(time.Second)); out.Reason != InIgnoreWindow {
		t.Errorf("reason %q: the ignore window must survive", out.Reason)
	}
	if out, _ = e.line("Nov 23 10:00:00 host kv[1]: bravo", at); out.Rule != young.Rule(102) {
		t.Error("the new rule does not match")
	}
	if got := e.state.Seq(); got != 5 {
		t.Errorf("%d alerts numbered, want 5", got)
	}
}

// raceEnabled is set when the race detector is on, which makes pools allocate.
var raceEnabled bool

func TestNoAllocationWithoutAlert(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	rs := loadText(t, fmt.Sprintf(swapRules, ""))
	state := NewState(rs, Stores{})
	var sc Scratch
	var p Prepared
	ev := &event.Event{Kind: event.KindLog, Location: "/var/log/x"}
	lines := []string{"Nov 23 10:00:00 host kv[1]: nothing src=1.1.1.1", "Nov 23 10:00:00 host other: text", "plain text",
		"Nov 23 10:00:00 host kv[1]: more duser=bob"}
	now := time.Unix(1700000000, 0)
	i := 0
	run := func() {
		ev.Raw, ev.Received = lines[i%len(lines)], now
		i++
		rs.Prepare(ev, &sc, &p)
		state.Process(&p, now)
	}
	for range 2 * len(lines) {
		run()
	}
	if n := testing.AllocsPerRun(200, run); n > 0 {
		t.Errorf("%v allocations per event", n)
	}
}

func TestUnloggedRuleWithoutResponseGetsNoNumber(t *testing.T) {
	const text = `<group name="g,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="100" level="3"><match>alpha</match><options>no_log</options></rule></group>`
	for _, responds := range []bool{false, true} {
		opts := DefaultOptions()
		opts.Responds = func(*event.Rule) bool { return responds }
		rs, _ := Load(Sources{Decoders: vectorDecoders(t), Rules: []File{{Name: "t.xml", Data: []byte(text)}}}, opts)
		e := &engine{rs: rs, state: NewState(rs, Stores{})}
		out, _ := e.line("Nov 23 10:00:00 host kv[1]: alpha", time.Unix(1700000000, 0))
		if (out.Alert != nil) != responds || (e.state.Seq() == 1) != responds {
			t.Errorf("responds %v: alert %v, number %d", responds, out.Alert, e.state.Seq())
		}
	}
}

func TestReplaceListActsAtOnce(t *testing.T) {
	opts := DefaultOptions()
	opts.SuppressRepeats = false
	src := Sources{Decoders: vectorDecoders(t), Lists: []ListFile{{Name: list.Name("lists/u")}}, Rules: []File{{Name: "t.xml", Data: []byte(`
<group name="g,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="100" level="3"><list field="user">lists/u</list></rule></group>`)}}}
	rs, probs := Load(src, opts)
	if probs.Err() != nil {
		t.Fatal(probs.Err())
	}
	e := &engine{rs: rs, state: NewState(rs, Stores{})}
	at := time.Unix(1700000000, 0)
	if out, _ := e.line("Nov 23 10:00:00 host kv[1]: duser=bob", at); out.Rule != nil {
		t.Error("a missing list matches")
	}
	if !rs.ReplaceList("lists/u.cdb", list.New([]list.Entry{{Key: "bob"}})) || rs.ReplaceList("lists/none", nil) {
		t.Error("ReplaceList must know declared lists only")
	}
	if out, _ := e.line("Nov 23 10:00:00 host kv[1]: duser=bob", at); out.Rule == nil {
		t.Error("the new list is not used")
	}
}

// Every mark, that of an event which was never counted included, stops a search of level 0, whether the memory is short or long enough for
// an index.
func TestCorrelationOfLevelZeroNeverMatches(t *testing.T) {
	rs := loadText(t, `<group name="g,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="100" level="3"><match>alpha</match></rule>
<rule id="101" level="0" frequency="2" timeframe="600"><if_matched_sid>100</if_matched_sid><same_source_ip/></rule>
<rule id="102" level="0" frequency="2" timeframe="600"><if_matched_regex>alpha</if_matched_regex><if_sid>100</if_sid></rule></group>`)
	e := &engine{rs: rs, state: NewState(rs, Stores{})}
	for i := range 4 * minView {
		out, _ := e.line(fmt.Sprintf("Nov 23 10:00:00 host kv[1]: alpha %d src=1.1.1.1", i), time.Unix(1700000000, 0))
		if out.Rule == nil || out.Rule.ID != 100 {
			t.Fatalf("event %d ends in rule %s", i, ruleID(out.Rule))
		}
	}
}

func TestForwardedAlertFiresItsRule(t *testing.T) {
	rs := loadText(t, fmt.Sprintf(swapRules, ""))
	state := NewState(rs, Stores{})
	var sc Scratch
	var p Prepared
	now := time.Unix(1700000000, 0)
	for id, want := range map[int]bool{103: true, 999: false} {
		ev := &event.Event{Kind: event.KindSyslog, Type: event.TypeOSSECAlert, ForwardedRule: id, FullLog: "x", Log: "x"}
		rs.Candidates(ev, &sc, &p)
		out := state.Process(&p, now)
		if (out.Alert != nil) != want {
			t.Errorf("rule %d: alert %v", id, out.Alert)
		}
	}
}

func TestZeroRulesAreRefused(t *testing.T) {
	rs, probs := Load(Sources{Decoders: vectorDecoders(t)}, DefaultOptions())
	if rs != nil || probs.Err() == nil {
		t.Error("a ruleset without rules loads")
	}
	var _ config.Problems = probs
}

// TestParallelPreparation prepares events on several goroutines that share the ruleset and compares with one goroutine.
func TestParallelPreparation(t *testing.T) {
	rs := loadText(t, fmt.Sprintf(swapRules, `<rule id="102" level="5"><program_name>^kv</program_name><pcre2>bravo \d+</pcre2></rule>`))
	const n = 600
	at := time.Unix(1700000000, 0)
	var events [n]*event.Event
	var prepared [n]Prepared
	rnd := rand.New(rand.NewPCG(7, 7))
	for i := range n {
		events[i] = event.NewEvent(event.Message{Kind: event.KindLog, Location: "x", Text: randomLine(rnd, i)}, at)
	}
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			var sc Scratch
			for i := w; i < n; i += 3 {
				rs.Prepare(events[i], &sc, &prepared[i])
			}
		})
	}
	wg.Wait()
	state, one := NewState(rs, Stores{}), &engine{rs: rs, state: NewState(rs, Stores{})}
	for i := range n {
		got := state.Process(&prepared[i], at)
		ev := event.NewEvent(event.Message{Kind: event.KindLog, Location: "x", Text: events[i].Raw}, at)
		rs.Prepare(ev, &one.sc, &one.p)
		if want := one.state.Process(&one.p, at); got.Rule != want.Rule {
			t.Fatalf("%q: %s, want %s", ev.Raw, ruleID(got.Rule), ruleID(want.Rule))
		}
	}
}
