// Package pipelinetest is a manager's analysis for tests of what comes after it: rules, decoders, integrity baseline, rootcheck findings and
// the recorder are real, only the sockets are missing. It also reads the recorded events (vectors/outputs).
package pipelinetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/pipeline"
	"github.com/vedette-hids/vedette/rootcheck/findings"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/syscheck/baseline"
)

// Outcome is what one event left behind: the text appended to each file, and the alert.
type Outcome struct {
	Files map[alert.Kind]string
	Alert *event.Alert
}

// World is the analysis of one manager on host srv01. Logs and Stores may be changed before Run.
type World struct {
	Root   string
	Config *config.Config
	Logs   *pipeline.Logs
	Stores rules.Stores
	Got    map[*event.Event]Outcome

	rs   *rules.Ruleset
	size map[alert.Kind]int
}

// Record hands on to the real recorder and keeps what that wrote.
func (w *World) Record(ev *event.Event, out *rules.Outcome) {
	w.Logs.Record(ev, out)
	w.Logs.Idle(ev.Received)
	o := Outcome{Files: map[alert.Kind]string{}, Alert: out.Alert}
	for k := alert.Alerts; k <= alert.Firewall; k++ {
		data, err := os.ReadFile(alert.CurrentPath(w.Root, k))
		if err != nil {
			panic(err)
		}
		if w.size[k] > len(data) {
			w.size[k] = 0 // a new day's file
		}
		o.Files[k] = string(data[w.size[k]:])
		w.size[k] = len(data)
	}
	w.Got[ev] = o
}

// Idle is a part of pipeline.Recorder; events come with their own times here, so it does nothing.
func (w *World) Idle(time.Time) pipeline.Progress { return pipeline.Written }

// New makes a world with the configuration in dir/config (ossec.conf, decoder.xml, test_rules.xml), whose files begin at start. change, when
// not nil, changes the options of the rules.
func New(tb testing.TB, dir string, start time.Time, change func(o *rules.Options)) *World {
	tb.Helper()
	root := tb.TempDir()
	for from, to := range map[string]string{"ossec.conf": "etc/ossec.conf", "decoder.xml": "etc/decoder.xml", "test_rules.xml": "rules/test_rules.xml"} {
		data, err := os.ReadFile(filepath.Join(dir, "config", from))
		if err != nil {
			tb.Fatal(err)
		}
		path := filepath.Join(root, to)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o640); err != nil {
			tb.Fatal(err)
		}
	}
	for _, d := range []string{"queue/syscheck", "queue/rootcheck", "logs"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o750); err != nil {
			tb.Fatal(err)
		}
	}
	cfg, problems := config.Load(root, filepath.Join(root, "etc/ossec.conf"))
	if err := problems.Err(); err != nil {
		tb.Fatal(err)
	}
	src, problems := rules.ReadSources(root, cfg.Rules)
	if err := problems.Err(); err != nil {
		tb.Fatal(err)
	}
	opts := rules.DefaultOptions()
	opts.LocalHost = "srv01"
	opts.Responds = func(*event.Rule) bool { return false }
	if change != nil {
		change(&opts)
	}
	rs, problems := rules.Load(src, opts)
	if err := problems.Err(); err != nil {
		tb.Fatal(err)
	}
	files, err := alert.OpenFiles(root, alert.Options{AlertsJSON: cfg.Global.JSONOut, ArchivesJSON: cfg.Global.LogAllJSON}, start)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { files.Close() })
	return &World{Root: root, Config: cfg, rs: rs, Got: map[*event.Event]Outcome{}, size: map[alert.Kind]int{},
		Logs: &pipeline.Logs{Files: files, ArchiveText: cfg.Global.LogAll, ArchiveJSON: cfg.Global.LogAllJSON, FirewallLog: true}}
}

// Run sends the messages through the pipeline, each at its time, and returns the events; nil where a message was refused.
func (w *World) Run(tb testing.TB, messages []string, times []time.Time) []*event.Event {
	tb.Helper()
	fim, err := baseline.Open(filepath.Join(w.Root, "queue/syscheck"), baseline.Options{AlertNewFiles: w.Config.Syscheck.AlertNewFiles, AutoIgnore: w.Config.Syscheck.AutoIgnore})
	if err != nil {
		tb.Fatal(err)
	}
	defer fim.Close()
	p := pipeline.New(pipeline.Options{
		Ruleset: w.rs, State: rules.NewState(w.rs, w.Stores), FIM: fim, Findings: findings.Open(filepath.Join(w.Root, "queue/rootcheck")),
		Recorder: w, LocalHost: "srv01",
	})
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	defer func() { cancel(); <-done }()
	events := make([]*event.Event, len(messages))
	for i, m := range messages {
		ev, err := event.ParseQueue(m, times[i])
		if err != nil {
			continue
		}
		events[i] = ev
		if err := p.Submit(ctx, ev); err != nil {
			tb.Fatal(err)
		}
	}
	return events
}
