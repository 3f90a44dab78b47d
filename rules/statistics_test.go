package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// memoryStats is a StatsStore of a test.
type memoryStats struct {
	avg    Averages
	saved  int
	totals map[string]string
}

func (m *memoryStats) Load() (Averages, error) { return m.avg, nil }
func (m *memoryStats) Save(a Averages) error   { m.avg = a; m.saved++; return nil }
func (m *memoryStats) Totals(day time.Time, text string) error {
	m.totals[day.Format("2006-01-02")] += text
	return nil
}

const statRules = `<group name="g,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="100" level="3"><match>alpha</match></rule><rule id="101" level="0"><match>bravo</match></rule></group>`

type statEngine struct {
	engine
	store *memoryStats
	n     int
}

func newStatEngine(t *testing.T, avg Averages, change func(*Options)) *statEngine {
	t.Helper()
	opts := DefaultOptions()
	opts.Location = time.UTC
	if change != nil {
		change(&opts)
	}
	rs, probs := Load(Sources{Decoders: vectorDecoders(t), Rules: []File{{Name: "t.xml", Data: []byte(statRules)}}}, opts)
	if probs.Err() != nil {
		t.Fatal(probs.Err())
	}
	e := &statEngine{store: &memoryStats{avg: avg, totals: map[string]string{}}}
	st, err := NewStatistics(e.store)
	if err != nil {
		t.Fatal(err)
	}
	e.rs, e.state = rs, NewState(rs, Stores{Stats: st})
	return e
}

// send gives n different events and returns the statistical alerts.
func (e *statEngine) send(n int, word string, at time.Time) (alerts []*event.Alert) {
	for range n {
		e.n++
		out, _ := e.line(fmt.Sprintf("Nov 23 10:00:00 host kv[1]: %s %d", word, e.n), at)
		if out.Extra != nil {
			alerts = append(alerts, out.Extra)
		}
	}
	return alerts
}

func TestStatisticalAlert(t *testing.T) {
	monday9 := time.Date(2026, 10, 5, 9, 10, 0, 0, time.UTC)
	for _, c := range []struct {
		average, percent, minDiff, fires int
	}{{5, 5, 10, 16}, {1, 150, 10, 12}, {30, 50, 10, 47}} {
		var avg Averages
		avg.Hourly[9], avg.Hourly[DaysLearnt] = c.average, 3
		e := newStatEngine(t, avg, func(o *Options) { o.StatsPercentDiff, o.StatsMinDiff = c.percent, c.minDiff })
		if got := e.send(c.fires-1, "alpha", monday9); len(got) != 0 {
			t.Errorf("%+v: fires early", c)
		}
		got := e.send(50, "alpha", monday9)
		if len(got) != 1 {
			t.Fatalf("%+v: %d alerts, want one an hour", c, len(got))
		}
		want := fmt.Sprintf("The average number of logs between 9:00 and 10:00 is %d. We reached %d.", c.average, c.fires)
		if a := got[0]; a.Event.FullLog != want || a.Rule.ID != 11 || a.Rule.Level != 4 || a.Rule.Groups != "stats," || a.Seq != uint64(c.fires) {
			t.Errorf("%+v: %q, rule %+v, number %d", c, a.Event.FullLog, a.Rule, a.Seq)
		}
	}
}

func TestStatisticalAlertOfTheWeekday(t *testing.T) {
	var avg Averages
	avg.Hourly[DaysLearnt] = 3
	avg.Weekly[1][9], avg.Weekly[1][DaysLearnt] = 5, 3
	e := newStatEngine(t, avg, func(o *Options) { o.StatsPercentDiff, o.StatsMinDiff = 5, 10 })
	got := e.send(20, "alpha", time.Date(2026, 10, 5, 9, 10, 0, 0, time.UTC))
	if len(got) != 1 || got[0].Event.FullLog != "The average number of logs between 9:00 and 10:00 on Monday is 5. We reached 16." {
		t.Fatalf("%v", got)
	}
}

func TestStatisticsAtTheEndOfTheDay(t *testing.T) {
	late := time.Date(2026, 10, 5, 23, 10, 0, 0, time.UTC)
	for _, exact := range []bool{true, false} {
		e := newStatEngine(t, Averages{}, func(o *Options) { o.OssecExact = exact })
		e.send(8, "alpha", late)
		e.send(3, "bravo", late)
		e.send(1, "other", late)
		e.send(1, "alpha", late.Add(time.Hour))
		want := "23-101-0-3\n23-100-3-8\n23--11--13--0--0\n\n"
		for h := range 24 {
			n := 0
			if h == 23 {
				n = 12
			}
			want += fmt.Sprintf("Hour totals - %d:%d\n", h, n)
		}
		want += "Total events for day:12\n"
		if got := e.store.totals["2026-10-05"]; got != want {
			t.Errorf("totals %q, want %q", got, want)
		}
		weeks := 1
		if exact {
			weeks = 0
		}
		a := e.store.avg
		if a.Hourly[23] != 32 || a.Hourly[DaysLearnt] != 1 || a.Weekly[1][23] != 32 || a.Weekly[1][DaysLearnt] != weeks || a.Weekly[0][DaysLearnt] != 0 {
			t.Errorf("exact %v: averages %+v", exact, a)
		}
	}
}

func TestFiredTimesStartAgainEachHour(t *testing.T) {
	e := newStatEngine(t, Averages{}, nil)
	at := time.Date(2026, 10, 5, 9, 10, 0, 0, time.UTC)
	var fired []int
	for _, d := range []time.Duration{0, 0, 0, time.Hour, time.Hour} {
		e.n++
		out, _ := e.line(fmt.Sprintf("Nov 23 10:00:00 host kv[1]: alpha %d", e.n), at.Add(d))
		fired = append(fired, out.Alert.FiredTimes)
	}
	if got := fmt.Sprint(fired); got != "[1 2 3 1 2]" {
		t.Errorf("fired times %s", got)
	}
}

func TestDirStats(t *testing.T) {
	d := DirStats{Dir: filepath.Join(t.TempDir(), "stats")}
	if a, err := d.Load(); err != nil || a != (Averages{}) {
		t.Fatalf("%v %v", a, err)
	}
	var a Averages
	a.Hourly[23], a.Weekly[6][24] = 32, 4
	for range 2 {
		if err := d.Save(a); err != nil {
			t.Fatal(err)
		}
		a.Hourly[23]++
	}
	a.Hourly[23]--
	if got, err := d.Load(); err != nil || got != a {
		t.Fatalf("%v %v", got, err)
	}
	if data, _ := os.ReadFile(filepath.Join(d.Dir, "hourly-average", "23")); string(data) != "33" {
		t.Errorf("file has %q", data)
	}
	day := time.Date(2026, 10, 5, 9, 0, 0, 0, time.UTC)
	for range 2 {
		if err := d.Totals(day, "x\n"); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(d.Dir, "totals", "2026", "Oct", "ossec-totals-05.log"))
	if err != nil || strings.Count(string(data), "x\n") != 2 {
		t.Errorf("%q %v", data, err)
	}
}
