package etc_test

import (
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/loggen"
	"github.com/vedette-hids/vedette/rules"
)

// generated are lines of a busy day as events, a tenth of them parts of attacks.
func generated(tb testing.TB, n int, o loggen.Options) (events []*event.Event, lines []loggen.Line) {
	g := loggen.New(o)
	for range n {
		l := g.Next()
		ev, err := event.ParseQueue("1:"+l.Location+":"+l.Text, l.Time)
		if err != nil {
			tb.Fatal(err)
		}
		events, lines = append(events, ev), append(lines, l)
	}
	return events, lines
}

// judge sends generated lines through the shipped rules.
func judge(t *testing.T, n int, o loggen.Options, f func(l loggen.Line, out *rules.Outcome)) {
	t.Helper()
	rs := ruleset(t)
	state := rules.NewState(rs, rules.Stores{})
	o.Start = time.Date(2026, 1, 12, 10, 0, 0, 0, time.UTC) // within working hours
	events, lines := generated(t, n, o)
	var sc rules.Scratch
	var p rules.Prepared
	for i, ev := range events {
		rs.Prepare(ev, &sc, &p)
		out := state.Process(&p, ev.Received)
		f(lines[i], &out)
	}
}

// TestGeneratedAttacksAreSeenAndOrdinaryLinesAreNot is what the rules are for.
func TestGeneratedAttacksAreSeenAndOrdinaryLinesAreNot(t *testing.T) {
	missed, wrong := 0, 0
	judge(t, 5000, loggen.Options{Attacks: 0.2}, func(l loggen.Line, out *rules.Outcome) {
		switch {
		case l.Attack && (out.Rule == nil || out.Rule.Level < 2):
			if missed++; missed < 5 {
				t.Errorf("attack not seen: rule %+v: %s", out.Rule, l.Text)
			}
		case !l.Attack && out.Rule != nil && out.Rule.Level > 4:
			if wrong++; wrong < 5 {
				t.Errorf("rule %d level %d for an ordinary line: %s", out.Rule.ID, out.Rule.Level, l.Text)
			}
		}
	})
	if missed+wrong > 0 {
		t.Errorf("%d attacks not seen, %d ordinary lines reported", missed, wrong)
	}
}

func TestGeneratedAttacksAddUp(t *testing.T) {
	for _, k := range []loggen.Kind{loggen.SSHD, loggen.PAM, loggen.ApacheAccess, loggen.Postfix, loggen.Dovecot, loggen.Kernel, loggen.NginxError, loggen.Named,
		loggen.Windows} {
		fired := map[int]int{}
		judge(t, 1000, loggen.Options{Attacks: 1, Kinds: []loggen.Kind{k}}, func(l loggen.Line, out *rules.Outcome) {
			if out.Alert != nil && out.Rule.Level >= 10 && out.Rule.Frequency > 0 {
				fired[out.Rule.ID]++
			}
		})
		if len(fired) == 0 {
			t.Errorf("%s: eight attackers set off no correlation rule", k)
		}
		t.Logf("%s: %v", k, fired)
	}
}

func BenchmarkShippedRuleset(b *testing.B) {
	rs := ruleset(b)
	state := rules.NewState(rs, rules.Stores{})
	events, _ := generated(b, 4096, loggen.Options{Attacks: 0.1})
	var sc rules.Scratch
	var p rules.Prepared
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ev := *events[i%len(events)]
		rs.Prepare(&ev, &sc, &p)
		state.Process(&p, ev.Received)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkLoadShippedRuleset(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ruleset(b)
	}
}
