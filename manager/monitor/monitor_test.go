package monitor

import (
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/output/mail"
)

const vectorDir = "../../internal/testdata/spec/outputs"

func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// vector finds a line of a vector file by name.
func vector(t *testing.T, file, name string, into any) {
	t.Helper()
	f, err := os.Open(filepath.Join(vectorDir, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	for {
		var line json.RawMessage
		if err := dec.Decode(&line); err != nil {
			t.Fatalf("%s: no %s: %v", file, name, err)
		}
		var head struct{ Name string }
		if err := json.Unmarshal(line, &head); err != nil {
			t.Fatal(err)
		}
		if head.Name == name {
			if err := json.Unmarshal(line, into); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

var monday = time.Date(2026, 10, 5, 0, 0, 0, 0, time.UTC)

// days writes two days of files, as the recorder does.
func days(t *testing.T, root string) {
	t.Helper()
	files, err := alert.OpenFiles(root, alert.Options{AlertsJSON: true, ArchivesJSON: true}, monday.Add(23*time.Hour+59*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for _, at := range []time.Time{monday.Add(23 * time.Hour), monday.AddDate(0, 0, 1)} {
		if err := files.Roll(at); err != nil {
			t.Fatal(err)
		}
		for _, k := range order {
			if _, err := files.Write(k, fmt.Appendf(nil, "%s of %s\n", k, at)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func tree(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, path)
			paths = append(paths, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

func TestFilesAfterMidnight(t *testing.T) {
	var want struct {
		Files     []string
		HardLinks map[string]string `json:"hard_links"`
	}
	vector(t, "rotation.jsonl", "files_after_midnight", &want)
	root := t.TempDir()
	days(t, root)
	m := New(Options{Root: root})
	original, err := os.ReadFile(alert.DailyPath(root, alert.Alerts, monday))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // closing twice changes nothing
		if err := m.CloseDay(t.Context(), monday); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want.Files)
	if got := tree(t, root); !slices.Equal(got, want.Files) {
		t.Errorf("got  %q\nwant %q", got, want.Files)
	}
	for link, file := range want.HardLinks {
		a, err1 := os.Stat(filepath.Join(root, link))
		b, err2 := os.Stat(filepath.Join(root, file))
		if err1 != nil || err2 != nil || !os.SameFile(a, b) {
			t.Errorf("%s is not %s: %v %v", link, file, err1, err2)
		}
	}
	f, err := os.Open(alert.DailyPath(root, alert.Alerts, monday) + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != string(original) {
		t.Errorf("compressed %q, %v", got, err)
	}
}

func TestSumsAreChained(t *testing.T) {
	var want struct{ Path, Content string }
	vector(t, "rotation.jsonl", "sum_first", &want)
	root := t.TempDir()
	days(t, root)
	text, err := os.ReadFile(alert.DailyPath(root, alert.Alerts, monday))
	if err != nil {
		t.Fatal(err)
	}
	m := New(Options{Root: root, NoCompress: true})
	if err := m.CloseDay(t.Context(), monday); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(filepath.Join(root, want.Path))
	if err != nil {
		t.Fatal(err)
	}
	expect := strings.NewReplacer("e815251e6fcb774be46af92a5ccc2fb2", fmt.Sprintf("%x", md5.Sum(text)),
		"101c1c29fed762f155c07d9c2270fc09d9554b58", fmt.Sprintf("%x", sha1.Sum(text))).Replace(want.Content)
	if string(first) != expect {
		t.Errorf("got %q\nwant %q", first, expect)
	}
	// The next day names the first one's sums.
	files, err := alert.OpenFiles(root, alert.Options{}, monday.AddDate(0, 0, 2))
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if err := m.CloseDay(t.Context(), monday.AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(alert.DailyPath(root, alert.Alerts, monday.AddDate(0, 0, 1)) + ".sum")
	if err != nil {
		t.Fatal(err)
	}
	if chain := fmt.Sprintf("\nMD5  (/%s) = %x\nSHA1 (/%s) = %x\n\n", want.Path, md5.Sum(first), want.Path, sha1.Sum(first)); !strings.HasSuffix(string(second), chain) {
		t.Errorf("got %q, want ...%q", second, chain)
	}
}

func TestOpenDayIsLeftAlone(t *testing.T) {
	root := t.TempDir()
	days(t, root)
	before := tree(t, root)
	if err := New(Options{Root: root}).CloseDay(t.Context(), monday.AddDate(0, 0, 1)); !errors.Is(err, errOpen) {
		t.Errorf("error %v", err)
	}
	if got := tree(t, root); !slices.Equal(got, before) {
		t.Errorf("got %q", got)
	}
}

// posted is what a transport got.
type posted struct {
	to   []string
	data string
}

type transport struct {
	fail int
	got  []posted
}

func (*transport) String() string { return "test" }
func (tr *transport) Deliver(_ context.Context, env mail.Envelope, data []byte) error {
	if tr.fail > 0 {
		tr.fail--
		return errors.New("down")
	}
	tr.got = append(tr.got, posted{env.Required, string(data)})
	return nil
}

func reportConfig(t *testing.T) *config.Config {
	t.Helper()
	blocks, err := os.ReadFile(filepath.Join(vectorDir, "config/reports.xml"))
	if err != nil {
		t.Fatal(err)
	}
	text := "<ossec_config><global><email_notification>yes</email_notification><email_to>admin@example.org</email_to><smtp_server>127.0.0.1</smtp_server>" +
		"<email_from>ossec@srv01.example.org</email_from><email_reply_to>noreply@example.org</email_reply_to><email_idsname>ids-01</email_idsname></global>" +
		"<rules></rules>" + string(blocks) + "</ossec_config>"
	cfg, problems := config.Parse(t.TempDir(), "ossec.conf", []byte(text))
	if cfg == nil || len(cfg.Reports) != 3 {
		t.Fatalf("%v", problems)
	}
	return cfg
}

// ended is the alerts.log of the recorded reports: what their log dump shows, with the fields that their sections count.
func ended(t *testing.T, dump string) string {
	t.Helper()
	entry := regexp.MustCompile(`(?s)(2026 Oct [^\n]*)\nRule: (\d+) ([^\n]*)\n([^\n]*)\n\n\r\n`)
	login := regexp.MustCompile(`for (\S+) from (\S+) port`)
	groups := map[string]string{"100101": "test,authentication_failed,", "100554": "ossec,syscheck,", "100550": "ossec,syscheck,", "100603": "syslog,test,"}
	var b strings.Builder
	for i, m := range entry.FindAllStringSubmatch(dump, -1) {
		fmt.Fprintf(&b, "** Alert 1.%d: - %s\n%s\nRule: %s %s\n", i, groups[m[2]], m[1], m[2], m[3])
		if l := login.FindStringSubmatch(m[4]); l != nil {
			fmt.Fprintf(&b, "Src IP: %s\nUser: %s\n", l[2], l[1])
		}
		fmt.Fprintf(&b, "%s\n\n", m[4])
	}
	return b.String()
}

func TestRecordedReportMails(t *testing.T) {
	type recorded struct {
		Mails []struct {
			Dialog []string
			Data   string
		}
	}
	var filtered, all recorded
	vector(t, "mails.jsonl", "report_filtered", &filtered)
	vector(t, "mails.jsonl", "report_showlogs", &all)
	root := t.TempDir()
	path := alert.DailyPath(root, alert.Alerts, monday)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(ended(t, all.Mails[0].Data)), 0o640); err != nil {
		t.Fatal(err)
	}
	cfg := reportConfig(t)
	tr := &transport{}
	mailer, err := mail.New(mail.Options{Global: &cfg.Global, Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	m := New(Options{Root: root, Reports: cfg.Reports, Mail: mailer, Log: olog.New("", &log).Prog("ossec-monitord")})
	if err := m.CloseDay(t.Context(), monday); err != nil {
		t.Fatal(err)
	}
	if len(tr.got) != 2 {
		t.Fatalf("%d mails", len(tr.got))
	}
	date := regexp.MustCompile(`(?m)^Date: .*\r$`)
	for i, want := range []recorded{filtered, all} {
		got := tr.got[i]
		if g, w := date.ReplaceAllString(got.data, ""), date.ReplaceAllString(want.Mails[0].Data, ""); g != w {
			t.Errorf("mail %d\n got %q\nwant %q", i, g, w)
		}
		var to []string
		for _, line := range want.Mails[0].Dialog {
			if r, ok := strings.CutPrefix(line, "C: Rcpt To: <"); ok {
				to = append(to, strings.TrimSuffix(r, ">"))
			}
		}
		if !slices.Equal(got.to, to) {
			t.Errorf("mail %d to %q, want %q", i, got.to, to)
		}
	}
	for _, want := range []string{"INFO: Starting daily reporting for 'Daily auth report'", "INFO: Report 'OSSEC Report (unnamed)' empty."} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %q", want, log.String())
		}
	}
}

func TestReportIsMailedWhenTheServerIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport{fail: 3}
		mailer, err := mail.New(mail.Options{Global: &config.Global{EmailNotification: true, EmailFrom: "o@x"}, Transport: tr})
		if err != nil {
			t.Fatal(err)
		}
		m := New(Options{Root: t.TempDir(), Mail: mailer})
		m.send(t.Context(), mailing{[]string{"a@x"}, "title", "text"})
		if len(tr.got) != 1 {
			t.Errorf("%d mails", len(tr.got))
		}
	})
}

// The clock of a bubble begins at midnight of 2000-01-01.
func TestRunClosesDaysThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		start := time.Now()
		files, err := alert.OpenFiles(root, alert.Options{}, start.AddDate(0, 0, -2))
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		files.Write(alert.Alerts, []byte("two days ago\n"))
		if err := files.Roll(start); err != nil {
			t.Fatal(err)
		}
		files.Write(alert.Alerts, []byte("today\n"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			New(Options{Root: root, DayWait: 10 * time.Second}).Run(ctx)
		}()
		synctest.Wait()
		if !exists(alert.DailyPath(root, alert.Alerts, start.AddDate(0, 0, -2)) + ".gz") {
			t.Error("the day before the start was not closed")
		}
		today := alert.DailyPath(root, alert.Alerts, start)
		time.Sleep(24*time.Hour + time.Minute) // nobody rolls the file
		synctest.Wait()
		if exists(today + ".gz") {
			t.Error("an open file was closed")
		}
		if err := files.Roll(time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(every)
		synctest.Wait()
		if !exists(today+".gz") || exists(today) {
			t.Error("the ended day was not closed")
		}
		cancel()
		<-done
	})
}

func TestStateFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		n := uint64(0)
		s := &State{Path: path, Interval: 5 * time.Second, Counters: func() []Counter { n++; return []Counter{{"events_received", n}} }}
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		s.Run(ctx)
		got, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(got), "# ") || !strings.HasSuffix(string(got), "\nevents_received='4'\n") {
			t.Errorf("%q, %v", got, err)
		}
	})
}
