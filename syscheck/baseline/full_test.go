package baseline

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/nospace"
	"github.com/vedette-hids/vedette/internal/smalldisk"
)

// TestAFullDiskForgetsNoChange fills the disk below a store: what it took before it remembers, what it refused it takes later, with its alert.
func TestAFullDiskForgetsNoChange(t *testing.T) {
	smalldisk.Run(t, 8<<20, func(t *testing.T, disk string) {
		root := filepath.Join(disk, "ossec")
		dir := filepath.Join(root, "queue", "syscheck")
		for _, d := range []string{dir, filepath.Join(root, "logs")} {
			if err := os.MkdirAll(d, 0o750); err != nil {
				t.Fatal(err)
			}
		}
		opts := Options{AlertNewFiles: true, Confirm: true}
		s := open(t, dir, opts)
		message := func(n int, location string) *event.Event {
			return &event.Event{Kind: event.KindSyscheck, Location: location, Raw: checksum(n) + fmt.Sprintf(" /etc/file%d", n), Received: time.Unix(1800000000, 0)}
		}
		take := func(n int, location string, want bool) {
			t.Helper()
			if keep, err := s.Apply(message(n, location)); err != nil || keep != want {
				t.Errorf("%s %d: %v, %v", location, n, keep, err)
			}
		}
		n := 0
		for ; n < 100; n++ {
			take(n, local, true)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		filler := smalldisk.Fill(t, disk)
		var refused error
		for ; refused == nil && n < 10000; n++ {
			ev := message(n, local)
			keep, err := s.Apply(ev)
			if refused = err; err == nil && !keep {
				t.Fatalf("no alert of %d", n)
			}
			if err != nil && ev.DecodedAs != "" {
				t.Errorf("a refused message was decided on: %s", ev.DecodedAs)
			}
		}
		n-- // the one that was refused
		if !nospace.Is(refused) {
			t.Fatalf("after %d messages: %v", n, refused)
		}
		if _, err := s.Apply(message(n, local)); !nospace.Is(err) {
			t.Errorf("the second try: %v", err)
		}
		if _, err := s.Apply(message(1, "(new) 10.0.0.1->syscheck")); !nospace.Is(err) {
			t.Errorf("the first message of a location: %v", err)
		}
		if err := s.Flush(); !nospace.Is(err) {
			t.Errorf("flush: %v", err)
		}
		killed := leftBehind(t, dir)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		take(n, local, true)
		take(1, "(new) 10.0.0.1->syscheck", true)
		if err := s.Flush(); err != nil {
			t.Error(err)
		}
		if err := s.Written(); err != nil {
			t.Error(err)
		}
		for i := range n + 1 {
			take(i, local, false)
		}
		// A manager that was killed while the disk was full has told of nothing that the next one does not know.
		s = open(t, killed, opts)
		if got := len(s.Unwritten()); got != n {
			t.Errorf("%d alerts may be missing, want %d", got, n)
		}
		for i := range n {
			take(i, local, false)
		}
		take(n, local, true)
	})
}
