//go:build linux

package syscheck

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

// operation is one change of the tree in agent.jsonl.
type operation struct {
	Op, Path, Content, Hex, Mode, Target, To string
	UID, GID                                 int
}

// scenario is one line of agent.jsonl.
type scenario struct {
	Name            string
	Config          string
	Initial         []operation
	InitialMessages []string `json:"initial_messages"`
	Phases          []struct {
		Ops      []operation
		Trigger  string
		Messages []string
		Note     string
	}
	LogLines []string `json:"log_lines"`
}

// The recorded tree is /srv; the tests have it below a directory of their own.
const recorded = "/srv"

func here(dir, s string) string  { return strings.ReplaceAll(s, recorded, dir) }
func there(dir, s string) string { return strings.ReplaceAll(s, dir, recorded) }

func (o *operation) do(t *testing.T, dir string) {
	t.Helper()
	path := here(dir, o.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	mode := os.FileMode(0o644)
	if o.Mode != "" {
		n, err := strconv.ParseUint(o.Mode, 8, 32)
		if err != nil {
			t.Fatal(err)
		}
		mode = os.FileMode(n)
	}
	var err error
	switch o.Op {
	case "write":
		data := []byte(o.Content)
		if o.Hex != "" {
			data, err = hex.DecodeString(o.Hex)
		}
		if err == nil {
			err = os.WriteFile(path, data, 0o644)
		}
		if err == nil {
			err = unix.Chmod(path, uint32(mode))
		}
	case "append":
		var f *os.File
		if f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			_, err = f.WriteString(o.Content)
			f.Close()
		}
	case "mkdir":
		err = os.MkdirAll(path, 0o755)
	case "symlink":
		err = os.Symlink(here(dir, o.Target), path)
	case "link":
		err = os.Link(here(dir, o.Target), path)
	case "fifo":
		err = unix.Mkfifo(path, 0o644)
	case "chardev":
		err = unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3)))
	case "socket":
		var fd int
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0); err == nil {
			err = bindShort(fd, path)
			unix.Close(fd)
		}
	case "chmod":
		err = unix.Chmod(path, uint32(mode))
	case "chown":
		err = os.Lchown(path, o.UID, o.GID)
	case "unlink":
		err = os.Remove(path)
	case "rmtree":
		err = os.RemoveAll(path)
	case "rename":
		err = os.Rename(path, here(dir, o.To))
	case "touch":
		now := time.Now()
		err = os.Chtimes(path, now, now)
	default:
		t.Fatalf("unknown operation %q", o.Op)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", o.Op, path, err)
	}
}

// bindShort binds a socket whose path may be too long for its address, through the directory's descriptor.
func bindShort(fd int, path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Bind(fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(int(d.Fd())) + "/" + filepath.Base(path)})
}

// collector is a sink that keeps messages as datagram texts.
type collector struct {
	mu   sync.Mutex
	got  []string
	more chan struct{}
}

func newCollector() *collector { return &collector{more: make(chan struct{}, 1)} }

func (c *collector) Send(_ context.Context, m event.Message) error {
	c.mu.Lock()
	c.got = append(c.got, m.String())
	c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
	return nil
}

func (c *collector) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = nil
	return got
}

func (c *collector) peek() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// wait waits until enough accepts what came so far.
func (c *collector) wait(t *testing.T, what string, enough func([]string) bool) {
	t.Helper()
	end := time.NewTimer(20 * time.Second)
	defer end.Stop()
	for !enough(c.peek()) {
		select {
		case <-c.more:
		case <-end.C:
			t.Fatalf("%s: still waiting; got %q", what, c.peek())
		}
	}
}

func readScenarios(t *testing.T) (list []scenario) {
	t.Helper()
	f, err := os.Open(filepath.FromSlash("../internal/testdata/spec/syscheck/agent.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var s scenario
		if err := json.Unmarshal(in.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// readConfig reads a <syscheck> block.
func readConfig(t *testing.T, dir, block string) *config.Syscheck {
	t.Helper()
	cfg, problems := config.Parse(dir, "ossec.conf", []byte("<ossec_config>"+here(dir, block)+"</ossec_config>"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return cfg.Syscheck
}

// Deliberate differences, each with its reason.
//
//   - Scheduled scans report deletions and files replaced by something else (allowed by the vectors' README, spec section 4).
//   - A deleted file that comes back is reported although its content is the same (spec section 4, "remember the deletion").
//   - A directory that is moved out reports its files as deleted at once, and is not watched under its old name afterwards (the watcher is
//     required to end in the state that a scan sees).
//   - Paths under a root written with a trailing slash have no "//" (allowed by the README, spec section 7).
//   - Control characters in paths are escaped: sent raw they let a file's name forge the entry of another file.
//   - Messages are not cut at 915 bytes (allowed by the README, spec section 5).
var better = map[string][]string{
	"changes_scheduled/3":      {"8:syscheck:-1 /srv/fim/del", "8:syscheck:-1 /srv/fim/sub/del2"},
	"changes_scheduled/4":      {helloAt("/srv/fim/del")},
	"changes_scheduled/5":      {"8:syscheck:-1 /srv/fim/todir"},
	"changes_scheduled/6":      {"8:syscheck:-1 /srv/fim/content"},
	"realtime/5":               {helloAt("/srv/fim/b")},
	"realtime_dir_moved_out/0": {"8:syscheck:-1 /srv/fim/sub/a", "8:syscheck:-1 /srv/fim/sub/b"},
}

// worse are recorded messages that do not come, for the reasons above.
var worse = map[string][]string{
	"realtime_dir_moved_out/1": {"8:syscheck:-1 /srv/fim/sub/a"},
}

func helloAt(path string) string {
	return "8:syscheck:6:33188:0:0:b1946ac92492d2347c6235b4d2611184:f572d396fae9206628714fb2ce00f72e94f2258f:" +
		"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 " + path
}

// expect prepares recorded messages for comparison.
func expect(sc *scenario, place string, messages []string) (want []string) {
	for _, m := range messages {
		m = strings.ReplaceAll(m, "/srv/fim//", "/srv/fim/")
		if sc.Name == "names" {
			if kind, rest, ok := strings.Cut(m, " "); ok && strings.HasPrefix(m, "8:") {
				m = kind + " " + sum.EscapePath(rest)
			}
		}
		if !slices.Contains(worse[place], m) {
			want = append(want, m)
		}
	}
	return arrange(append(want, better[place]...))
}

// arrange sorts what lies between scan markers.
func arrange(list []string) []string {
	var head, body, tail []string
	for _, m := range list {
		switch {
		case m == "9:rootcheck:"+markStart:
			head = append(head, m)
		case m == "9:rootcheck:"+markEnd, m == "8:syscheck:"+sum.Completed:
			tail = append(tail, m)
		default:
			body = append(body, m)
		}
	}
	slices.Sort(body)
	return slices.Concat(head, body, tail)
}

// normal maps messages of a test tree to the recorded one. The size of a symbolic link to an absolute path is that of the path.
func normal(dir string, sc *scenario, list []string) (out []string) {
	for _, m := range list {
		m = there(dir, m)
		if strings.HasSuffix(m, "/link_outside") {
			m = strings.Replace(m, ":"+strconv.Itoa(len(dir)+len("/outside"))+":41471:", ":12:41471:", 1)
		}
		if sc.Name == "prefilter" { // the command prints the path: put the recorded digests in the place of those of ours
			text := []byte(dir + "/fim/a\n")
			ours, theirs := digestsOf(text), digestsOf([]byte("/srv/fim/a\n"))
			m = strings.Replace(m, ours, theirs, 1)
		}
		if sc.Name == "names" && len(m) > 926 { // recorded messages are cut
			m = m[:926]
		}
		out = append(out, m)
	}
	return arrange(out)
}

// digestsOf gives "MD5:SHA1".
func digestsOf(text []byte) string {
	return fmt.Sprintf("%x:%x", md5.Sum(text), sha1.Sum(text))
}

func done(list []string) bool {
	return len(list) > 0 && list[len(list)-1] == "8:syscheck:"+sum.Completed
}

func TestAgentVectors(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the scenarios change owners and make devices: root is needed")
	}
	for _, sc := range readScenarios(t) {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			runScenario(t, &sc)
		})
	}
}

func runScenario(t *testing.T, sc *scenario) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := range sc.Initial {
		sc.Initial[i].do(t, dir)
	}
	cfg := readConfig(t, dir, sc.Config)
	sink := newCollector()
	var logged strings.Builder
	var logMu sync.Mutex
	log := olog.New("", writerFunc(func(b []byte) (int, error) {
		logMu.Lock()
		defer logMu.Unlock()
		return logged.Write(b)
	}))
	m, err := New(cfg, sink, log.Prog("ossec-syscheckd"), Options{Root: t.TempDir(), Settle: 30 * time.Millisecond, Now: fastClock()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	sink.wait(t, "base line", done)
	compareMessages(t, dir, sc, "initial", sc.InitialMessages, sink.take())
	for i, p := range sc.Phases {
		place := sc.Name + "/" + strconv.Itoa(i)
		if p.Trigger == "restart request" && strings.HasPrefix(sc.Name, "realtime") { // the scan must see nothing that realtime did not
			m.rt.idle(t)
		}
		for j := range p.Ops {
			p.Ops[j].do(t, dir)
		}
		want := expect(sc, place, p.Messages)
		if p.Trigger == "restart request" {
			m.ScanNow()
			sink.wait(t, place, done)
		} else {
			m.rt.idle(t)
			if len(want) > 0 {
				sink.wait(t, place, func(got []string) bool { return len(got) >= len(want) })
			}
			m.rt.idle(t)
		}
		compareMessages(t, dir, sc, place, p.Messages, sink.take())
	}
	logMu.Lock()
	defer logMu.Unlock()
	for _, l := range sc.LogLines {
		if l := here(dir, l); wantedLine(sc, l) && !strings.Contains(logged.String(), l) {
			t.Errorf("log lacks %q\n%s", l, logged.String())
		}
	}
}

// wantedLine leaves out log lines about things that do not go wrong here.
func wantedLine(sc *scenario, l string) bool {
	switch {
	case strings.Contains(l, "Unable to generate diff alert"): // binary files simply have no diff
		return false
	case strings.HasPrefix(sc.Name, "realtime") && strings.Contains(l, "Error opening directory"): // a file that vanished is no error
		return false
	}
	return true
}

func compareMessages(t *testing.T, dir string, sc *scenario, place string, recorded, got []string) {
	t.Helper()
	if diff := cmp.Diff(expect(sc, place, recorded), normal(dir, sc, got)); diff != "" {
		t.Errorf("%s: %s", place, diff)
	}
}

// fastClock is a clock that is ten seconds later from the second look on, so that the schedule of frequency 1 is due once.
func fastClock() func() time.Time {
	start := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var looks atomic.Int32
	return func() time.Time {
		if looks.Add(1) > 1 {
			return start.Add(10 * time.Second)
		}
		return start
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
