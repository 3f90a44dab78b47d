package report

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const vectorDir = "../../internal/testdata/spec/outputs"

// recordedAlerts is the alerts.log that the recorded reports were made of.
func recordedAlerts(tb testing.TB) string {
	tb.Helper()
	var text strings.Builder
	each(tb, "events.jsonl", func(line []byte) {
		var c struct {
			Alert *string
			B64   string `json:"alert_b64"`
		}
		if err := json.Unmarshal(line, &c); err != nil {
			tb.Fatal(err)
		}
		if c.Alert != nil {
			text.WriteString(*c.Alert)
		}
		raw, err := base64.StdEncoding.DecodeString(c.B64)
		if err != nil {
			tb.Fatal(err)
		}
		text.Write(raw)
	})
	return text.String()
}

func each(tb testing.TB, name string, f func(line []byte)) {
	tb.Helper()
	file, err := os.Open(filepath.Join(vectorDir, name))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		f(lines.Bytes())
	}
	if lines.Err() != nil {
		tb.Fatal(lines.Err())
	}
}

// The log lines and the report share a stream; log lines begin with a date and end with a line feed alone.
var logLine = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (ossec-reportd[^\r\n]*)\n`)

func TestRecordedReports(t *testing.T) {
	input := recordedAlerts(t)
	n := 0
	each(t, "reports.jsonl", func(line []byte) {
		var c struct {
			Args   []string
			Exit   int
			Log    []string
			Report string
		}
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		n++
		t.Run(strings.Join(c.Args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := Run(c.Args, strings.NewReader(input), &stdout, &stderr); got != c.Exit {
				t.Errorf("exit code %d, want %d", got, c.Exit)
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output: %q", stdout.String())
			}
			var log []string
			for _, m := range logLine.FindAllStringSubmatch(stderr.String(), -1) {
				log = append(log, regexp.MustCompile(`pid: \d+`).ReplaceAllString(m[1], "pid: N"))
			}
			if !slices.Equal(log, c.Log) {
				t.Errorf("log\n got %q\nwant %q", log, c.Log)
			}
			if got := logLine.ReplaceAllString(stderr.String(), ""); got != c.Report {
				t.Errorf("report\n got %q\nwant %q", got, c.Report)
			}
		})
	})
	if n == 0 {
		t.Fatal("no recorded reports")
	}
}

func TestLogDumpIsBounded(t *testing.T) {
	entry := "** Alert 1.1: - g,\n2026 Oct 05 08:09:18 h->l\nRule: 5 (level 3) -> 'd'\n" + strings.Repeat("x", 1000) + "\n\n"
	s := New(Options{ShowLogs: true, MaxDump: 5000})
	if err := s.Read(strings.NewReader(strings.Repeat(entry, 1000)), nil); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	if s.Taken() != 1000 || b.Len() > 10000 || !strings.Contains(b.String(), "more logs are not shown") {
		t.Errorf("%d alerts, %d bytes", s.Taken(), b.Len())
	}
}

func TestReadErrorIsReported(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("** Alert 1.1"), errReader{})
	if err := New(Options{}).Read(broken, nil); !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
}

var errDisk = errors.New("disk")

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errDisk }

func BenchmarkSummary(b *testing.B) {
	input := recordedAlerts(b)
	b.SetBytes(int64(len(input)))
	b.ReportAllocs()
	for b.Loop() {
		if err := New(Options{}).Read(strings.NewReader(input), nil); err != nil {
			b.Fatal(err)
		}
	}
}
