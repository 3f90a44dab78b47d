//go:build unix

package logcollector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a collector whose passes and clock a test moves by hand.
type desk struct {
	t    *testing.T
	c    *Collector
	dir  string
	now  time.Time
	got  []string
	log  strings.Builder
	send func(event.Message) error // nil: takes everything
	cfg  []config.Localfile
	opts Options
}

func newDesk(t *testing.T, format string, names ...string) *desk {
	d := &desk{t: t, dir: t.TempDir(), now: time.Now()}
	for _, n := range names {
		d.cfg = append(d.cfg, config.Localfile{Location: filepath.Join(d.dir, n), Format: format})
	}
	t.Cleanup(func() {
		if d.c != nil {
			d.c.end() //nolint:errcheck // a test directory
		}
	})
	return d
}

func (d *desk) Send(_ context.Context, m event.Message) error {
	if d.send != nil {
		if err := d.send(m); err != nil {
			return err
		}
	}
	if m.Location != "ossec-keepalive" {
		d.got = append(d.got, m.String())
	}
	return nil
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, name) }

// start opens the collector, again if it is open.
func (d *desk) start() {
	d.t.Helper()
	d.stop()
	d.opts.PositionFile = d.path("positions")
	d.opts.Now = func() time.Time { return d.now }
	log := olog.New("", &d.log)
	c, err := New(d.cfg, d, log.Prog("ossec-logcollector"), d.opts)
	if err != nil {
		d.t.Fatal(err)
	}
	c.ctx = d.t.Context()
	c.begin()
	d.c = c
}

func (d *desk) stop() {
	if d.c != nil {
		if err := d.c.end(); err != nil {
			d.t.Fatal(err)
		}
		d.c = nil
	}
}

// pass passes once and gives the texts that came.
func (d *desk) pass() []string {
	d.t.Helper()
	d.got = nil
	d.now = d.now.Add(2 * time.Second)
	if err := d.c.pass(); err != nil {
		d.t.Fatal(err)
	}
	d.c.work.Wait()
	return texts(d.got)
}

func (d *desk) expect(want ...string) {
	d.t.Helper()
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "DIR", d.dir)
	}
	if got := d.pass(); !slices.Equal(got, want) {
		d.t.Errorf("got  %q\nwant %q", got, want)
	}
}

func (d *desk) ok(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func TestLinesWrittenToARenamedFileAreNotLost(t *testing.T) {
	d := newDesk(t, "syslog", "a.log")
	put(t, d.path("a.log"), "")
	d.start()
	d.ok(os.Rename(d.path("a.log"), d.path("a.log.1")))
	put(t, d.path("a.log"), "new\n")
	d.expect("ossec: File rotated (inode changed): 'DIR/a.log'.", "new")
	put(t, d.path("a.log.1"), "written before the program was told\n")
	d.expect("written before the program was told")
	d.start() // also across a restart
	put(t, d.path("a.log.1"), "once more\n")
	d.expect("once more")
	d.now = d.now.Add(2 * goneAfter)
	d.expect()
	if n := len(d.c.order); n != 1 {
		t.Errorf("%d files are followed, want 1", n)
	}
}

func TestNameWithColonsIsKeptInOneLocation(t *testing.T) {
	d := newDesk(t, "syslog", "a:b.log")
	put(t, d.path("a:b.log"), "")
	d.start()
	put(t, d.path("a:b.log"), "x\n")
	d.pass()
	if want := "1:" + d.dir + `/a\b.log:x`; !slices.Equal(d.got, []string{want}) {
		t.Errorf("%q, want %q", d.got, want)
	}
	if got := location("/var/log/../log/x.log"); got != "/var/log/x.log" {
		t.Errorf("location %q would be refused by the receiver", got)
	}
}

func TestFIFOIsReadWithoutWaiting(t *testing.T) {
	d := newDesk(t, "syslog", "pipe", "a.log")
	d.ok(syscall.Mkfifo(d.path("pipe"), 0o640))
	put(t, d.path("a.log"), "")
	d.start()
	put(t, d.path("a.log"), "beside\n")
	d.expect("beside")
	w, err := os.OpenFile(d.path("pipe"), os.O_WRONLY, 0)
	d.ok(err)
	w.WriteString("one\ntw") //nolint:errcheck // the next expectation tells
	d.expect("one")
	w.WriteString("o\nlast") //nolint:errcheck // as above
	d.expect("two")
	w.Close()
	d.expect()
	d.now = d.now.Add(2 * time.Minute)
	d.got = nil
	d.c.quietAll()
	if got := texts(d.got); !slices.Equal(got, []string{"last"}) {
		t.Errorf("%q", got)
	}
}

func TestFIFOKeepsWhatCouldNotBeDelivered(t *testing.T) {
	d := newDesk(t, "syslog", "pipe")
	d.ok(syscall.Mkfifo(d.path("pipe"), 0o640))
	d.start()
	w, err := os.OpenFile(d.path("pipe"), os.O_WRONLY, 0)
	d.ok(err)
	defer w.Close()
	w.WriteString("one\ntwo\nthree\n") //nolint:errcheck // the next expectation tells
	d.send = func(m event.Message) error {
		if m.Text == "two" {
			return errors.New("gone")
		}
		return nil
	}
	if err := d.c.pass(); err == nil {
		t.Fatal("no error")
	}
	d.send = nil
	c := d.c
	d.ok(c.end())
	c.err = nil
	c.begin()
	w.WriteString("four\n") //nolint:errcheck // the next expectation tells
	d.expect("two", "three", "four")
}

func TestSymbolicLinkIsFollowedToItsNewTarget(t *testing.T) {
	s := newStage(t, "syslog", "link")
	target := t.TempDir()
	put(t, filepath.Join(target, "1"), "")
	put(t, filepath.Join(target, "2"), "two\n")
	link := s.cfg[0].Location
	if err := os.Symlink(filepath.Join(target, "1"), link); err != nil {
		t.Fatal(err)
	}
	s.start()
	put(t, filepath.Join(target, "1"), "one\n")
	s.sink.wait(t, 1)
	if err := os.Symlink(filepath.Join(target, "2"), link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	expect(t, s.sink.wait(t, 3), "one", "ossec: File rotated (inode changed): '"+link+"'.", "two")
}

func TestFilesOfADirectoryThatDoesNotExistYet(t *testing.T) {
	s := newStage(t, "syslog", "later/*.log", "later/plain")
	s.start()
	dir := filepath.Join(s.dir, "later")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "a.log"), "a\n")
	put(t, filepath.Join(dir, ".hidden.log"), "hidden\n")
	s.sink.wait(t, 1)
	put(t, filepath.Join(dir, "plain"), "plain\n")
	got := texts(s.sink.wait(t, 2))
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "plain"}) {
		t.Errorf("%q", got)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "b.log"), "b\n")
	if got := texts(s.sink.wait(t, 3)); !slices.Contains(got, "b") {
		t.Errorf("%q", got)
	}
}

func TestDatedNameAcrossARestart(t *testing.T) {
	d := newDesk(t, "syslog", "app-%Y%m%d.log")
	d.now = time.Date(2026, 11, 24, 23, 0, 0, 0, time.UTC)
	write := func(name, text string) { // the collector knows the days that passed from the times of files
		put(t, d.path(name), text)
		d.ok(os.Chtimes(d.path(name), d.now, d.now))
	}
	write("app-20261124.log", "old\n")
	d.start()
	write("app-20261124.log", "first\n")
	d.expect("first")
	d.stop()
	write("app-20261124.log", "rest of the day\n")
	put(t, d.path("app-20261125.log"), "a day in between\n")
	put(t, d.path("app-20261126.log"), "today\n")
	d.now = time.Date(2026, 11, 26, 1, 0, 0, 0, time.UTC)
	d.log.Reset()
	d.start()
	d.expect("rest of the day", "a day in between", "today")
	d.now = d.now.Add(2 * goneAfter)
	d.expect()
	if len(d.c.order) != 1 {
		t.Errorf("%d files are followed", len(d.c.order))
	}
	d.stop()
	pos, err := loadPositions(d.path("positions"))
	if err != nil || len(pos.known) != 1 {
		t.Errorf("positions %v %v", pos.known, err)
	}
}

func TestRemovedFileIsLetGoAndReadAgain(t *testing.T) {
	d := newDesk(t, "syslog", "a.log", "*.txt")
	put(t, d.path("a.log"), "")
	put(t, d.path("x.txt"), "")
	d.start()
	put(t, d.path("a.log"), "one\n")
	put(t, d.path("x.txt"), "x\n")
	d.expect("one", "x")
	d.ok(os.Remove(d.path("a.log")))
	d.ok(os.Remove(d.path("x.txt")))
	d.expect()
	d.now = d.now.Add(2 * goneAfter)
	d.expect()
	if len(d.c.order) != 1 || d.c.order[0].f != nil {
		t.Errorf("deleted files are kept open: %d", len(d.c.order))
	}
	put(t, d.path("a.log"), "again\n")
	d.expect("ossec: File rotated (inode changed): 'DIR/a.log'.", "again")
	if n := strings.Count(d.log.String(), "(1103)"); n != 2 {
		t.Errorf("%d reports that a file is missing, want one for each:\n%s", n, d.log.String())
	}
}

func TestUnreadableFileIsReadFromWhereItWas(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	d := newDesk(t, "syslog", "a.log")
	put(t, d.path("a.log"), "history\n")
	d.ok(os.Chmod(d.path("a.log"), 0))
	d.start()
	d.ok(os.Chmod(d.path("a.log"), 0o640))
	put(t, d.path("a.log"), "news\n")
	d.expect("news")
}

func TestBusyFileDoesNotKeepOthersWaiting(t *testing.T) {
	d := newDesk(t, "syslog", "busy.log", "calm.log")
	put(t, d.path("busy.log"), "")
	put(t, d.path("calm.log"), "")
	d.start()
	put(t, d.path("busy.log"), strings.Repeat("busy\n", 1<<20))
	put(t, d.path("calm.log"), "calm\n")
	d.pass()
	at := slices.Index(texts(d.got), "calm")
	if limit := turnReads * readSize / 5; at < 0 || at > limit {
		t.Errorf("calm came after %d lines of the busy file, want at most %d", at, limit)
	}
	if len(d.got) != 1<<20+1 {
		t.Errorf("%d lines", len(d.got))
	}
}

func TestFailedDeliveryIsRepeatedOnceForEveryFormat(t *testing.T) {
	tests := []struct {
		format string
		lines  int
		text   string
		want   []string
	}{
		{"syslog", 0, "a\nb\nc\nd\n", []string{"a", "b", "c", "d"}},
		{"multi-line", 2, "a\nb\nc\nd\n", []string{"a b", "c d"}},
		{"multi-line_indented", 0, "a\n b\nc\n d\ne\n", []string{"a  b", "c  d", "e"}},
		{"audit", 0, "type=A msg=audit(1:1): a\ntype=B msg=audit(1:1): b\ntype=C msg=audit(1:2): c\n",
			[]string{"type=A msg=audit(1:1): a type=B msg=audit(1:1): b", "type=C msg=audit(1:2): c"}},
		{"modsec-audit", 0, "--x-A--\nl\n--x-Z--\n--y-A--\n--y-Z--\n", []string{"--x-A-- l --x-Z--", "--y-A-- --y-Z--"}},
		{"mysql_log", 0, "070823 21:01:30\t1 a\n\t\t      2 b\n", []string{"MySQL log: 070823 21:01:30 1 a", "MySQL log: 070823 21:01:30 2 b"}},
		{"cri", 0, "t stderr F e\nt stdout P a\nt stdout F b\nt stdout F c\n", []string{"e", "ab", "c"}},
	}
	for _, tt := range tests {
		for fail := range len(tt.want) {
			t.Run(fmt.Sprintf("%s %d", tt.format, fail), func(t *testing.T) {
				d := newDesk(t, tt.format, "a.log")
				d.cfg[0].Lines = tt.lines
				put(t, d.path("a.log"), "")
				d.start()
				put(t, d.path("a.log"), tt.text)
				sent := 0
				d.send = func(event.Message) error {
					if sent++; sent == fail+1 {
						return errors.New("gone")
					}
					return nil
				}
				err := d.c.pass()
				d.c.quietAll()
				d.now = d.now.Add(time.Minute)
				d.c.quietAll()
				if err == nil && d.c.err == nil {
					t.Fatal("no failure")
				}
				before := len(d.got)
				kept := slices.Clone(d.got[:before])
				c := d.c
				d.ok(c.end())
				c.err = nil
				c.begin()
				d.pass()
				d.now = d.now.Add(time.Minute)
				c.quietAll()
				if got := texts(append(kept, d.got...)); !slices.Equal(got, tt.want) {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
			})
		}
	}
}

func TestRunEndsWithTheErrorOfTheSinkAndCanBeCalledAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	put(t, path, "")
	gone := errors.New("gone")
	took := newCatcher()
	fail := true
	sink := event.SinkFunc(func(ctx context.Context, m event.Message) error {
		if m.Text == "two" && fail {
			fail = false
			return gone
		}
		return took.Send(ctx, m)
	})
	started := make(chan struct{}, 2)
	c, err := New([]config.Localfile{{Location: path, Format: "syslog"}}, sink, nil, Options{Poll: 10 * time.Millisecond, Started: func() { started <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-started
	put(t, path, "one\ntwo\nthree\n")
	if err := <-done; !errors.Is(err, gone) {
		t.Fatalf("Run: %v", err)
	}
	go func() { done <- c.Run(ctx) }()
	expect(t, took.wait(t, 3), "one", "two", "three")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBlockedSinkHoldsReadingAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	put(t, path, "")
	took := newCatcher()
	gate := make(chan struct{})
	sink := event.SinkFunc(func(ctx context.Context, m event.Message) error {
		select {
		case <-gate:
			return took.Send(ctx, m)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	started := make(chan struct{})
	c, err := New([]config.Localfile{{Location: path, Format: "syslog"}}, sink, nil, Options{Poll: 10 * time.Millisecond, Started: func() { close(started) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-started
	put(t, path, "1\n2\n")
	for i := range 3 { // rotated three times while nothing is taken
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, 3-i)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // files need different times, as they have in life
		put(t, path, fmt.Sprintf("%d\n", 3+i))
	}
	close(gate)
	got := texts(took.wait(t, 6))
	for limit := time.Now().Add(5 * time.Second); !slices.Contains(got, "5") && time.Now().Before(limit); {
		got = texts(took.wait(t, len(got)+1))
	}
	got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "ossec: ") })
	if !slices.Equal(got, []string{"1", "2", "3", "4", "5"}) {
		t.Errorf("%q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStartAtEndIgnoresStoredPositions(t *testing.T) {
	d := newDesk(t, "syslog", "a.log", "b.log")
	put(t, d.path("a.log"), "")
	put(t, d.path("b.log"), "")
	d.start()
	d.stop()
	put(t, d.path("a.log"), "away\n")
	put(t, d.path("b.log"), "away\n")
	d.cfg[1].OnlyFutureEvents = true
	d.start()
	d.expect("away")
	d.stop()
	put(t, d.path("a.log"), "away\n")
	d.opts.StartAtEnd = true
	d.start()
	put(t, d.path("a.log"), "now\n")
	d.expect("now")
}

func TestFilesThatAppearWhileStoppedAreReadFromTheirBeginning(t *testing.T) {
	d := newDesk(t, "syslog", "*.log", "plain")
	put(t, d.path("old.log"), "history\n")
	d.start()
	d.expect()
	d.stop()
	put(t, d.path("new.log"), "n\n")
	put(t, d.path("plain"), "p\n")
	d.start()
	got := d.pass()
	slices.Sort(got)
	if !slices.Equal(got, []string{"n", "p"}) {
		t.Errorf("%q", got)
	}
}

func TestBegunLineIsSentAfterAWhile(t *testing.T) {
	d := newDesk(t, "syslog", "a.log")
	put(t, d.path("a.log"), "")
	d.start()
	put(t, d.path("a.log"), "no end")
	d.expect()
	d.now = d.now.Add(time.Minute)
	d.got = nil
	d.c.quietAll()
	if !slices.Equal(texts(d.got), []string{"no end"}) {
		t.Errorf("%q", d.got)
	}
	put(t, d.path("a.log"), " yet\nnext\n")
	d.expect("[continued]  yet", "next")
}

func TestFirstStartInTheMiddleOfALine(t *testing.T) {
	d := newDesk(t, "syslog", "a.log")
	put(t, d.path("a.log"), "old\nbeg")
	d.start()
	put(t, d.path("a.log"), "un\n")
	d.expect("begun")
}

func TestMoreFilesThanDescriptors(t *testing.T) {
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("%d.log", i))
	}
	d := newDesk(t, "syslog", names...)
	old := time.Now().Add(-time.Hour)
	for _, n := range names {
		put(t, d.path(n), "history\n")
		d.ok(os.Chtimes(d.path(n), old, old))
	}
	d.start()
	d.pass()
	if !d.c.park() {
		t.Fatal("nothing was parked")
	}
	for _, w := range d.c.order {
		if w.f != nil {
			t.Fatal("open")
		}
	}
	d.expect()
	for _, w := range d.c.order {
		if w.f != nil {
			t.Fatal("a quiet file was opened")
		}
	}
	put(t, d.path("7.log"), "seven\n")
	d.expect("seven")
	d.c.park()
	put(t, d.path("8.log"), "eight\n")
	d.ok(os.Rename(d.path("8.log"), d.path("8.log.1")))
	put(t, d.path("8.log"), "new eight\n")
	d.expect("eight", "ossec: File rotated (inode changed): 'DIR/8.log'.", "new eight")
}

func TestRotationUnderLoad(t *testing.T) {
	s := newStage(t, "syslog", "a.log")
	path := s.cfg[0].Location
	put(t, path, "")
	s.start()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, begun := 0, 0
	for i := range 20 {
		for end := time.Now().Add(15 * time.Millisecond); time.Now().Before(end); n++ {
			fmt.Fprintf(f, "line %d\n", n) //nolint:errcheck // a lost line fails the test
		}
		// At most one rotation is behind. More of them are tested with times that are not coarse, in TestNoLineIsLostOrReordered.
		s.sink.wait(t, begun+1)
		begun = n
		switch i % 4 {
		case 0, 1: // the program goes on writing into the renamed file for a while
			if err := os.Rename(path, fmt.Sprintf("%s.%d", path, 100-i)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(f, "line %d\n", n) //nolint:errcheck // as above
			n++
			f.Close()
			if f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640); err != nil {
				t.Fatal(err)
			}
		case 2:
			data, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(fmt.Sprintf("%s.%d", path, 100-i), data, 0o640)
			}
			if err == nil {
				err = os.Truncate(path, 0)
			}
			if err != nil {
				t.Fatal(err)
			}
		case 3:
			s.stop()
			s.start()
		}
	}
	f.Close()
	var lines []string
	for want := n; len(lines) < n; want++ {
		lines = slices.DeleteFunc(texts(s.sink.wait(t, want)), func(l string) bool { return strings.HasPrefix(l, "ossec: ") })
	}
	seen := map[string]bool{}
	for _, l := range lines {
		if seen[l] {
			t.Fatalf("%q came twice", l)
		}
		seen[l] = true
	}
	for i := range n {
		if !seen[fmt.Sprintf("line %d", i)] {
			t.Fatalf("line %d of %d is lost", i, n)
		}
	}
}
