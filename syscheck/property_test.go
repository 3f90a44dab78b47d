//go:build linux

package syscheck

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"flag"
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
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/syscheck/baseline"
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
	quiet   bool     // leaves alone the content and attributes of files with several names: the system reports a change only under one of them
	touched []string // what the operations were about: these paths and those below them may have changed
}

func (v *vandal) path() string {
	p := v.dir
	for v.r.IntN(3) > 0 {
		p = filepath.Join(p, string(rune('a'+v.r.IntN(4))))
	}
	return filepath.Join(p, string(rune('a'+v.r.IntN(4))))
}

// shared reports whether a path has several names, which a quiet vandal must not change through one of them.
func (v *vandal) shared(path string) bool {
	var st unix.Stat_t
	return v.quiet && unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink > 1
}

// act does one random operation; most of the errors are part of the game.
func (v *vandal) act() {
	v.n++
	p, q := v.path(), v.path()
	v.touched = append(v.touched, p, q)
	if v.shared(p) || v.shared(q) {
		os.Remove(p)
		return
	}
	switch v.r.IntN(17) {
	case 0, 1, 2:
		os.MkdirAll(filepath.Dir(p), 0o755)
		v.through(p)
		os.WriteFile(p, fmt.Appendf(nil, "content %d\n", v.r.IntN(1000)), 0o644)
	case 3:
		v.through(p)
		if f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			fmt.Fprintf(f, "more %d\n", v.n)
			f.Close()
		}
	case 4:
		v.through(p)
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
		os.Link(p, q)
	case 12: // a tree leaves or comes in
		place := filepath.Join(v.outside, fmt.Sprint(v.r.IntN(3)))
		if os.Rename(place, p) != nil {
			os.Rename(p, place)
		}
	case 13:
		os.RemoveAll(p)
		os.MkdirAll(filepath.Join(p, "x", "y"), 0o755)
		os.WriteFile(filepath.Join(p, "x", "y", "z"), fmt.Append(nil, v.n), 0o644)
	case 14: // needs root
		os.Lchown(p, v.r.IntN(3), v.r.IntN(3))
	case 15:
		v.through(p)
		os.Truncate(p, int64(v.r.IntN(20)))
	case 16: // as editors and package managers do it
		if os.WriteFile(p+".new", fmt.Appendf(nil, "content %d\n", v.r.IntN(1000)), 0o640) == nil {
			os.Rename(p+".new", p)
		}
		v.touched = append(v.touched, p+".new")
	}
}

// through notes what an operation changes that follows symbolic links.
func (v *vandal) through(p string) {
	if to, err := filepath.EvalSymlinks(p); err == nil {
		v.touched = append(v.touched, to)
		return
	}
	for range 40 { // a link to a file that will be created
		to, err := os.Readlink(p)
		if err != nil {
			break
		}
		p = filepath.Join(filepath.Dir(p), to)
		v.touched = append(v.touched, p)
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(p)); err == nil {
		v.touched = append(v.touched, filepath.Join(dir, filepath.Base(p)))
	}
}

// took gives what was touched since the last call.
func (v *vandal) took() []string {
	t := v.touched
	v.touched = nil
	return t
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

var (
	histories = flag.Int("histories", 3, "random histories of a watched tree")
	search    = flag.Duration("search", 0, "try other random histories for so long")
)

// TestRealtimeEndsInTheStateThatAScanSees changes a tree at random while it is watched. After every burst the messages so far must add up to
// exactly the tree, the last message about each file must be true, and a manager must have raised the right alert for each change.
func TestRealtimeEndsInTheStateThatAScanSees(t *testing.T) {
	for seed := range uint64(*histories) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			history(t, seed)
		})
	}
	for end := time.Now().Add(*search); time.Now().Before(end) && !t.Failed(); {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, seed) })
	}
}

// history is one life of a tree.
func history(t *testing.T, seed uint64) {
	dir := tree(t)
	v := &vandal{r: rand.New(rand.NewPCG(seed, 7)), dir: dir, outside: t.TempDir(), quiet: true}
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
	mgr := newManager(t)
	known := map[string]string{}
	base := sink.take()
	replay(known, base)
	mgr.alerts(t, base)
	v.took()
	for burst := range 60 {
		before := withoutLinks(truth(t, dir))
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
		rightAlerts(t, before, withoutLinks(now), v.took(), mgr.alerts(t, got))
		if t.Failed() {
			t.Fatalf("burst %d: %q", burst, got)
		}
	}
	m.ScanNow()
	sink.wait(t, "scan", done)
	replay(known, sink.take())
	if diff := cmp.Diff(truth(t, dir), known, sameState); diff != "" {
		t.Fatalf("after the scan: %s", diff)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// manager decides on messages as the real one does.
type manager struct{ store *baseline.Store }

func newManager(t *testing.T) *manager {
	t.Helper()
	s, err := baseline.Open(t.TempDir(), baseline.Options{AlertNewFiles: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &manager{s}
}

// alerts gives the kinds of alerts by path, in order.
func (m *manager) alerts(t *testing.T, messages []string) map[string][]string {
	t.Helper()
	raised := map[string][]string{}
	for _, text := range messages {
		text, ok := strings.CutPrefix(text, "8:syscheck:")
		if !ok {
			continue
		}
		ev := event.NewEvent(event.Message{Kind: event.KindSyscheck, Location: "syscheck", Text: text}, time.Now())
		keep, err := m.store.Apply(ev)
		if err != nil {
			t.Fatal(err)
		}
		if keep {
			raised[ev.File.Path] = append(raised[ev.File.Path], ev.DecodedAs)
		}
	}
	return raised
}

const (
	alertNew     = "syscheck_new_entry"
	alertChanged = "syscheck_integrity_changed"
	alertDeleted = "syscheck_deleted"
)

// rightAlerts checks that every difference between the two states raised the alert that it must raise, that alerts about one file are in an order
// that can be, and that nothing was said about files that nobody touched.
func rightAlerts(t *testing.T, before, now map[string]string, touched []string, raised map[string][]string) {
	t.Helper()
	paths := map[string]bool{}
	for _, m := range []map[string]string{before, now} {
		for path := range m {
			paths[path] = true
		}
	}
	for path := range raised {
		paths[path] = true
	}
	for path := range paths {
		old, was := before[path]
		state, is := now[path]
		got := raised[path]
		here := was
		for i, a := range got {
			if here == (a == alertNew) {
				t.Errorf("%s: alert %d of %q does not follow (it was there before: %v)", path, i, got, was)
			}
			here = a != alertDeleted
		}
		changed := was != is || was && old != state
		switch {
		case here != is:
			t.Errorf("%s: after the alerts %q it exists: %v, in truth: %v", path, got, here, is)
		case changed && len(got) == 0:
			t.Errorf("%s: no alert for the change from %q to %q", path, old, state)
		case !changed && len(got) > 0 && !slices.ContainsFunc(touched, func(p string) bool { return within(path, p) }):
			t.Errorf("%s: alerts %q and nobody touched it", path, got)
		}
	}
}

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
	v := &vandal{r: rand.New(rand.NewPCG(11, 7)), dir: dir, outside: t.TempDir()}
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
