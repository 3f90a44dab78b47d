package forward

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-hids/vedette/internal/smalldisk"
)

// TestAFullDiskDoesNotSilenceTheAgent starts an agent on a full disk, then lets the disk fill up while events are in the spool.
func TestAFullDiskDoesNotSilenceTheAgent(t *testing.T) {
	smalldisk.Run(t, 1<<20, func(t *testing.T, dir string) {
		synctest.Test(t, func(t *testing.T) {
			filler := smalldisk.Fill(t, dir)
			begin := time.Now()
			away := func(at time.Duration) bool {
				return at < 100*time.Second || at > 1000*time.Second && at < 2500*time.Second
			}
			s := ossecManager(t, func(at time.Duration) bool { return !away(at) })
			b := startAgent(t, s, oneServer, func(o *Options) {
				o.Timing.AckTimeout = 0
				o.SpoolDir = filepath.Join(dir, "spool")
			})
			defer b.stop()
			until := func(seconds int) { time.Sleep(time.Until(begin.Add(time.Duration(seconds) * time.Second))) }
			heard := func(want ...string) {
				t.Helper()
				if diff := cmp.Diff(want, texts(s.takeHeard())); diff != "" {
					t.Error(diff)
				}
			}
			for i := range 5 {
				say(t, b, fmt.Sprint("early ", i)) // waits in memory
			}
			until(400)
			heard("early 0", "early 1", "early 2", "early 3", "early 4")
			say(t, b, "at once")
			synctest.Wait()
			heard("at once")
			lines, _ := b.take()
			if n := strings.Count(strings.Join(lines, "\n"), "Events cannot be kept while no server answers: opening the spool "); n < 1 || n > 8 {
				t.Errorf("said %d times in 400 seconds: %q", n, lines)
			}

			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			until(1400) // the spool is open, and that the manager is away is known
			var want []string
			next := func(text string) {
				want = append(want, text)
				say(t, b, text)
				synctest.Wait()
			}
			next("spooled 0")
			next("spooled 1")
			if n := b.f.Stats().SpoolLen; n != 2 {
				t.Errorf("%d events in the spool", n)
			}
			smalldisk.Fill(t, dir)
			for i := range 3 {
				next(fmt.Sprint("held ", i, " ", strings.Repeat("x", 3000)))
			}
			until(2400)
			if n := b.f.Stats().SpoolLen; n > 4 {
				t.Errorf("%d events in the spool of a full disk", n)
			}
			until(3500)
			heard(want...)
			say(t, b, "at once")
			synctest.Wait()
			heard("at once")
			lines, _ = b.take()
			if n := strings.Count(strings.Join(lines, "\n"), "ERROR: Storing events while no server answers: spool: "); n < 1 || n > 30 {
				t.Errorf("said %d times in 1100 seconds: %q", n, lines)
			}
		})
	})
}

// TestEventsThatCannotBeKeptAtTheEndAreCounted stops an agent whose disk is full; the manager hears of the loss from the next one.
func TestEventsThatCannotBeKeptAtTheEndAreCounted(t *testing.T) {
	smalldisk.Run(t, 1<<20, func(t *testing.T, dir string) {
		synctest.Test(t, func(t *testing.T) {
			answers := false
			s := ossecManager(t, func(time.Duration) bool { return answers })
			tune := func(o *Options) { o.SpoolDir = filepath.Join(dir, "spool") }
			b := startAgent(t, s, oneServer, tune)
			time.Sleep(time.Second)
			say(t, b, "kept")
			synctest.Wait()
			filler := smalldisk.Fill(t, dir)
			for i := range 3 {
				say(t, b, fmt.Sprint(i, strings.Repeat("x", 5000)))
			}
			synctest.Wait()
			b.stop()
			lines, _ := b.take()
			if all := strings.Join(lines, "\n"); !strings.Contains(all, "ERROR: 3 events are lost at the end: spool: ") {
				t.Error(all)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			answers = true
			b = startAgent(t, s, oneServer, tune)
			time.Sleep(time.Minute)
			b.stop()
			var all []string
			for _, h := range s.takeHeard() {
				all = append(all, h.payload)
			}
			for _, want := range []string{"1:vedette-agent:vedette: Agent event spool could not be read or written: 3 events lost.", "1:/log:kept"} {
				if n := strings.Count(strings.Join(all, "\n"), want); n != 1 {
					t.Errorf("%q was heard %d times: %.200q", want, n, all)
				}
			}
		})
	})
}
