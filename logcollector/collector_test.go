package logcollector

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
)

// catcher is a Sink that keeps what it gets and lets tests wait for it.
type catcher struct {
	mu   sync.Mutex
	got  []string
	more chan struct{}
}

func newCatcher() *catcher { return &catcher{more: make(chan struct{}, 1)} }

func (c *catcher) Send(_ context.Context, m event.Message) error {
	c.mu.Lock()
	c.got = append(c.got, m.String())
	c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
	return nil
}

func (c *catcher) wait(t *testing.T, n int) []string {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		c.mu.Lock()
		if len(c.got) >= n {
			got := slices.Clone(c.got)
			c.mu.Unlock()
			return got
		}
		c.mu.Unlock()
		select {
		case <-c.more:
		case <-limit:
			t.Fatalf("only %d of %d messages: %q", len(c.got), n, c.got)
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// stage is a collector that runs in a test and can be stopped and started again.
type stage struct {
	t    *testing.T
	sink *catcher
	dir  string
	cfg  []config.Localfile
	stop func()
}

func (s *stage) start() {
	s.t.Helper()
	started := make(chan struct{})
	c, err := New(s.cfg, s.sink, nil, Options{PositionFile: filepath.Join(s.dir, "positions"), Poll: 20 * time.Millisecond, CheckEvery: 1 << 30,
		Started: func() { close(started) }})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-started
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
		s.stop = func() {}
	}
	s.t.Cleanup(func() { s.stop() })
}

func newStage(t *testing.T, format string, names ...string) *stage {
	s := &stage{t: t, sink: newCatcher(), dir: t.TempDir()}
	for _, n := range names {
		s.cfg = append(s.cfg, config.Localfile{Location: filepath.Join(s.dir, n), Format: format})
	}
	return s
}

func texts(got []string) []string {
	var out []string
	for _, g := range got {
		_, rest, _ := strings.Cut(g[2:], ":")
		out = append(out, rest)
	}
	return out
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(texts(got), want) {
		t.Errorf("got  %q\nwant %q", texts(got), want)
	}
}

func TestLinesWrittenWhileStoppedAreReadAfterwards(t *testing.T) {
	s := newStage(t, "syslog", "a.log")
	path := s.cfg[0].Location
	put(t, path, "old\n")
	s.start()
	put(t, path, "probe\n")
	n := len(s.sink.wait(t, 1))
	s.stop()
	put(t, path, "while away\npart")
	s.start()
	put(t, path, "ial\n")
	got := s.sink.wait(t, n+2)
	expect(t, got[n:], "while away", "partial")
	if slices.Contains(texts(got), "old") {
		t.Error("content from before the first start was sent")
	}
}

func TestRotationWhileStoppedLosesNothing(t *testing.T) {
	s := newStage(t, "syslog", "a.log")
	path := s.cfg[0].Location
	put(t, path, "")
	s.start()
	put(t, path, "first\n")
	n := len(s.sink.wait(t, 1))
	s.stop()
	put(t, path, "end of the old\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	put(t, path, "begin of the new\n")
	s.start()
	expect(t, s.sink.wait(t, n+3)[n:], "end of the old", "ossec: File rotated (inode changed): '"+path+"'.", "begin of the new")
}

func TestNewMatchesOfAGlobAreReadFromTheirBeginning(t *testing.T) {
	s := newStage(t, "syslog", "*.log")
	s.start()
	put(t, filepath.Join(s.dir, "new.log"), "one\ntwo\n")
	expect(t, s.sink.wait(t, 2), "one", "two")
}

func TestRotationAndTruncationAreToldAndFollowed(t *testing.T) {
	s := newStage(t, "syslog", "a.log")
	path := s.cfg[0].Location
	s.start()
	put(t, path, "a\n")
	s.sink.wait(t, 1)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	put(t, path+".1", "b\n")
	put(t, path, "c\n")
	got := s.sink.wait(t, 4)
	expect(t, got, "a", "b", "ossec: File rotated (inode changed): '"+path+"'.", "c")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	s.sink.wait(t, 5)
	put(t, path, "d\n")
	got = s.sink.wait(t, 6)
	expect(t, got[4:], "ossec: File size reduced (inode remained): '"+path+"'.", "d")
}
