//go:build linux

package syscheck

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
)

// TestInterruptedForwardingKeepsTheOrderOfRoots: a root that stands later in the configuration is sent after an interruption in an earlier
// one, also when its name sorts before; and directories that were done are not sent again.
func TestInterruptedForwardingKeepsTheOrderOfRoots(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	cfg := &config.Syscheck{}
	for _, root := range []string{"z", "a"} {
		for i := range 1500 {
			write(t, filepath.Join(dir, root, fmt.Sprintf("%02d", i%30), fmt.Sprint(i)), fmt.Sprint(i))
		}
		cfg.Directories = append(cfg.Directories, everything(filepath.Join(dir, root)))
	}
	var stop context.CancelFunc
	sent := map[string]int{}
	n := 0
	sink := event.SinkFunc(func(ctx context.Context, m event.Message) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, path, ok := strings.Cut(m.Text, " "+dir+"/"); ok {
			sent[path]++
			if n++; n == 1400 && stop != nil {
				stop()
			}
		}
		return nil
	})
	run := func(ctx context.Context) error {
		m, err := New(cfg, sink, nil, Options{Root: state, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		return errors.Join(m.Scan(ctx), m.Close())
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop = cancel
	if err := run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	stop = nil
	if err := run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(sent) != 3000 {
		t.Errorf("%d of 3000 files were sent", len(sent))
	}
	if sent["z/00/0"] != 1 {
		t.Errorf("a file of the first directory was sent %d times", sent["z/00/0"])
	}
}

// TestPlacesStayBounded: while the first file is still being read, the walk goes on, and what is safe stays before it.
func TestPlacesStayBounded(t *testing.T) {
	p := &pass{m: &Monitor{}, jobs: make(chan []job, 3*maxPlaces)}
	for i := range 3 * maxPlaces {
		p.enter(fmt.Sprintf("/%06d", i))
		if err := p.emit(t.Context(), job{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.places) > maxPlaces {
		t.Errorf("%d places", len(p.places))
	}
	if err := p.hand(t.Context()); err != nil {
		t.Fatal(err)
	}
	var jobs []job
	for len(p.jobs) > 0 {
		jobs = append(jobs, <-p.jobs...)
	}
	first := jobs[0]
	for _, j := range jobs[1:] {
		j.place.open.Add(-1)
	}
	if at, _ := p.safe(); at.dir != "/000000" {
		t.Errorf("safe is %q, but its first file is not done", at.dir)
	}
	first.place.open.Add(-1)
	p.enter("/x")
	if at, _ := p.safe(); at.dir != "/x" {
		t.Errorf("all is done before /x, but safe is %q", at.dir)
	}
}
