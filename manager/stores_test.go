package manager

import (
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/nospace"
	"github.com/vedette-hids/vedette/internal/smalldisk"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/decode"
)

// What the memory forgets is appended again when it comes back, so a sender could make the file grow for ever.
func TestStateFilesAreShortened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hostinfo")
	store := decode.NewHostinfo(nil)
	f, err := openLines(path, store.Lines, store.Load)
	if err != nil {
		t.Fatal(err)
	}
	f.max = 1000
	if err := store.Load(strings.NewReader("10.0.0.1 known\n10.0.0.2 known\n")); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		f.add("10.0.0.3 forgotten since")
		if err := f.flush(); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil || len(data) > 1100 || !strings.HasPrefix(string(data), "10.0.0.1 known\n10.0.0.2 known\n10.0.0.3") {
		t.Errorf("%d bytes: %.80q, %v", len(data), data, err)
	}
	again := decode.NewHostinfo(nil)
	if f, err = openLines(path, again.Lines, again.Load); err != nil || f.size != int64(len(data)) {
		t.Errorf("size %d, %v", f.size, err)
	}
	n := 0
	for range again.Lines() {
		n++
	}
	if n != 3 {
		t.Errorf("%d lines are read again", n)
	}
}

func TestIgnoredLinesSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ig-queue")
	for i := range 3 {
		s := &ignoreStore{MemoryIgnoreStore: rules.NewMemoryIgnoreStore()}
		var err error
		if s.file, err = openLines(path, s.Lines, s.load); err != nil {
			t.Fatal(err)
		}
		if s.Has("a") != (i > 0) {
			t.Errorf("start %d: known %v", i, s.Has("a"))
		}
		s.Add("a")
		if err := s.file.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "a\n" {
		t.Errorf("%q, %v", data, err)
	}
}

// Host names come from the headers of logs, so a sender could make directories without end.
func TestDiffStoreKeepsALimitedNumberOfHosts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "diff")
	for range 2 { // the second time the directories are there
		d := newDiffStore(dir, nil)
		d.max = 10
		refused := 0
		for i := range 20 {
			if _, _, err := d.Swap(fmt.Sprintf("host%02d", i), 100, "text"); err != nil {
				refused++
			}
		}
		if old, had, err := d.Swap("host00", 101, "other"); old == "text" || err != nil {
			t.Errorf("another rule of a known host: %q, %v, %v", old, had, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || refused != 10 || len(entries) != 10 {
			t.Errorf("%d refused, %d hosts, %v", refused, len(entries), err)
		}
	}
	for _, host := range []string{"", ".", "..", "../x", "a/b", "a\x00"} {
		if _, _, err := newDiffStore(dir, nil).Swap(host, 1, "text"); err == nil {
			t.Errorf("%q is taken", host)
		}
	}
}

// TestStateOnAFullDisk lets lines and texts wait for room.
func TestStateOnAFullDisk(t *testing.T) {
	smalldisk.Run(t, 1<<20, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "fts-queue")
		var keys []string
		f, err := openLines(path, func() iter.Seq[string] { return slices.Values(keys) }, func(io.Reader) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		f.pause = 0
		add := func(key string) {
			keys = append(keys, key)
			f.add(key)
		}
		diff := newDiffStore(filepath.Join(dir, "diff"), nil)
		swap := func(text, want string) {
			t.Helper()
			if old, had, err := diff.Swap("web", 1, text); err != nil || !had || old != want {
				t.Errorf("%q: %q, %v, %v; want %q", text, old, had, err, want)
			}
		}
		if _, _, err := diff.Swap("web", 1, "one"); err != nil {
			t.Fatal(err)
		}
		swap("two", "one")
		add(strings.Repeat("a", 3000))
		if err := f.flush(); err != nil {
			t.Fatal(err)
		}
		filler := smalldisk.Fill(t, dir)
		add(strings.Repeat("b", 3000)) // the page has room for a part of it
		for range 2 {
			if err := f.flush(); !nospace.Is(err) {
				t.Errorf("flush: %v", err)
			}
		}
		add("c")
		swap("three", "two")
		swap("three", "three")
		swap("two", "three")
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if err := f.flush(); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != strings.Join(keys, "\n")+"\n" {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		swap("two", "two")
		diff = newDiffStore(diff.dir, nil)
		swap("two", "two") // it is on disk

		filler = smalldisk.Fill(t, dir)
		for i := range 5000 { // more than is kept
			add(fmt.Sprintf("%d %s", i%100, strings.Repeat("d", 1000)))
		}
		if err := f.flush(); !nospace.Is(err) {
			t.Errorf("flush: %v", err)
		}
		if len(f.unwritten) > 2*maxUnwritten {
			t.Errorf("%d bytes wait", len(f.unwritten))
		}
		keys = keys[:200] // most of them were forgotten since
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if err := f.flush(); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != strings.Join(keys, "\n")+"\n" {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}
