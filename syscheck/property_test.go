//go:build linux

package syscheck

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

// truth describes every monitored file below dir without any code of the package: path → checksum text.
func truth(t *testing.T, dir string) map[string]string {
	t.Helper()
	state := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() && d.Type()&fs.ModeSymlink == 0 {
			return nil
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		hashes := "xxx:xxx:xxx"
		if target, err := os.Stat(path); err == nil && target.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			hashes = fmt.Sprintf("%x:%x:%x", md5.Sum(b), sha1.Sum(b), sha256.Sum256(b))
		}
		state[path] = fmt.Sprintf("%d:%d:%d:%d:%s", st.Size, st.Mode, st.Uid, st.Gid, hashes)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// replay applies messages to what a manager knows.
func replay(state map[string]string, messages []string) {
	for _, m := range messages {
		text, ok := strings.CutPrefix(m, "8:syscheck:")
		checksum, path, found := strings.Cut(text, " ")
		switch {
		case !ok || !found:
		case checksum == "-1":
			delete(state, path)
		default:
			state[path] = checksum
		}
	}
}

// vandal changes a tree at random.
type vandal struct {
	r       *rand.Rand
	dir     string
	outside string
	n       int
	links   bool // hard links too: the system reports a change only under the name that it was made through
}

func (v *vandal) path() string {
	p := v.dir
	for v.r.IntN(3) > 0 {
		p = filepath.Join(p, string(rune('a'+v.r.IntN(4))))
	}
	return filepath.Join(p, string(rune('a'+v.r.IntN(4))))
}

// act does one random operation; most of the errors are part of the game.
func (v *vandal) act() {
	v.n++
	p, q := v.path(), v.path()
	switch v.r.IntN(14) {
	case 0, 1, 2:
		os.MkdirAll(filepath.Dir(p), 0o755)
		os.WriteFile(p, fmt.Appendf(nil, "content %d\n", v.r.IntN(1000)), 0o644)
	case 3:
		if f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			fmt.Fprintf(f, "more %d\n", v.n)
			f.Close()
		}
	case 4:
		os.Chmod(p, fs.FileMode(0o600+v.r.IntN(64)))
	case 5:
		os.Remove(p)
	case 6:
		os.MkdirAll(p, 0o755)
	case 7, 8:
		os.Rename(p, q)
	case 9:
		os.RemoveAll(p)
	case 10:
		os.Symlink(filepath.Base(q), p)
	case 11:
		if v.links {
			os.Link(p, q)
		}
	case 12: // a tree leaves or comes in
		place := filepath.Join(v.outside, fmt.Sprint(v.r.IntN(3)))
		if os.Rename(place, p) != nil {
			os.Rename(p, place)
		}
	case 13:
		os.RemoveAll(p)
		os.MkdirAll(filepath.Join(p, "x", "y"), 0o755)
		os.WriteFile(filepath.Join(p, "x", "y", "z"), fmt.Append(nil, v.n), 0o644)
	}
}

func everything(path string) config.Directory {
	return config.Directory{Path: path, Size: true, Perm: true, Owner: true, Group: true, MD5: true, SHA1: true, SHA256: true}
}

// sameState compares checksum texts as a manager does: a hash that appears or vanishes is no change.
var sameState = cmp.Comparer(func(a, b string) bool { return !sum.RealChange(a, b) })

// withoutLinks leaves out the hashes of symbolic links: no event tells that a link's target changed, only a scan does.
func withoutLinks(state map[string]string) map[string]string {
	out := map[string]string{}
	for path, checksum := range state {
		if st, err := os.Lstat(path); err == nil && st.Mode()&fs.ModeSymlink != 0 {
			checksum = strings.Join(strings.Split(checksum, ":")[:4], ":")
		}
		out[path] = checksum
	}
	return out
}

// TestRealtimeEndsInTheStateThatAScanSees changes a tree at random while it is watched. After every burst the messages so far must add up to
// exactly the tree, and the last message about each file must be true.
func TestRealtimeEndsInTheStateThatAScanSees(t *testing.T) {
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			v := &vandal{r: rand.New(rand.NewPCG(seed, 7)), dir: dir, outside: t.TempDir()}
			for range 40 {
				v.act()
			}
			watched := everything(dir)
			watched.Realtime = true
			sink := newCollector()
			m, err := New(&config.Syscheck{Frequency: 100000, ScanOnStart: true, Directories: []config.Directory{watched}}, sink, nil,
				Options{Root: t.TempDir(), Settle: 5 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- m.Run(ctx) }()
			sink.wait(t, "base line", done)
			known := map[string]string{}
			replay(known, sink.take())
			for burst := range 60 {
				for range 1 + v.r.IntN(25) {
					v.act()
				}
				m.rt.idle(t)
				got := sink.take()
				replay(known, got)
				now := truth(t, dir)
				if diff := cmp.Diff(withoutLinks(now), withoutLinks(known)); diff != "" {
					t.Fatalf("burst %d: (-tree +messages)\n%s\n%q", burst, diff, got)
				}
				quiet(t, now, got)
			}
			m.ScanNow()
			sink.wait(t, "scan", done)
			got := sink.take()
			replay(known, got)
			if diff := cmp.Diff(truth(t, dir), known, sameState); diff != "" {
				t.Fatalf("after the scan: %s", diff)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// seeds is the number of random histories; raise it to search.
const seeds = 3

// quiet checks that the last message about each file says what the file is.
func quiet(t *testing.T, now map[string]string, messages []string) {
	t.Helper()
	last := map[string]string{}
	for _, m := range messages {
		if checksum, path, ok := strings.Cut(strings.TrimPrefix(m, "8:syscheck:"), " "); ok {
			last[path] = checksum
		}
	}
	for path, checksum := range last {
		switch {
		case checksum == "-1":
			if _, exists := now[path]; exists {
				t.Errorf("%s is reported as deleted and exists", path)
			}
		case now[path] != checksum && !isLink(path):
			t.Errorf("%s: the last message says %s, the file is %s", path, checksum, now[path])
		}
	}
}

func isLink(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode()&fs.ModeSymlink != 0
}

// TestScansSeeEveryChange scans a tree again and again between random changes.
func TestScansSeeEveryChange(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	v := &vandal{r: rand.New(rand.NewPCG(11, 7)), dir: dir, outside: t.TempDir(), links: true}
	sink := newCollector()
	state := t.TempDir()
	cfg := &config.Syscheck{Directories: []config.Directory{everything(dir)}}
	known := map[string]string{}
	var m *Monitor
	for round := range 80 {
		if round%10 == 0 { // a new process
			if m != nil {
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if m, err = New(cfg, sink, nil, Options{Root: state}); err != nil {
				t.Fatal(err)
			}
		}
		before := truth(t, dir)
		for range v.r.IntN(30) {
			v.act()
		}
		if err := m.Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := sink.take()
		replay(known, got)
		now := truth(t, dir)
		if diff := cmp.Diff(now, known, sameState); diff != "" {
			t.Fatalf("round %d: (-tree +messages)\n%s", round, diff)
		}
		if round%10 != 0 {
			onlyChanges(t, before, now, got)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// onlyChanges checks that a scan sent exactly one message for each file that differs and none for others.
func onlyChanges(t *testing.T, before, now map[string]string, messages []string) {
	t.Helper()
	var want, got []string
	for path, checksum := range now {
		if old, ok := before[path]; !ok || sum.RealChange(old, checksum) {
			want = append(want, "8:syscheck:"+checksum+" "+path)
		}
	}
	for path := range before {
		if _, ok := now[path]; !ok {
			want = append(want, "8:syscheck:-1 "+path)
		}
	}
	for _, m := range messages {
		if strings.Contains(m, " /") {
			got = append(got, m)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages: %s", diff)
	}
}
