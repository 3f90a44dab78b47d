//go:build linux

package syscheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

// tree makes a directory for one test.
func tree(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	mustWrite(t, path, []byte(text))
}

func mustWrite(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// monitor makes a monitor of dir that is closed with the test.
func monitor(t *testing.T, dir config.Directory, sink event.Sink, opts Options) *Monitor {
	t.Helper()
	if opts.Root == "" {
		opts.Root = t.TempDir()
	}
	m, err := New(&config.Syscheck{Frequency: 100000, ScanOnStart: true, Directories: []config.Directory{dir}}, sink, nil, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func scan(t *testing.T, m *Monitor) {
	t.Helper()
	if err := m.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// about keeps the messages about files.
func about(list []string) (out []string) {
	for _, m := range list {
		if strings.Contains(m, " /") {
			out = append(out, m)
		}
	}
	return out
}

func TestHostileNamesStayApart(t *testing.T) {
	dir := tree(t)
	names := []string{
		"new\nline", "newline", "tab\tbell\a", "quote'\"$(id)`", "pct%s%n", strings.Repeat("n", 255), "bad-\xff\xfe", "-1 x", "!bang", " lead", "trail ",
		"sum\n1c1\n< a\n---\n> b", "\x7f", "back\\slash",
	}
	for _, n := range names {
		write(t, filepath.Join(dir, n), n)
	}
	sink := newCollector()
	m := monitor(t, everything(dir), sink, Options{})
	scan(t, m)
	paths := map[string]string{}
	for _, got := range about(sink.take()) {
		msg, err := sum.ParseMessage(strings.TrimPrefix(got, "8:syscheck:"))
		if err != nil {
			t.Fatal(err)
		}
		if msg.Diff != "" {
			t.Errorf("%q has a diff: %q", msg.Path, msg.Diff)
		}
		if other, ok := paths[msg.Path]; ok {
			t.Errorf("two files are reported as %q: %s", msg.Path, other)
		}
		paths[msg.Path] = msg.Sum
	}
	if len(paths) != len(names) {
		t.Errorf("%d paths reported, %d exist", len(paths), len(names))
	}
	scan(t, m)
	if got := about(sink.take()); len(got) != 0 {
		t.Errorf("second scan: %q", got)
	}
}

func TestPipesAndDevicesAreNeverOpened(t *testing.T) {
	dir := tree(t)
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("fifo", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	// A writer that opens without blocking fails as long as nobody has the pipe open for reading.
	watch := make(chan struct{})
	opened := make(chan bool)
	go func() {
		for {
			select {
			case <-watch:
				opened <- false
				return
			default:
			}
			if fd, err := unix.Open(fifo, unix.O_WRONLY|unix.O_NONBLOCK, 0); err == nil {
				unix.Close(fd)
				opened <- true
				return
			}
		}
	}()
	sink := newCollector()
	m := monitor(t, everything(dir), sink, Options{})
	scan(t, m)
	close(watch)
	if <-opened {
		t.Error("the pipe was opened")
	}
	got := about(sink.take())
	if len(got) != 1 || !strings.HasSuffix(got[0], ":xxx:xxx:xxx "+dir+"/link") {
		t.Errorf("messages: %q", got)
	}
}

func TestHugeSparseFileIsNotReadBeyondTheCap(t *testing.T) {
	dir := tree(t)
	path := filepath.Join(dir, "sparse")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 40); err != nil {
		t.Skip("no sparse files here: ", err)
	}
	f.Close()
	sink := newCollector()
	m := monitor(t, everything(dir), sink, Options{MaxFileSize: 1 << 20})
	scan(t, m)
	if got := about(sink.take()); len(got) != 1 || !strings.Contains(got[0], "8:syscheck:1099511627776:33188:") || !strings.Contains(got[0], ":xxx:xxx:xxx ") {
		t.Errorf("messages: %q", got)
	}
}

func TestScanStopsInsideAHugeFileAndReadsNothingTwice(t *testing.T) {
	dir := tree(t)
	write(t, filepath.Join(dir, "a"), "small")
	f, err := os.Create(filepath.Join(dir, "b-sparse"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 40); err != nil {
		t.Skip("no sparse files here: ", err)
	}
	f.Close()
	state := t.TempDir()
	sink := newCollector()
	m := monitor(t, everything(dir), sink, Options{Root: state, MaxFileSize: 1 << 41, Workers: 1})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		sink.wait(t, "first file", func(got []string) bool { return len(about(got)) == 1 })
		cancel()
	}()
	if err := m.Scan(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "b-sparse")); err != nil {
		t.Fatal(err)
	}
	var res Result
	m = monitor(t, everything(dir), sink, Options{Root: state, Scanned: func(r Result) { res = r }})
	scan(t, m)
	if res.Files != 1 || res.Read > 1 { // the file was written just before: it may have to be read once more
		t.Errorf("second scan: %+v", res)
	}
}

func TestGrowingFileGivesAConsistentSum(t *testing.T) {
	dir := tree(t)
	path := filepath.Join(dir, "log")
	write(t, path, strings.Repeat("x", 1<<20))
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return
		}
		defer f.Close()
		for {
			select {
			case <-stop:
				return
			default:
				f.WriteString("yyyyyyyyyyyyyyyy") //nolint:errcheck // more is not needed
			}
		}
	}()
	sink := newCollector()
	m := monitor(t, everything(dir), sink, Options{})
	scan(t, m)
	close(stop)
	<-stopped
	got := about(sink.take())
	if len(got) != 1 {
		t.Fatalf("messages: %q", got)
	}
	msg, _ := sum.ParseMessage(strings.TrimPrefix(got[0], "8:syscheck:"))
	size := 0
	fmt.Sscan(sum.Split(msg.Sum).Size, &size)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := sum.NewHasher().Read(t.Context(), strings.NewReader(string(b[:size])), sum.Hashes, sum.Limits{Bytes: -1})
	if err != nil || fmt.Sprintf("%x", d.SHA256) != sum.Split(msg.Sum).SHA256 {
		t.Errorf("the sum is not that of the first %d bytes", size)
	}
	scan(t, m)
	grown := 0 // the writer may not have had a turn after the first scan
	if len(b) > size {
		grown = 1
	}
	if got := about(sink.take()); len(got) != grown {
		t.Errorf("%d of %d bytes were reported, then: %q", size, len(b), got)
	}
}

func TestDirectoryLoopsEnd(t *testing.T) {
	dir := tree(t)
	write(t, filepath.Join(dir, "sub", "f"), "x")
	for _, l := range []string{"up", "sub/self"} {
		if err := os.Symlink("..", filepath.Join(dir, l)); err != nil {
			t.Fatal(err)
		}
	}
	sink := newCollector()
	scan(t, monitor(t, everything(dir), sink, Options{}))
	if got := about(sink.take()); len(got) != 3 {
		t.Errorf("messages: %q", got)
	}
}

func TestRestartReadsOnlyWhatChanged(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	old := time.Now().Add(-time.Hour)
	for i := range 200 {
		path := filepath.Join(dir, fmt.Sprint(i%7), fmt.Sprint(i))
		write(t, path, fmt.Sprint(i))
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * settled) // change times cannot be set: they have to age for real
	sink := newCollector()
	m := monitor(t, everything(dir), sink, Options{Root: state})
	scan(t, m)
	if got := len(about(sink.take())); got != 200 {
		t.Fatalf("%d messages", got)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "3", "3"), "changed while away")
	os.Remove(filepath.Join(dir, "4", "4"))
	var res Result
	m = monitor(t, everything(dir), sink, Options{Root: state, Scanned: func(r Result) { res = r }})
	scan(t, m)
	if res.Read != 1 || res.Changed != 1 || res.Deleted != 1 || res.New != 0 {
		t.Errorf("after the restart: %+v", res)
	}
	if got := len(about(sink.take())); got != 200 { // the base line is forwarded: 198 unchanged, one changed, one deletion
		t.Errorf("%d messages", got)
	}
	scan(t, m)
	if got := about(sink.take()); len(got) != 0 {
		t.Errorf("later scan: %q", got)
	}
}

func TestInterruptedForwardingGoesOnWhereItStopped(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	for i := range 1200 {
		write(t, filepath.Join(dir, fmt.Sprintf("%02d", i%60), fmt.Sprint(i)), fmt.Sprint(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	seen := map[string]bool{}
	sink := event.SinkFunc(func(ctx context.Context, m event.Message) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.Contains(m.Text, " /") {
			seen[m.Text] = true
			if n++; n == 700 {
				cancel()
			}
		}
		return nil
	})
	m := monitor(t, everything(dir), sink, Options{Root: state})
	if err := m.Scan(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	first := n
	m = monitor(t, everything(dir), sink, Options{Root: state})
	scan(t, m)
	if len(seen) != 1200 {
		t.Errorf("%d files were reported", len(seen))
	}
	if again := n - first; again > 1200-first+2*jobsAhead/3 || again < 1200-first {
		t.Errorf("%d of 1200 before the stop, %d after it", first, again)
	}
}

func TestIOBudgetIsKept(t *testing.T) {
	dir := tree(t)
	const size, rate = 3 << 20, 10.0
	for i := range 6 {
		write(t, filepath.Join(dir, fmt.Sprint(i)), strings.Repeat("z", size/6))
	}
	m, err := New(&config.Syscheck{Directories: []config.Directory{everything(dir)}, IOBudget: rate}, newCollector(), nil, Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	begin := time.Now()
	scan(t, m)
	want := time.Duration(size / (rate * 1e6) * float64(time.Second))
	if took := time.Since(begin); took < want*9/10 { // slower is the machine's fault, faster is ours
		t.Errorf("%v for %d bytes at %v MB/s, %v expected", took, size, rate, want)
	}
}

func TestThrottlePausesAfterSoManyFiles(t *testing.T) {
	th := &throttle{sleep: 10 * time.Millisecond, after: 15}
	begin := time.Now()
	for range 31 {
		if err := th.file(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took < 20*time.Millisecond {
		t.Errorf("two pauses expected, %v passed", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&throttle{}).file(ctx, true); !errors.Is(err, context.Canceled) {
		t.Errorf("a throttle that does nothing must still notice the end: %v", err)
	}
}

func TestDamagedBaselineIsSetAside(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	write(t, filepath.Join(dir, "f"), "x")
	file := filepath.Join(state, "queue", "syscheck", BaselineFile)
	write(t, file, strings.Repeat("garbage", 4096))
	sink := newCollector()
	scan(t, monitor(t, everything(dir), sink, Options{Root: state}))
	if got := about(sink.take()); len(got) != 1 {
		t.Errorf("messages: %q", got)
	}
	if _, err := os.Stat(file + ".corrupt"); err != nil {
		t.Error(err)
	}
}

func TestBaselineCannotBeOpenedTwice(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	monitor(t, everything(dir), newCollector(), Options{Root: state})
	_, err := New(&config.Syscheck{Directories: []config.Directory{everything(dir)}}, newCollector(), nil, Options{Root: state})
	if !errors.Is(err, errLocked) {
		t.Errorf("error %v", err)
	}
}

func TestOverflowLeadsToARescan(t *testing.T) {
	dir := tree(t)
	d := everything(dir)
	d.Realtime = true
	sink := newCollector()
	m := monitor(t, d, sink, Options{Settle: 5 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	sink.wait(t, "base line", done)
	sink.take()
	// What happens to a directory that is not watched any more is what an overflow hides.
	m.rt.mu.Lock()
	w := m.rt.watcher
	m.rt.mu.Unlock()
	w.removeTree(dir)
	write(t, filepath.Join(dir, "sub", "unseen"), "x")
	w.send(fileEvent{overflow: true})
	sink.wait(t, "rescan", func(got []string) bool { return len(about(got)) == 1 })
	sink.take()
	m.rt.idle(t)
	write(t, filepath.Join(dir, "sub", "seen"), "x")
	sink.wait(t, "event", func(got []string) bool { return len(about(got)) == 1 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestBurstOnOneFileIsCoalesced(t *testing.T) {
	dir := tree(t)
	write(t, filepath.Join(dir, "f"), "0")
	d := everything(dir)
	d.Realtime = true
	sink := newCollector()
	m := monitor(t, d, sink, Options{Settle: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	sink.wait(t, "base line", done)
	sink.take()
	for i := range 500 {
		write(t, filepath.Join(dir, "f"), fmt.Sprint("content ", i))
	}
	m.rt.idle(t)
	got := about(sink.take())
	if len(got) == 0 || len(got) > 20 {
		t.Errorf("%d messages for 500 writes", len(got))
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestSnapshotsArePrivateAndPruned(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	path := filepath.Join(dir, "conf")
	d := everything(dir)
	d.ReportChanges = true
	sink := newCollector()
	m := monitor(t, d, sink, Options{Root: state, KeepStates: 3, MaxSnapshot: 1000})
	for i := range 8 {
		write(t, path, fmt.Sprintf("line %d\n", i))
		at := time.Unix(int64(1700000000+i), 0)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		scan(t, m)
		got := about(sink.take())
		if want := fmt.Sprintf("\n1c1\n< line %d\n---\n> line %d\n", i-1, i); i > 0 && (len(got) != 1 || !strings.HasSuffix(got[0], want)) {
			t.Errorf("change %d: %q", i, got)
		}
	}
	place := filepath.Join(state, "queue", "diff", "local", path)
	list, err := os.ReadDir(place)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 7 { // last-entry, three states, three differences
		t.Errorf("files: %v", list)
	}
	for _, e := range list {
		if st, err := e.Info(); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), st.Mode(), err)
		}
	}
	write(t, path, strings.Repeat("too large for a snapshot\n", 100))
	scan(t, m)
	if got := about(sink.take()); len(got) != 1 || strings.Contains(got[0], "\n") {
		t.Errorf("large file: %q", got)
	}
}

func TestNetworkErrorOfTheSinkLosesNothing(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	for i := range 20 {
		write(t, filepath.Join(dir, fmt.Sprint(i)), "x")
	}
	broken := errors.New("closed")
	n := 0
	m := monitor(t, everything(dir), event.SinkFunc(func(context.Context, event.Message) error {
		if n++; n > 8 {
			return broken
		}
		return nil
	}), Options{Root: state})
	if err := m.Scan(t.Context()); !errors.Is(err, broken) {
		t.Fatalf("error %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	sink := newCollector()
	scan(t, monitor(t, everything(dir), sink, Options{Root: state, NoForward: true}))
	if got := len(about(sink.take())); got != 20-7 { // the start marker was the first
		t.Errorf("%d messages after the failure", got)
	}
}
