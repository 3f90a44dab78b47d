package olog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func fixed(s string) func() time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04:05", s, time.Local)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return t }
}

func TestLinesHaveOSSECForm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ossec.log")
	var also strings.Builder
	l := New(path, &also)
	l.SetClock(fixed("2026-11-24 09:05:07"))
	g := l.Prog("ossec-remoted")
	g.Code(1403, "ERROR", "Incorrectly formatted message from '%s'.", "10.0.0.1")
	g.Info("Started (pid: %d).", 7)
	g.Debug("not written at level 0")
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "2026/11/24 09:05:07 ossec-remoted(1403): ERROR: Incorrectly formatted message from '10.0.0.1'.\n" +
		"2026/11/24 09:05:07 ossec-remoted: INFO: Started (pid: 7).\n"
	if string(got) != want || also.String() != want {
		t.Errorf("file:\n%s\nalso:\n%s\nwant:\n%s", got, also.String(), want)
	}
}

func TestValuesCannotForgeLines(t *testing.T) {
	var also strings.Builder
	l := New("", &also)
	l.Prog("p").Warn("name '%s'", "x\n2026/01/01 00:00:00 p: INFO: forged")
	if strings.Count(also.String(), "\n") != 1 {
		t.Errorf("more than one line: %q", also.String())
	}
}

func TestEveryLeavesOutAndCounts(t *testing.T) {
	var also strings.Builder
	l := New("", &also)
	now := time.Unix(1000, 0)
	l.SetClock(func() time.Time { return now })
	g := l.Prog("p")
	for range 5 {
		g.Every("k", time.Minute).Error("bad")
	}
	now = now.Add(2 * time.Minute)
	g.Every("k", time.Minute).Error("bad")
	lines := strings.Split(strings.TrimSpace(also.String()), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[1], "bad (4 similar lines left out)") {
		t.Errorf("got %q", lines)
	}
}

func TestNilLogDiscards(t *testing.T) {
	var l *Logger
	l.Prog("p").Every("k", time.Second).Info("nothing")
}
