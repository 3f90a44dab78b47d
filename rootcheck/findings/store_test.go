package findings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/vectors"
)

// line is one line of the golden data.
type line struct {
	Type, File, Content, Location, Payload string
	Lines                                  []string
	Alert                                  *struct {
		Rule int
		File *struct {
			Path   string
			MD5    string `json:"md5_after"`
			SHA1   string `json:"sha1_after"`
			SHA256 string `json:"sha256_after"`
		} `json:"json_SyscheckFile"`
	}
}

// silenced are first findings that rules answer with level 0, so that no alert tells of the first time.
var silenced = regexp.MustCompile(`^(Starting|Ending) (rootcheck|syscheck) scan\.$|Thumbs\.db:encryptable`)

var times = regexp.MustCompile(`^!\d{10}!\d{10} `)

func TestVectors(t *testing.T) {
	root := t.TempDir()
	store := Open(filepath.Join(root, "queue", "rootcheck"))
	events, files := 0, 0
	for _, l := range vectors.Read[line](t, "rootcheck/manager.jsonl") {
		switch l.Type {
		case "preload":
			write(t, filepath.Join(root, l.File), l.Content)
		case "event":
			events++
			checkEvent(t, store, &l)
		case "db":
			files++
			checkFile(t, filepath.Join(root, l.File), l.Lines)
		}
	}
	if events != 35 || files != 3 {
		t.Fatalf("%d events, %d files", events, files)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func checkEvent(t *testing.T, store *Store, l *line) {
	t.Helper()
	ev := &event.Event{Kind: event.KindRootcheck, Location: l.Location, Raw: l.Payload, Received: time.Now()}
	if err := store.Apply(ev); err != nil {
		t.Fatal(err)
	}
	if ev.Decoder != "rootcheck" || ev.DecodedAs != "rootcheck" || ev.Type != event.TypeOSSEC || ev.Log != ev.FullLog {
		t.Errorf("%q: decoded as %+v", l.Payload, ev)
	}
	if want := l.Alert != nil || silenced.MatchString(l.Payload); ev.FirstSeen != want {
		t.Errorf("%.60q: first seen %v, want %v", l.Payload, ev.FirstSeen, want)
	}
	if l.Alert == nil {
		return
	}
	want := l.Alert.File
	if (ev.File != nil) != (want != nil) {
		t.Errorf("%.60q: file %+v, want %+v", l.Payload, ev.File, want)
		return
	}
	if want != nil && (ev.File.Path != want.Path || ev.File.After.MD5 != want.MD5 || ev.File.After.SHA1 != want.SHA1 || ev.File.After.SHA256 != want.SHA256) {
		t.Errorf("%.60q: file %+v, want %+v", l.Payload, ev.File, want)
	}
}

func checkFile(t *testing.T, path string, want []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	for i, g := range got {
		// The recorder cut the second, nine digit, time of this line in the middle: it saw "!LAST!" and put "@FIRST" behind it.
		if g == "!1000000000!900000000 Nine digit time" {
			g = "!@LAST!@FIRST900000000 Nine digit time"
		}
		got[i] = times.ReplaceAllString(g, "!@LAST!@FIRST ")
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", path, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func apply(t *testing.T, s *Store, location, text string, at int64) bool {
	t.Helper()
	ev := &event.Event{Kind: event.KindRootcheck, Location: location, Raw: text, Received: time.Unix(at, 0)}
	if err := s.Apply(ev); err != nil {
		t.Fatal(err)
	}
	return ev.FirstSeen
}

func TestKnownFindingOnlyGetsItsLastTimeWritten(t *testing.T) {
	dir := t.TempDir()
	s := Open(dir)
	for i, want := range []bool{true, false, false} {
		if got := apply(t, s, "rootcheck", "x", 1700000000+int64(i)); got != want {
			t.Errorf("time %d: first %v", i, got)
		}
	}
	checkRaw(t, dir, "!1700000002!1700000000 x\n")
}

func checkRaw(t *testing.T, dir, want string) {
	t.Helper()
	if data, err := os.ReadFile(filepath.Join(dir, "rootcheck")); err != nil || string(data) != want {
		t.Errorf("file %q, %v; want %q", data, err, want)
	}
}

func TestClearedFindingsAreNewAgain(t *testing.T) {
	dir := t.TempDir()
	s := Open(dir)
	agent := AgentLocation("(web) 10.0.0.1")
	for _, clear := range []func() error{
		func() error { return Clear(dir, "rootcheck") },
		func() error { return Clear(dir, agent) },
		func() error { return ClearAll(dir) },
	} {
		apply(t, s, "rootcheck", "x", 1700000000)
		apply(t, s, agent, "x", 1700000000)
		if err := clear(); err != nil {
			t.Fatal(err)
		}
	}
	if !apply(t, s, "rootcheck", "x", 1700000001) || !apply(t, s, agent, "x", 1700000001) {
		t.Error("cleared findings are still known")
	}
	checkRaw(t, dir, "!1700000001!1700000001 x\n")
	if err := Clear(dir, AgentLocation("(none) any")); err != nil {
		t.Errorf("clearing nothing: %v", err)
	}
}

func TestRestartKeepsFindingsAndRepairsALineCutOff(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rootcheck"), "!1700000000!1700000000 whole\n!1700000000!17000")
	s := Open(dir)
	if apply(t, s, "rootcheck", "whole", 1700000005) || !apply(t, s, "rootcheck", "new", 1700000005) {
		t.Error("wrong memory after restart")
	}
	checkRaw(t, dir, "!1700000005!1700000000 whole\n!1700000000!17000\n!1700000005!1700000005 new\n")
}

// TestNewFindingsAmongKnownOnesAreNotLost is the burst of the specification's defect, from many hosts at once.
func TestNewFindingsAmongKnownOnesAreNotLost(t *testing.T) {
	s := Open(t.TempDir())
	var wg sync.WaitGroup
	for host := range 4 {
		wg.Go(func() {
			loc := AgentLocation(fmt.Sprintf("(h%d) any", host))
			ev := func(text string) *event.Event {
				return &event.Event{Location: loc, Raw: text, Received: time.Unix(1700000000, 0)}
			}
			if err := s.Apply(ev("known")); err != nil {
				t.Error(err)
			}
			for i := range 300 {
				n, k := ev(fmt.Sprintf("new %d", i)), ev("known")
				if err := errors.Join(s.Apply(n), s.Apply(k)); err != nil {
					t.Error(err)
				}
				if !n.FirstSeen || k.FirstSeen {
					t.Errorf("host %d finding %d: new %v, known %v", host, i, n.FirstSeen, k.FirstSeen)
				}
			}
		})
	}
	wg.Wait()
}

func TestLocationsThatAreNoFileNamesAreRefused(t *testing.T) {
	dir := t.TempDir()
	s := Open(filepath.Join(dir, "queue"))
	for _, loc := range []string{"", ".", "..", "../x", "(a) any->../../x", "a/b", ".hidden", "a\x00b", strings.Repeat("x", 256)} {
		ev := &event.Event{Location: loc, Raw: "text"}
		if err := s.Apply(ev); !errors.Is(err, ErrLocation) {
			t.Errorf("location %q: %v", loc, err)
		}
		if ev.FullLog != "text" {
			t.Errorf("location %q: event not filled", loc)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("files were made: %v", entries)
	}
}

// The source of a message is the sender's: an agent that makes up sources must not get a file for each, nor lose its true one.
func TestOneHostGetsFewFiles(t *testing.T) {
	dir := t.TempDir()
	s := Open(dir)
	refused := 0
	apply := func(location string) {
		err := s.Apply(&event.Event{Kind: event.KindRootcheck, Location: location, Raw: "x", Received: time.Unix(1e9, 0)})
		if errors.Is(err, ErrLocation) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		apply(fmt.Sprintf("(web) 10.0.0.1->made up %d->rootcheck", i))
		apply(fmt.Sprintf("local%d", i))
	}
	apply("(web) 10.0.0.1->rootcheck")
	apply("(db) 10.0.0.2->rootcheck")
	apply("(db) 10.0.0.2->other")
	apply("rootcheck")
	files, err := os.ReadDir(dir)
	if err != nil || refused != 200-2*maxSources || len(files) != 2*maxSources+4 {
		t.Errorf("%d refused, %d files, %v", refused, len(files), err)
	}
}

func TestUnwritableFilesHideNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	write(t, dir, "")
	if !apply(t, Open(dir), "rootcheck", "x", 1) {
		t.Error("a finding that could not be stored counts as known")
	}
}

func FuzzApply(f *testing.F) {
	f.Add("!1700000000!1600000000 a\nold\n#c\n!x\n", "a", "old")
	f.Add("!1700000000!1600000000 \n", "", "!")
	f.Add("", "Rootkit 'x' detected by the presence of file '/a'. MD5=x", "#comment")
	f.Fuzz(func(t *testing.T, file, text, other string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "rootcheck"), []byte(file), 0o644); err != nil {
			t.Skip()
		}
		s := Open(dir)
		known := apply(t, s, "rootcheck", text, 1700000001)
		apply(t, s, "rootcheck", other, 1700000002)
		if apply(t, s, "rootcheck", text, 1700000003) {
			t.Fatalf("%q is new twice (first: %v)", text, known)
		}
		if clean(text) != "" && apply(t, Open(dir), "rootcheck", text, 1700000004) {
			t.Fatalf("%q is forgotten after a restart", text)
		}
		if _, err := Read(dir, "rootcheck"); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	s := Open(b.TempDir())
	ev := &event.Event{Location: "rootcheck", Received: time.Unix(1700000000, 0)}
	for i := range 1000 {
		ev.Raw = fmt.Sprintf("File '/etc/file%d' is owned by root and has write permissions to anyone.", i)
		if err := s.Apply(ev); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Apply(ev); err != nil {
			b.Fatal(err)
		}
	}
}
