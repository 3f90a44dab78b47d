//go:build unix

package rootcheck

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/config"
)

// world is a kernel whose processes are scripted: for each id the answers of one look after the other; the last ones stay.
type world struct {
	looks   map[int][]answers
	threads map[int]bool
	asked   map[int]int
	pins    bool
	dead    map[int]bool // pinned processes that have ended
}

func (w *world) maxPID() int { return 100 }

func (w *world) now(pid int) answers {
	l := w.looks[pid]
	if len(l) == 0 {
		return answers{}
	}
	return l[min(w.asked[pid], len(l)-1)]
}

func (w *world) ask(pid int) answers {
	a := w.now(pid)
	w.asked[pid]++
	a.listed = false
	return a
}

func (w *world) listed() map[int]bool {
	m := make(map[int]bool)
	for pid := range w.looks {
		// The listing belongs to the look that was last asked for.
		i := max(w.asked[pid]-1, 0)
		if w.looks[pid][min(i, len(w.looks[pid])-1)].listed {
			m[pid] = true
		}
	}
	return m
}

func (w *world) isThread(pid int) bool { return w.threads[pid] }

type pinOf struct {
	w   *world
	pid int
}

func (p pinOf) alive() bool { return !p.w.dead[p.pid] }
func (p pinOf) release()    {}

func (w *world) pin(pid int) (pinned, bool) { return pinOf{w, pid}, w.pins }

var (
	fine    = answers{true, true, true, true, true, true}
	gone    = answers{}
	noProc  = answers{kill: true, getsid: true, getpgid: true}
	noList  = answers{kill: true, getsid: true, getpgid: true, stat: true, open: true}
	noKill  = answers{getsid: true, getpgid: true, stat: true, open: true, listed: true}
	noGroup = answers{kill: true, getsid: true, stat: true, open: true, listed: true}
	undead  = answers{kill: true, stat: true, open: true, listed: true}
)

func psOf(pids ...int) func(context.Context, string, ...string) (string, error) {
	return func(context.Context, string, ...string) (string, error) {
		return strings.Trim(strings.ReplaceAll(fmt.Sprint(pids), " ", "\n"), "[]"), nil
	}
}

func noPS(context.Context, string, ...string) (string, error) { return "", os.ErrNotExist }

func pidFindings(t *testing.T, w *world, run func(context.Context, string, ...string) (string, error)) []string {
	t.Helper()
	w.asked = make(map[int]int)
	w.looks[1] = []answers{fine}
	got, _ := scan(t, &config.Rootcheck{CheckPids: true}, Options{kernel: w, run: run})
	return got
}

func TestHiddenProcesses(t *testing.T) {
	const rootkit, rootkit2 = "Possible kernel-level rootkit.", "Possible kernel level rootkit."
	for _, c := range []struct {
		name  string
		looks []answers
		want  string
	}{
		{"visible", []answers{fine}, ""},
		{"hidden from kill", []answers{noKill}, "Process '50' hidden from kill (0) or getsid (1). " + rootkit},
		{"hidden from getpgid", []answers{noGroup}, "Process '50' hidden from kill (1), getsid (1) or getpgid. " + rootkit},
		{"hidden from proc", []answers{noProc}, "Process '50' hidden from /proc. " + rootkit2},
		{"hidden from readdir", []answers{noList}, "Process '50' hidden from /proc. " + rootkit2},
		{"zombie", []answers{undead}, ""},
		{"ended after the sweep", []answers{noProc, gone}, ""},
		{"started during the sweep", []answers{noList, fine}, ""},
		{"ended at the second look", []answers{noProc, noProc, noProc, noProc, gone}, ""},
		{"ends while it is looked at", []answers{noProc, noProc, noProc, gone}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, pins := range []bool{false, true} {
				got := pidFindings(t, &world{looks: map[int][]answers{50: c.looks}, pins: pins}, noPS)
				if strings.Join(got, "\n") != c.want {
					t.Errorf("pins %v: %q", pins, got)
				}
			}
		})
	}
}

func TestThreadsAreNotHiddenProcesses(t *testing.T) {
	w := &world{looks: map[int][]answers{50: {noList}}, threads: map[int]bool{50: true}}
	if got := pidFindings(t, w, noPS); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestIdTakenByAnotherProcessIsNotHidden(t *testing.T) {
	w := &world{looks: map[int][]answers{50: {noProc}}, pins: true, dead: map[int]bool{50: true}}
	if got := pidFindings(t, w, noPS); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestProcessesHiddenFromPS(t *testing.T) {
	w := func() *world { return &world{looks: map[int][]answers{50: {fine}, 51: {fine}}} }
	if got := pidFindings(t, w(), psOf(1, 50)); !slices.Equal(got, []string{"Process '51' hidden from ps. Possible trojaned version installed."}) {
		t.Errorf("%q", got)
	}
	if got := pidFindings(t, w(), psOf(1, 50, 51)); len(got) > 0 {
		t.Errorf("%q", got)
	}
	if got := pidFindings(t, w(), noPS); len(got) > 0 { // vector pids_ps_fails
		t.Errorf("a ps that fails: %q", got)
	}
}

func TestTooManyHiddenProcesses(t *testing.T) {
	w := &world{looks: make(map[int][]answers)}
	for pid := 20; pid < 60; pid++ {
		w.looks[pid] = []answers{noProc}
	}
	got := pidFindings(t, w, noPS)
	if len(got) != 16 || got[15] != "Excessive number of hidden processes. It maybe a false-positive or something really bad is going on." {
		t.Errorf("%d findings, last %q", len(got), got[len(got)-1])
	}
}

func TestInvisibleProcIsNoFinding(t *testing.T) {
	w := &world{looks: map[int][]answers{50: {noProc}}, asked: make(map[int]int)}
	w.looks[1] = []answers{noProc}
	got, lines := scan(t, &config.Rootcheck{CheckPids: true}, Options{kernel: w, run: noPS})
	if len(got) > 0 || !strings.Contains(strings.Join(lines, "\n"), "not visible") {
		t.Errorf("%q %q", got, lines)
	}
}
