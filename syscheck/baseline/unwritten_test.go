package baseline

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// leftBehind copies the state of a store as it lies on disk now: what a manager that is killed leaves behind.
func leftBehind(t *testing.T, dir string) string {
	t.Helper()
	to := stateDir(t)
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func handIn(t *testing.T, s *Store, text string) *event.Event {
	t.Helper()
	ev := event.FromAgent(event.KindSyscheck, &event.Agent{ID: "001", Name: "web", IP: "any"}, []byte("syscheck:"+text), time.Unix(1800000000, 0))
	if _, err := s.Apply(ev); err != nil {
		t.Fatal(err)
	}
	return ev
}

func texts(list []*event.Event) (out []string) {
	for _, ev := range list {
		out = append(out, ev.DecodedAs+" "+ev.FullLog)
	}
	return out
}

func TestAlertsThatAKilledManagerDidNotWriteAreGivenAgain(t *testing.T) {
	dir := stateDir(t)
	opts := Options{AlertNewFiles: true, Confirm: true}
	s := open(t, dir, opts)
	handIn(t, s, checksum(1)+" /etc/a")
	handIn(t, s, checksum(1)+" /etc/b")
	if err := s.Written(); err != nil {
		t.Fatal(err)
	}
	want := texts([]*event.Event{
		handIn(t, s, checksum(2)+" /etc/a\n1c1\n< old\n---\n> new\n"),
		handIn(t, s, "-1 /etc/b"),
		handIn(t, s, checksum(3)+" /etc/c d"),
		handIn(t, s, checksum(4)+" /etc/b"),
	})
	for _, flushed := range []bool{false, true} {
		if flushed { // in the database, yet not written
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		dir := leftBehind(t, dir)
		next := open(t, dir, opts)
		events := next.Unwritten()
		if got := texts(events); !slices.Equal(got, want) {
			t.Fatalf("flushed %v:\n%q, want\n%q", flushed, got, want)
		}
		if err := next.Repeated(events[:1]); err != nil { // that one is on file
			t.Fatal(err)
		}
		for i, ev := range events[1:] {
			ev.FullLog = ""
			if keep, err := next.Apply(ev); err != nil || !keep || texts([]*event.Event{ev})[0] != want[i+1] {
				t.Errorf("%v %v %q", keep, err, ev.FullLog)
			}
		}
		// Killed again before that is written, the alerts are still not lost; afterwards they are done with.
		again := open(t, leftBehind(t, dir), opts)
		if got := len(again.Unwritten()); got != 4 {
			t.Errorf("%d alerts after a second kill", got)
		}
		if err := next.Written(); err != nil {
			t.Fatal(err)
		}
		if ev := handIn(t, next, checksum(4)+" /etc/b"); ev.DecodedAs != "" {
			t.Errorf("the last state was forgotten: %q", ev.FullLog)
		}
		if got := open(t, leftBehind(t, dir), opts).Unwritten(); len(got) != 0 {
			t.Errorf("alerts that are written: %q", texts(got))
		}
		if st, err := os.Stat(filepath.Join(dir, JournalFile)); err != nil || st.Size() != 0 {
			t.Errorf("the journal is not empty: %v %v", st.Size(), err)
		}
	}
}
