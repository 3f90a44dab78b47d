package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/vectors"
	"github.com/vedette-hids/vedette/rules/decode"
)

// daemonCase is one line of daemon.jsonl. The active-response messages belong to another package.
type daemonCase struct {
	Name            string
	RulesFiles      ordered `json:"rules_files"`
	InternalOptions string  `json:"internal_options"`
	Messages        []struct {
		Msg   string
		Sleep float64
		AR    [][]string
	}
	Alerts []struct {
		Rule, Level int
		Groups      string
		Mail        bool
		Location    string
		Log         string
		Previous    []string
	}
	Files map[string]string
}

// recorder is a set of stores that keeps what the daemon's files would hold.
type recorder struct {
	ignore, fts strings.Builder
	diff        map[string]string
	lines       map[string]bool
}

func (r *recorder) Add(line string) {
	r.ignore.WriteString(line + "\n")
	r.lines[line] = true
}

func (r *recorder) Has(line string) bool { return r.lines[line] }

func (r *recorder) Swap(host string, rule int, log string) (string, bool, error) {
	k := fmt.Sprintf("queue/diff/%s/%d/last-entry", host, rule)
	old, had := r.diff[k]
	r.diff[k] = log + "\x00"
	return strings.TrimSuffix(old, "\x00"), had, nil
}

func TestDaemonAlerts(t *testing.T) {
	for _, c := range vectors.Read[daemonCase](t, "rules/daemon.jsonl") {
		for _, exact := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/exact=%v", c.Name, exact), func(t *testing.T) { c.run(t, exact) })
		}
	}
}

func (c *daemonCase) run(t *testing.T, exact bool) {
	opts := DefaultOptions()
	opts.OssecExact = exact
	opts.LocalHost, opts.Location = "vm", time.UTC
	for l := range strings.Lines(c.InternalOptions) {
		k, v, _ := strings.Cut(strings.TrimSpace(l), "=")
		n, _ := strconv.Atoi(v)
		switch k {
		case "analysisd.log_fw":
			opts.LogFirewall = n == 1
		case "analysisd.rule_matching_threads":
			opts.Shards = n
			opts.SuppressByLocation = n != 1 // with several threads the reference compares within a thread, mostly one location
		}
	}
	rc := ruleCase{RulesFiles: c.RulesFiles}
	rs, probs := Load(rc.sources(t), opts)
	if err := probs.Err(); err != nil {
		t.Fatal(err)
	}
	rec := &recorder{diff: map[string]string{}, lines: map[string]bool{}}
	state := NewState(rs, Stores{Ignore: rec, Diff: rec, FTS: decode.NewFTSStore(decode.FTSOptions{
		Append: func(key string) { rec.fts.WriteString(key + "\n") }})})
	now := time.Unix(1700000000, 0)
	var sc Scratch
	var p Prepared
	var got []*event.Alert
	for _, m := range c.Messages {
		if m.Sleep > 0 {
			now = now.Add(time.Duration(m.Sleep * float64(time.Second)))
			continue
		}
		now = now.Add(50 * time.Millisecond)
		ev, err := event.ParseQueue(m.Msg, now)
		if err != nil {
			t.Fatal(err)
		}
		rs.Prepare(ev, &sc, &p)
		out := state.Process(&p, now)
		if out.Alert != nil && out.Alert.Rule.Log {
			got = append(got, out.Alert)
		}
		if len(m.AR) > 0 && out.Alert == nil {
			t.Errorf("%s: no alert, but the reference sends a response", m.Msg)
		}
	}
	c.compare(t, got)
	for name, want := range c.Files {
		text := rec.diff[name]
		switch name {
		case "queue/fts/ig-queue":
			text = rec.ignore.String()
		case "queue/fts/fts-queue":
			text = rec.fts.String()
		}
		if text != want {
			t.Errorf("%s: %q, want %q", name, text, want)
		}
	}
}

func (c *daemonCase) compare(t *testing.T, got []*event.Alert) {
	for i, want := range c.Alerts {
		if i >= len(got) {
			t.Errorf("alert %d is missing: %+v", i, want)
			continue
		}
		a := got[i]
		log := a.Event.FullLog
		if a.Rule.ID != want.Rule || a.Rule.Level != want.Level || a.Rule.Groups != want.Groups || a.Rule.Mail != want.Mail ||
			log != want.Log || !slices.Equal(a.Previous, want.Previous) {
			t.Errorf("alert %d: %+v log %q previous %q, want %+v", i, *a.Rule, log, a.Previous, want)
		}
	}
	if len(got) > len(c.Alerts) {
		t.Errorf("%d alerts, want %d", len(got), len(c.Alerts))
	}
}
