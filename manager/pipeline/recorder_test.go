package pipeline_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/pipeline"
	"github.com/vedette-hids/vedette/rules"
)

func oneAlert(at time.Time) (*event.Event, *rules.Outcome) {
	r := &rules.Rule{Rule: event.Rule{ID: 5, Level: 3, Log: true, Groups: "g,"}}
	ev := &event.Event{Location: "/l", Hostname: "h", FullLog: "text", Received: at}
	return ev, &rules.Outcome{Rule: r, Fired: 1, Alert: &event.Alert{Epoch: at.Unix(), Seq: 1, Rule: &r.Rule, Event: ev}}
}

func TestAlertsWaitForAFileThatCannotBeWritten(t *testing.T) {
	root := t.TempDir()
	start := time.Date(2026, 11, 30, 23, 59, 0, 0, time.UTC)
	files, err := alert.OpenFiles(root, alert.Options{}, start)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	l := &pipeline.Logs{Files: files}
	l.Idle(start)
	next := start.Add(2 * time.Minute)
	month := filepath.Dir(alert.DailyPath(root, alert.Alerts, next))
	if err := os.WriteFile(month, nil, 0o600); err != nil { // December's directory cannot be made
		t.Fatal(err)
	}
	for i := range 3 {
		l.Record(oneAlert(next.Add(time.Duration(i) * time.Second)))
		l.Idle(next.Add(time.Duration(i) * time.Second))
	}
	if err := os.Remove(month); err != nil {
		t.Fatal(err)
	}
	l.Idle(next.Add(time.Minute))
	got, err := os.ReadFile(alert.CurrentPath(root, alert.Alerts))
	if err != nil || strings.Count(string(got), "** Alert") != 3 {
		t.Errorf("%q, %v", got, err)
	}
}

func BenchmarkRecord(b *testing.B) {
	files, err := alert.OpenFiles(b.TempDir(), alert.Options{AlertsJSON: true}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	defer files.Close()
	l := &pipeline.Logs{Files: files, ArchiveText: true}
	ev, out := oneAlert(time.Now())
	b.ReportAllocs()
	for b.Loop() {
		l.Record(ev, out)
	}
}
