package baseline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

const local = "syscheck"

// stateDir makes queue/syscheck of an install root.
func stateDir(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "queue", "syscheck")
	for _, d := range []string{dir, filepath.Join(root, "logs")} {
		if err := os.MkdirAll(d, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// state gives a checksum text that depends on n.
func checksum(n int) string {
	h := sha256.Sum256([]byte(strconv.Itoa(n)))
	return fmt.Sprintf("%d:33188:0:0:%x:%x:%x", n, h[:16], h[:20], h)
}

func apply(t testing.TB, s *Store, location, text string) *event.Event {
	t.Helper()
	ev := &event.Event{Kind: event.KindSyscheck, Location: location, Raw: text, Received: time.Unix(1800000000, 0)}
	keep, err := s.Apply(ev)
	if err != nil {
		t.Fatal(err)
	}
	if !keep {
		return nil
	}
	return ev
}

func TestDiffStaysWithItsFile(t *testing.T) {
	s := open(t, stateDir(t), Options{AutoIgnore: true})
	apply(t, s, local, checksum(1)+" /etc/d")
	ev := apply(t, s, local, checksum(2)+" /etc/d\n1c1\n< o\x07ld\n---\n> n\tew\n")
	if ev == nil || ev.DecodedAs != idChanged {
		t.Fatalf("event %+v", ev)
	}
	const diff = "1c1\n< old\n---\n> n\tew\n"
	if ev.File.Path != "/etc/d" || ev.File.Diff != diff || !strings.HasSuffix(ev.FullLog, "What changed:\n"+diff) {
		t.Errorf("file %+v\n%s", ev.File, ev.FullLog)
	}
}

func TestDeletionOfAnUnknownFileIsIgnored(t *testing.T) {
	s := open(t, stateDir(t), Options{AutoIgnore: true, AlertNewFiles: true})
	if ev := apply(t, s, local, "-1 /etc/x"); ev != nil {
		t.Errorf("alert %q", ev.FullLog)
	}
	if ev := apply(t, s, local, checksum(1)+" /etc/x"); ev == nil || !strings.HasPrefix(ev.FullLog, "New file '/etc/x' added") {
		t.Errorf("event %+v", ev)
	}
}

func TestModeZeroGivesNoPermissionLine(t *testing.T) {
	s := open(t, stateDir(t), Options{AutoIgnore: true})
	apply(t, s, local, "1:0:0:0:xxx:xxx:xxx /etc/x")
	if ev := apply(t, s, local, "2:33188:0:0:xxx:xxx:xxx /etc/x"); ev == nil || strings.Contains(ev.FullLog, "Permissions") {
		t.Errorf("event %+v", ev)
	}
}

func TestQuietBaselineIsSilentUntilTheFirstScanIsComplete(t *testing.T) {
	s := open(t, stateDir(t), Options{AutoIgnore: true, AlertNewFiles: true, QuietBaseline: true})
	if ev := apply(t, s, local, checksum(1)+" /etc/a"); ev != nil {
		t.Error("alert in the base line")
	}
	apply(t, s, local, sum.Completed)
	if ev := apply(t, s, local, checksum(1)+" /etc/b"); ev == nil {
		t.Error("no alert after the base line")
	}
}

func TestLastLineWithoutNewlineIsEndedBeforeTheNext(t *testing.T) {
	dir := stateDir(t)
	line := "+++" + checksum(1) + " !1000000000 /etc/b"
	if err := os.WriteFile(filepath.Join(dir, local), []byte(line), 0o640); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{AutoIgnore: true})
	if ev := apply(t, s, local, checksum(2)+" /etc/b"); ev == nil || ev.DecodedAs != idChanged {
		t.Fatalf("event %+v", ev)
	}
	var b bytes.Buffer
	if err := s.Export(&b, local); err != nil {
		t.Fatal(err)
	}
	if want := "#" + line[1:] + "\n!++" + checksum(2) + " !1800000000 /etc/b\n"; b.String() != want {
		t.Errorf("got %q", b.String())
	}
}

func TestTextDatabaseIsTakenOverOnceAndAgainWhenItChanged(t *testing.T) {
	dir := stateDir(t)
	file := filepath.Join(dir, "(web) 10.0.0.1->syscheck")
	location := filepath.Base(file)
	text := "+++" + checksum(1) + " !1000000000 /etc/a\n"
	put := func(text string, at int64) {
		if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(at, 0)
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
	}
	put(text, 1000)
	s := open(t, dir, Options{AutoIgnore: true})
	if ev := apply(t, s, location, checksum(2)+" /etc/a"); ev == nil {
		t.Fatal("the state was not taken over")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(file); string(b) != text {
		t.Errorf("the text database was touched: %q", b)
	}
	s = open(t, dir, Options{AutoIgnore: true})
	if ev := apply(t, s, location, checksum(2)+" /etc/a"); ev != nil {
		t.Error("the text database was taken over twice")
	}
	s.Close()
	put("+++"+checksum(7)+" !1000000000 /etc/a\n", 2000) // OSSEC ran again
	s = open(t, dir, Options{AutoIgnore: true})
	if ev := apply(t, s, location, checksum(2)+" /etc/a"); ev == nil || ev.DecodedAs != idChanged || !strings.Contains(ev.FullLog, "Size changed from '7' to '2'") {
		t.Errorf("event %+v", ev)
	}
	if err := s.ExportFile(location); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir, Options{AutoIgnore: true}) // our own export is not news
	var b bytes.Buffer
	if err := s.Export(&b, location); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); string(got) != b.String() || strings.Count(b.String(), "\n") != 2 {
		t.Errorf("file %q, state %q", got, b.String())
	}
}

// TestMain lets the test binary play a manager that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("BASELINE_VICTIM"); dir != "" {
		victim(dir)
	}
	os.Exit(m.Run())
}

// victim changes one file again and again and says after each decision which one it was, until it is killed.
func victim(dir string) {
	s, err := Open(dir, Options{AutoIgnore: false, AlertNewFiles: true})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for n := 1; ; n++ {
		ev := &event.Event{Kind: event.KindSyscheck, Location: local, Raw: fmt.Sprintf("%s /etc/%d", checksum(n), n%50), Received: time.Unix(1800000000, 0)}
		if keep, err := s.Apply(ev); err != nil || !keep {
			fmt.Println("error", keep, err)
			os.Exit(1)
		}
		fmt.Println("alert", n)
	}
}

func TestKilledManagerKnowsEverythingItDecided(t *testing.T) {
	for round := range 3 {
		dir := stateDir(t)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "BASELINE_VICTIM="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := 0
		buf := make([]byte, 4096)
		var text string
		for last < 3000*(round+1) {
			n, err := out.Read(buf)
			if err != nil {
				t.Fatal(err, text)
			}
			text += string(buf[:n])
			lines := strings.Split(text, "\n")
			text = lines[len(lines)-1]
			for _, l := range lines[:len(lines)-1] {
				if _, err := fmt.Sscanf(l, "alert %d", &last); err != nil {
					t.Fatal(l)
				}
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for { // what it still said before it died
			n, err := out.Read(buf)
			text += string(buf[:n])
			if err != nil {
				break
			}
		}
		for l := range strings.SplitSeq(text, "\n") {
			var n int
			if c, _ := fmt.Sscanf(l, "alert %d", &n); c == 1 && strings.HasSuffix(text, "\n") {
				last = max(last, n)
			}
		}
		cmd.Wait() //nolint:errcheck // it was killed
		s := open(t, dir, Options{AutoIgnore: false, AlertNewFiles: true})
		for n := last; n > last-50 && n > 0; n-- { // alerted: known
			if ev := apply(t, s, local, fmt.Sprintf("%s /etc/%d", checksum(n), n%50)); ev != nil {
				known := sum.Split(checksum(n)).Size
				if !strings.Contains(ev.FullLog, "Size changed from") || strings.Contains(ev.FullLog, "'"+known+"' to '"+known+"'") {
					t.Fatalf("round %d: decision %d of %d was forgotten: %q", round, n, last, ev.FullLog)
				}
				var a, b int
				i := strings.Index(ev.FullLog, "Size changed from")
				fmt.Sscanf(ev.FullLog[i:], "Size changed from '%d' to '%d'", &a, &b)
				if a < b { // an older state came back
					t.Fatalf("round %d: decision %d of %d was forgotten: %q", round, n, last, ev.FullLog)
				}
			}
		}
		s.Close()
	}
}

func TestTornJournalRecordIsDropped(t *testing.T) {
	dir := stateDir(t)
	path := filepath.Join(dir, JournalFile)
	j, err := openJournal(path, false)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := j.add(&record{location: local, row: row{seq: int64(n + 1), prefix: "+++", sum: checksum(n), time: 1, path: fmt.Sprint("/", n)}}); err != nil {
			t.Fatal(err)
		}
	}
	j.close()
	if err := os.Truncate(path, j.size-5); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{})
	n := 0
	if err := s.Lines(local, func(Line) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("%d lines, %v", n, err)
	}
}

func TestToolsWorkBesideAManager(t *testing.T) {
	dir := stateDir(t)
	manager := open(t, dir, Options{AutoIgnore: true})
	for n := range 5 {
		apply(t, manager, local, checksum(n)+" /etc/a")
	}
	if err := manager.Flush(); err != nil {
		t.Fatal(err)
	}
	if ev := apply(t, manager, local, checksum(9)+" /etc/a"); ev != nil {
		t.Fatal("not silenced")
	}
	tool := open(t, dir, Options{Shared: true})
	if _, err := tool.Apply(&event.Event{Location: local, Raw: checksum(1) + " /x"}); !errors.Is(err, ErrInUse) {
		t.Errorf("Apply beside the manager: %v", err)
	}
	found, err := tool.History(context.Background(), local, "/etc/a")
	if err != nil || len(found) != 4 || !found[3].Live || found[3].Changes != 3 {
		t.Fatalf("history %+v, %v", found, err)
	}
	err = tool.Lines(local, func(l Line) error {
		if l.Prefix() == "!!!" {
			go func() {}()
			return errStop{l}
		}
		return nil
	})
	var stop errStop
	if !errors.As(err, &stop) {
		t.Fatal(err)
	}
	if err := tool.SetPrefix(local, stop.line, "!++"); err != nil {
		t.Fatal(err)
	}
	if ev := apply(t, manager, local, checksum(9)+" /etc/a"); ev == nil || ev.DecodedAs != idChanged2 {
		t.Errorf("the manager does not heed the tool: %+v", ev)
	}
	if err := tool.Clear(local); err != nil {
		t.Fatal(err)
	}
	if err := manager.Flush(); err != nil {
		t.Fatal(err)
	}
	list, err := manager.Locations()
	if err != nil || len(list) != 1 {
		t.Errorf("locations %+v, %v", list, err)
	}
}

type errStop struct{ line Line }

func (errStop) Error() string { return "stop" }

func TestSearchFindsPartsOfPaths(t *testing.T) {
	s := open(t, stateDir(t), Options{AutoIgnore: true})
	apply(t, s, local, checksum(1)+" /etc/passwd")
	apply(t, s, local, checksum(2)+" /etc/passwd")
	apply(t, s, local, checksum(1)+" /etc/group")
	apply(t, s, "(w) 1.1.1.1->syscheck", checksum(1)+" /etc/passwd")
	var got []string
	err := s.Search(context.Background(), Query{Path: "passw", Changed: true}, func(e Entry) error {
		got = append(got, e.Location+" "+e.Path)
		return nil
	})
	if err != nil || len(got) != 1 || got[0] != "syscheck /etc/passwd" {
		t.Errorf("%q, %v", got, err)
	}
	list, err := s.Locations()
	if err != nil || len(list) != 2 || list[1].Files != 2 || list[1].Changed != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	s := open(t, stateDir(t), Options{MaxHistory: 100})
	for n := range 2000 {
		apply(t, s, local, checksum(n)+" /etc/a")
		if n%50 == 0 {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := 0
	if err := s.Lines(local, func(Line) error { n++; return nil }); err != nil || n > 151 || n < 90 {
		t.Errorf("%d lines, %v", n, err)
	}
}

func TestLocationsWithSlashesMakeNoFiles(t *testing.T) {
	dir := stateDir(t)
	s := open(t, dir, Options{})
	apply(t, s, "(x) 1.1.1.1->/etc/cron.d/x", sum.Completed)
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), "vedette-") {
			t.Errorf("file %s", e.Name())
		}
	}
}

func FuzzApply(f *testing.F) {
	f.Add(checksum(1) + " /etc/a")
	f.Add("-1 /etc/a")
	f.Add(checksum(2) + " /etc/a\n1c1\n< a\n---\n> b")
	f.Add(sum.Completed)
	f.Add("no-space")
	f.Add(":::::: \x00")
	dir := stateDir(f)
	s := open(f, dir, Options{AlertNewFiles: true})
	f.Fuzz(func(t *testing.T, text string) {
		ev := &event.Event{Kind: event.KindSyscheck, Location: "fuzz", Raw: text, Received: time.Unix(1800000000, 0)}
		keep, err := s.Apply(ev)
		if err != nil {
			t.Fatal(err)
		}
		if keep && (ev.FullLog == "" || len(ev.FullLog) > maxText || ev.File == nil) {
			t.Fatalf("%q: %+v", text, ev)
		}
		again := &event.Event{Kind: event.KindSyscheck, Location: "fuzz", Raw: text, Received: time.Unix(1800000000, 0)}
		if keep, err := s.Apply(again); err != nil || keep {
			t.Fatalf("%q: the same message twice: %v %v", text, keep, err)
		}
	})
}

func FuzzTextLine(f *testing.F) {
	f.Add("+++" + checksum(1) + " !1700000000 /etc/a b")
	f.Add("#++-1 !1 /x")
	f.Add("# comment")
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "\n") {
			return
		}
		r, _ := parseLine(line)
		back := strings.TrimSuffix(string(appendLine(nil, &r)), "\n")
		if back != line {
			t.Fatalf("%q became %q", line, back)
		}
	})
}

// BenchmarkStore stores the first base line of an agent with 128,000 files.
func BenchmarkStore(b *testing.B) {
	const files = 128000
	texts := make([]string, files)
	for i := range texts {
		texts[i] = fmt.Sprintf("%s /usr/share/some/directory/%03d/file-%d", checksum(i), i%500, i)
	}
	b.ReportAllocs()
	for b.Loop() {
		s := open(b, stateDir(b), Options{AutoIgnore: true})
		for _, text := range texts {
			ev := event.Event{Kind: event.KindSyscheck, Location: "(web) 10.0.0.1->syscheck", Raw: text, Received: time.Unix(1800000000, 0)}
			if _, err := s.Apply(&ev); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(files)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

// BenchmarkUnchanged is a forwarded base line that the manager knows.
func BenchmarkUnchanged(b *testing.B) {
	const files = 20000
	s := open(b, stateDir(b), Options{AutoIgnore: true})
	texts := make([]string, files)
	for i := range texts {
		texts[i] = fmt.Sprintf("%s /usr/share/some/directory/%03d/file-%d", checksum(i), i%500, i)
		apply(b, s, local, texts[i])
	}
	if err := s.Flush(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		ev := event.Event{Kind: event.KindSyscheck, Location: local, Raw: texts[i%files], Received: time.Unix(1800000000, 0)}
		if _, err := s.Apply(&ev); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
