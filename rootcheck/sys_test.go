//go:build unix

package rootcheck

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
)

func TestLinkCounts(t *testing.T) {
	for _, c := range []struct {
		links   uint64
		subdirs int
		newDev  bool
		want    bool
	}{
		{2, 0, false, true}, {5, 3, false, true}, {6, 3, false, false}, {4, 3, false, false}, {4, 3, true, true}, {1, 3, false, true}, {3, 3, true, false},
	} {
		if got := linksFit(c.links, c.subdirs, c.newDev); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// newCheck makes a system check that records.
func newCheck(t *testing.T) (*sysCheck, *recorder) {
	t.Helper()
	rec := &recorder{}
	s, err := New(&config.Rootcheck{CheckSys: true}, rec, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &sysCheck{Scanner: s, ctx: t.Context()}, rec
}

func TestHiddenSubdirectoryShowsInLinkCount(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c, rec := newCheck(t)
	subdirs, links, ok := countSubdirs(dir)
	if !ok || subdirs != 2 {
		t.Fatalf("%d %d %v", subdirs, links, ok)
	}
	// The directory is as it should be, whatever the first look said.
	if err := c.linkCount(dir, inode{links: links + 1}, subdirs, false); err != nil || len(rec.texts) > 0 {
		t.Errorf("a link count that changed: %q, %v", rec.texts, err)
	}
	if err := c.linkCount(dir, inode{links: links}, subdirs+1, false); err != nil || len(rec.texts) > 0 {
		t.Errorf("a subdirectory that went away: %q, %v", rec.texts, err)
	}
	if links != 4 {
		t.Skip("this file system does not count links")
	}
	if !kindOfFS(dir).countsLinks && !strings.HasPrefix(dir, "/tmp") {
		t.Error("the file system counts links, but is not known to")
	}
}

func TestEntryThatVanishesIsNotHidden(t *testing.T) {
	c, rec := newCheck(t)
	dir := t.TempDir()
	if err := c.hidden(dir, dir+"/x", "x", fs.ErrNotExist); err != nil || len(rec.texts) > 0 {
		t.Errorf("%q, %v", rec.texts, err)
	}
}

func TestSizeIsThatOfTheContent(t *testing.T) {
	c, rec := newCheck(t)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.size(path, st); err != nil || len(rec.texts) > 0 {
		t.Errorf("%q, %v", rec.texts, err)
	}
	// The file grows between the looks: nothing to report.
	if err := os.WriteFile(path, []byte("more content"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := c.size(path, st); err != nil || len(rec.texts) > 0 {
		t.Errorf("%q, %v", rec.texts, err)
	}
}

// TestFileOfAnotherSize uses a file whose size is a lie by design: those of /sys are one page long.
func TestFileOfAnotherSize(t *testing.T) {
	const path = "/sys/kernel/mm/transparent_hugepage/enabled"
	st, err := os.Lstat(path)
	if err != nil {
		t.Skip("no such file here")
	}
	if n, err := countBytes(t.Context(), path, st.Size()); err != nil || n == st.Size() {
		t.Skip("no file of another size here")
	}
	c, rec := newCheck(t)
	if err := c.size(path, st); err != nil {
		t.Fatal(err)
	}
	want := "Anomaly detected in file '" + path + "'. File size doesn't match what we found. Possible kernel level rootkit. MD5="
	if len(rec.texts) != 1 || !strings.HasPrefix(rec.texts[0], want) {
		t.Errorf("%q", rec.texts)
	}
}

// Any user can make a file of terabytes that holds nothing, under a name that is looked for: reading it would hold up all other checks.
func TestHugeFilesDoNotHoldUpTheScan(t *testing.T) {
	c, rec := newCheck(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c.ctx = ctx
	path := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 8<<40); err != nil {
		t.Skip(err)
	}
	if got := hashSuffix(ctx, path); got != noHashes {
		t.Errorf("hashed: %s", got)
	}
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.size(path, st); err != nil || len(rec.texts) > 0 {
		t.Errorf("%v, %q", err, rec.texts)
	}
	if err := ctx.Err(); err != nil {
		t.Error(err)
	}
}

// A program may append to a file for as long as it is read.
func TestCountingEndsBehindTheSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int64]int64{10: 10, 4: 5, 20: 10} {
		if n, err := countBytes(t.Context(), path, size); n != want || err != nil {
			t.Errorf("size %d: %d, %v", size, n, err)
		}
	}
}

func TestSinkErrorEndsTheScan(t *testing.T) {
	closed := errors.New("closed")
	s, err := New(&config.Rootcheck{}, event.SinkFunc(func(context.Context, event.Message) error { return closed }), nil, Options{Settle: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Scan(t.Context()); !errors.Is(err, closed) {
		t.Errorf("%v", err)
	}
}

func TestNewRefusesToBeWithoutSink(t *testing.T) {
	if _, err := New(config.DefaultRootcheck(), nil, nil, Options{}); err == nil {
		t.Error("no error")
	}
}

func TestTooManyFilesToLookForEverywhere(t *testing.T) {
	var db strings.Builder
	for i := range 600 {
		db.WriteString("*/.f" + strings.Repeat("x", i%30) + string(rune('a'+i/30)) + " ! Kit ::\n")
	}
	file := filepath.Join(t.TempDir(), "files.txt")
	if err := os.WriteFile(file, []byte(db.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	_, lines := scan(t, &config.Rootcheck{CheckFiles: true, RootkitFiles: file}, Options{})
	if !strings.Contains(strings.Join(lines, "\n"), "rootcheck(1250): ERROR: Maximum number of global files reached: 512") {
		t.Errorf("%q", lines)
	}
}
