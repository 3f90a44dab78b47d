package olog

import (
	"strings"
	"testing"
)

func TestDebugLevelsOfProgramsAndOfTheCommandLine(t *testing.T) {
	var out strings.Builder
	l := New("", &out)
	remoted, authd := l.Prog("ossec-remoted"), l.Prog("ossec-authd")
	say := func() string {
		out.Reset()
		for _, g := range []*Log{remoted, authd, l.Prog("ossec-maild")} {
			g.Debug("one")
			g.Debug2("two")
			g.Every(g.prog, 0).Debug("limited")
		}
		return strings.Join(strings.Fields(strings.ReplaceAll(out.String(), "DEBUG: ", "")), " ")
	}
	lines := func(s string) (n [3]int) {
		for i, p := range []string{"ossec-remoted:", "ossec-authd:", "ossec-maild:"} {
			n[i] = strings.Count(s, p)
		}
		return n
	}
	if s := say(); s != "" {
		t.Errorf("lines at level 0: %s", s)
	}
	l.SetLevels(map[string]int{"ossec-remoted": 1, "ossec-authd": 2})
	if n := lines(say()); n != [3]int{2, 3, 0} {
		t.Errorf("by program: %v", n)
	}
	l.SetDebug(1) // -d
	if n := lines(say()); n != [3]int{2, 2, 2} {
		t.Errorf("-d: %v", n)
	}
	l.SetDebug(0)
	l.SetLevels(nil) // as a reload with an empty file does
	if s := say(); s != "" {
		t.Errorf("lines after the levels went back: %s", s)
	}
	var none *Log
	none.Debug("discarded")
	if none.Debugging(1) {
		t.Error("a log that is not there wants lines")
	}
}

func BenchmarkDebugOff(b *testing.B) {
	g := New("", nil).Prog("ossec-remoted")
	b.ReportAllocs()
	for b.Loop() {
		if g.Debugging(1) {
			g.Debug("never")
		}
	}
}
