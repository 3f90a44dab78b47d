package alert

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vedette-hids/vedette/event"
)

func sample() *event.Alert {
	ev := &event.Event{Kind: event.KindLog, Location: "(web-01) 10.0.0.5->/var/log/auth.log", Hostname: "(web-01) 10.0.0.5->/var/log/auth.log",
		FullLog:     "Oct  9 10:11:27 hostA sshd[1027]: Failed password for root from 198.51.100.9 port 3004 ssh2",
		Log:         "Failed password for root from 198.51.100.9 port 3004 ssh2",
		ProgramName: "sshd", HasProgram: true, Decoder: "sshd", DecoderParent: "sshd", Received: time.Unix(1791187758, 0)}
	ev.Fields.Set(event.SrcIP, "198.51.100.9")
	ev.Fields.Set(event.SrcPort, "3004")
	ev.Fields.Set(event.DstUser, "root")
	return &event.Alert{Epoch: 1791187758, Seq: 27, FiredTimes: 3, Event: ev,
		Rule: &event.Rule{ID: 5716, Level: 10, Description: "Several failures.", Groups: "syslog,sshd,pci_dss_10.2.4,", Log: true, Mail: true}}
}

func TestReaderFindsWhatWasWritten(t *testing.T) {
	a := sample()
	a.Previous = []string{"one", "two"}
	want := NewEntry(a)
	got, err := NewReader(strings.NewReader(string(AppendText(nil, a)))).Next()
	if err != nil {
		t.Fatal(err)
	}
	if g, w := mustJSON(t, got), mustJSON(t, want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A text of a host can spoil its own entry in the file, but not what forwarders get.
func TestEntryIsNotForged(t *testing.T) {
	a := sample()
	a.Event.FullLog = "User: mallory"
	if e := NewEntry(a); e.User != "root" || !slices.Equal(e.Lines, []string{"User: mallory"}) {
		t.Errorf("%+v", e)
	}
}

func open2(t *testing.T, root string, at time.Time) *Files {
	t.Helper()
	f, err := OpenFiles(root, Options{}, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFilesOfTheDay(t *testing.T) {
	root := t.TempDir()
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.Local)
	f := open2(t, root, noon)
	write := func(text string) {
		t.Helper()
		if n, err := f.Write(Alerts, []byte(text)); err != nil || n != len(text) {
			t.Fatal(n, err)
		}
	}
	write("a\n")
	if f.Due(noon.Add(11 * time.Hour)) {
		t.Error("due on the same day")
	}
	midnight := noon.Add(12 * time.Hour)
	if !f.Due(midnight) {
		t.Error("not due at midnight")
	}
	if err := f.Roll(midnight); err != nil {
		t.Fatal(err)
	}
	write("b\n")
	// An event of 23:59:59 that was still in the queue does not reopen the ended day.
	if f.Due(midnight.Add(-time.Second)) {
		t.Error("due for an event of the day before")
	}
	for path, want := range map[string]string{DailyPath(root, Alerts, noon): "a\n", DailyPath(root, Alerts, midnight): "b\n", CurrentPath(root, Alerts): "b\n"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if _, err := os.Stat(DailyPath(root, Archives, noon)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the empty archive of the ended day is there: %v", err)
	}
}

func TestDaysOfTheLocalZoneCount(t *testing.T) {
	india := time.FixedZone("IST", 5*3600+1800)
	f := open2(t, t.TempDir(), time.Date(2026, 11, 24, 23, 59, 59, 0, india))
	if !f.Due(time.Date(2026, 11, 25, 0, 0, 0, 0, india)) {
		t.Error("not due at a midnight that is no full hour of UTC")
	}
}

func TestFileThatCannotBeOpenedIsTriedAgain(t *testing.T) {
	root := t.TempDir()
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.Local)
	f := open2(t, root, noon)
	next := noon.AddDate(0, 1, 0)
	blocked := filepath.Dir(DailyPath(root, Alerts, next))
	if err := os.WriteFile(blocked, nil, 0o600); err != nil { // a file where the month's directory should be
		t.Fatal(err)
	}
	if err := f.Roll(next); err == nil {
		t.Fatal("no error")
	}
	if _, err := f.Write(Alerts, []byte("x")); err == nil {
		t.Error("written to nowhere")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	if !f.Due(next) {
		t.Fatal("not due")
	}
	if err := f.Roll(next); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(Alerts, []byte("x")); err != nil {
		t.Error(err)
	}
}

func TestComplianceTagsAreBoundedAndForgeNothing(t *testing.T) {
	text := "{CIS: 1.1} {CIS: 1.2, 2} {level: 1} {sidid: 5} {PCI_DSS: 9}" + strings.Repeat(" {X: y}", 1000)
	a := sample()
	a.Rule.Groups += "rootcheck,"
	a.Event.FullLog = text
	got := string(AppendJSON(nil, a))
	rule, _, _ := strings.Cut(got, "},")
	want := `{"rule":{"level":10,"comment":"Several failures.","sidid":5716,"firedtimes":3,"group":"syslog,sshd,pci_dss_10.2.4,rootcheck,",` +
		`"groups":["syslog","sshd","rootcheck"],"PCI_DSS":["10.2.4"],"CIS":["1.1","1.2","2"],"X":["y","y","y","y","y"]`
	if rule != want {
		t.Errorf("got  %s\nwant %s", rule, want)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(string(AppendText(nil, sample())))
	f.Add("** Alert 1.1: - syscheck,\n2026 Oct 05 08:09:18 h->l\nRule: 5 (level 3) -> 'd'\nIntegrity checksum changed for: '\n\n")
	f.Add("** Alert x\n** Alert 1:\n** Alert 1: \nnodate\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := NewReader(strings.NewReader(text))
		for {
			e, err := r.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(e.Lines) == 0 || len(e.Lines) > maxLines {
				t.Errorf("%d lines", len(e.Lines))
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add("text", "rule", "(a) 1->b")
	f.Add("\x00\xff\"\\", "command", "(")
	f.Add("{A: 1, 2}", "x", "(a)->")
	f.Fuzz(func(t *testing.T, text, name, location string) {
		a := sample()
		a.Rule.Groups += "rootcheck,"
		a.Event.FullLog, a.Event.Location, a.Event.Hostname = text, location, location
		a.Event.Dynamic = []event.NameValue{{Name: name, Value: text}}
		for _, b := range [][]byte{AppendJSON(nil, a), AppendArchiveJSON(nil, a.Event, a.Rule, 1)} {
			var v map[string]any
			if !utf8.Valid(b) || json.Unmarshal(b, &v) != nil {
				t.Fatalf("not JSON: %q", b)
			}
			if v["full_log"] != strings.ToValidUTF8(repeatInvalid(text), "") {
				t.Errorf("full_log is %q", v["full_log"])
			}
		}
	})
}

// repeatInvalid replaces every invalid byte by U+FFFD.
func repeatInvalid(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

func BenchmarkAppend(b *testing.B) {
	a := sample()
	buf := make([]byte, 0, 4096)
	for _, f := range []struct {
		name string
		run  func()
	}{
		{"alerts.log", func() { AppendText(buf, a) }},
		{"alerts.json", func() { AppendJSON(buf, a) }},
		{"archives.log", func() { AppendArchive(buf, a.Event) }},
		{"archives.json", func() { AppendArchiveJSON(buf, a.Event, a.Rule, 1) }},
	} {
		b.Run(f.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.run()
			}
		})
	}
}

// TestAnEntryThatWasCutOffDoesNotSwallowTheNext opens a file that a manager left behind which was killed while the disk was full.
func TestAnEntryThatWasCutOffDoesNotSwallowTheNext(t *testing.T) {
	root := t.TempDir()
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.Local)
	whole := string(AppendText(nil, sample()))
	var want string
	for _, cut := range []int{0, 1, 2, 9} { // the last two bytes are line ends
		f := open2(t, root, noon)
		torn := whole[:len(whole)-cut]
		want += whole + torn + whole[len(whole)-min(cut, 2):]
		for _, text := range []string{whole, torn} {
			if n, err := f.Write(Alerts, []byte(text)); err != nil || n != len(text) {
				t.Fatal(n, err)
			}
		}
		f.Close()
	}
	f := open2(t, root, noon)
	for k, text := range map[Kind]string{Alerts: whole, Archives: "a line\nhalf"} {
		if _, err := f.Write(k, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	want += whole
	f = open2(t, root, noon)
	if _, err := f.Write(Archives, []byte("another\n")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(CurrentPath(root, Alerts))
	if err != nil || string(got) != want {
		t.Errorf("%q, want\n%q, %v", got, want, err)
	}
	if got, err := os.ReadFile(CurrentPath(root, Archives)); err != nil || string(got) != "a line\nhalf\nanother\n" {
		t.Errorf("%q, %v", got, err)
	}
	n := 0
	r := NewReader(strings.NewReader(string(got)))
	r.Broken = func() { t.Error("an entry is swallowed") }
	for _, err := r.Next(); err == nil; _, err = r.Next() {
		n++
	}
	if n != 9 {
		t.Errorf("%d entries can be read", n)
	}
}

// TestTheLinkStaysWhileThereIsNoOther keeps alerts.log where readers look for it when the next day's file cannot be made.
func TestTheLinkStaysWhileThereIsNoOther(t *testing.T) {
	root := t.TempDir()
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.Local)
	f := open2(t, root, noon)
	if _, err := f.Write(Alerts, []byte("a\n")); err != nil {
		t.Fatal(err)
	}
	block := CurrentPath(root, Alerts) + ".new"
	if err := os.MkdirAll(filepath.Join(block, "x"), 0o700); err != nil { // the link cannot be made
		t.Fatal(err)
	}
	next := noon.AddDate(0, 0, 1)
	if err := f.Roll(next); err == nil {
		t.Fatal("no error")
	}
	if got, err := os.ReadFile(CurrentPath(root, Alerts)); err != nil || string(got) != "a\n" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := f.Write(Alerts, []byte("b\n")); err == nil || !strings.Contains(err.Error(), "alerts.log.new") {
		t.Errorf("the reason is not told: %v", err)
	}
	if err := os.RemoveAll(block); err != nil {
		t.Fatal(err)
	}
	if err := f.Roll(next); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(Alerts, []byte("b\n")); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(CurrentPath(root, Alerts)); err != nil || string(got) != "b\n" {
		t.Errorf("%q, %v", got, err)
	}
}
