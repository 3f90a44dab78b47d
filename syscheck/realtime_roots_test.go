//go:build linux

package syscheck

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
)

// watching runs a monitor with realtime directories until the test ends, and waits for the end of the base line.
func watching(t *testing.T, sink *collector, paths ...string) *Monitor {
	t.Helper()
	cfg := &config.Syscheck{Frequency: 100000, ScanOnStart: true}
	for _, path := range paths {
		d := everything(path)
		d.Realtime = true
		cfg.Directories = append(cfg.Directories, d)
	}
	m, err := New(cfg, sink, nil, Options{Root: t.TempDir(), Settle: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	sink.wait(t, "base line", done)
	sink.take()
	return m
}

// saying waits for messages with these ends, in any order, and no others about files.
func saying(t *testing.T, sink *collector, ends ...string) {
	t.Helper()
	sink.wait(t, fmt.Sprint(ends), func(got []string) bool { return len(about(got)) >= len(ends) })
	got := about(sink.take())
	for _, end := range ends {
		found := 0
		for _, g := range got {
			if strings.HasSuffix(g, end) {
				found++
			}
		}
		if found != 1 || len(got) != len(ends) {
			t.Errorf("messages %q, want %q", got, ends)
		}
	}
}

func TestRealtimeRootThatComesBackIsWatched(t *testing.T) {
	dir := tree(t)
	root, aside := filepath.Join(dir, "root"), filepath.Join(dir, "aside")
	write(t, filepath.Join(root, "sub", "f"), "x")
	sink := newCollector()
	watching(t, sink, root)
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	saying(t, sink, ":-1 "+root+"/sub/f")
	write(t, filepath.Join(root, "sub", "g"), "x")
	saying(t, sink, " "+root+"/sub/g")
	write(t, filepath.Join(root, "sub", "h"), "x")
	saying(t, sink, " "+root+"/sub/h")

	// Another directory takes its place: the one that was moved away tells nothing any more.
	write(t, filepath.Join(dir, "other", "sub", "g"), "other")
	if err := os.Rename(root, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "other"), root); err != nil {
		t.Fatal(err)
	}
	saying(t, sink, " "+root+"/sub/g", ":-1 "+root+"/sub/h")
	write(t, filepath.Join(aside, "sub", "h"), "not watched")
	write(t, filepath.Join(root, "sub", "i"), "x")
	saying(t, sink, " "+root+"/sub/i")
}

func TestRealtimeRootThatIsNotThereYet(t *testing.T) {
	dir := tree(t)
	root := filepath.Join(dir, "later")
	sink := newCollector()
	watching(t, sink, root)
	write(t, filepath.Join(root, "f"), "x")
	saying(t, sink, " "+root+"/f")
	write(t, filepath.Join(root, "deep", "er", "g"), "x")
	saying(t, sink, " "+root+"/deep/er/g")
}

func TestRealtimeRootThatIsALinkIsFollowedElsewhere(t *testing.T) {
	dir := tree(t)
	root := filepath.Join(dir, "root")
	write(t, filepath.Join(dir, "one", "f"), "x")
	write(t, filepath.Join(dir, "two", "g"), "x")
	link := func(to string) {
		t.Helper()
		if err := os.Symlink(to, root+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(root+".new", root); err != nil {
			t.Fatal(err)
		}
	}
	link("one")
	sink := newCollector()
	watching(t, sink, root)
	link("two")
	saying(t, sink, ":-1 "+root+"/f", " "+root+"/g")
	write(t, filepath.Join(dir, "two", "h"), "x")
	saying(t, sink, " "+root+"/h")
	link("nowhere") // what is not to be seen is not said to be gone
	link("two")
	write(t, filepath.Join(dir, "two", "i"), "x")
	saying(t, sink, " "+root+"/i")
}

func TestRealtimeSingleFile(t *testing.T) {
	dir := tree(t)
	path := filepath.Join(dir, "passwd")
	write(t, path, "one")
	write(t, filepath.Join(dir, "beside"), "x")
	sink := newCollector()
	watching(t, sink, path)
	write(t, path, "two and more")
	saying(t, sink, " "+path)
	write(t, path+".new", "three") // as editors do it
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	saying(t, sink, " "+path)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	saying(t, sink, " "+path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	saying(t, sink, ":-1 "+path)
	write(t, path, "back")
	saying(t, sink, " "+path)
}
