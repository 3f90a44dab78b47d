package logtest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/manager/ruleset"
)

// corpusDir is the folder with the reference's rulesets and its results on real logs, which are used in place.
func corpusDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("VEDETTE_CORPUS")
	if dir == "" {
		dir = "../../../shared"
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "corpus")); err != nil {
		t.Skip("no reference corpus (set VEDETTE_CORPUS)")
	}
	return dir
}

// corpusRoot makes an install root of links to a ruleset of the corpus.
func corpusRoot(t *testing.T, ruleset string) (root, conf string) {
	t.Helper()
	dir := filepath.Join(corpusDir(t), "corpus", ruleset)
	root = t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"rules": "rules", "etc/decoder.xml": "decoder.xml"} {
		if err := os.Symlink(filepath.Join(dir, target), filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	return root, filepath.Join(dir, "ossec.conf")
}

// logLine is one line of vectors/logs.
type logLine struct {
	Log, Hostname string
	ProgramName   *string `json:"program_name"`
	Decoder       *string
	Fields        map[string]string
	Rule, Level   *int
}

// summary is the line without its text, to compare.
func (l *logLine) summary() string {
	b, _ := json.Marshal(l) //nolint:errchkjson // plain values
	return string(b)
}

// TestStreamsThroughTheTool gives whole logs to one run of the tool, and reads what it prints.
func TestStreamsThroughTheTool(t *testing.T) {
	local := ruleset.Short(ruleset.Hostname())
	for _, version := range []string{"ossec-4.3.0", "ossec-2.9.1"} {
		for _, log := range []string{"openssh", "apache", "linux", "ossec-tests"} {
			t.Run(version+"/"+log, func(t *testing.T) {
				root, conf := corpusRoot(t, version)
				var want []logLine
				var input strings.Builder
				eachLine(t, filepath.Join(corpusDir(t), "vectors", "logs", version, log+".stream.jsonl"), func(data []byte) {
					var l logLine
					if err := json.Unmarshal(data, &l); err != nil {
						t.Fatal(err)
					}
					if l.Hostname == "vm" {
						l.Hostname = local
					}
					input.WriteString(l.Log + "\n")
					want = append(want, l)
				})
				code, _, stderr := run("/nonexistent", []string{"-D", root, "-c", conf}, input.String())
				if code != 0 {
					t.Fatalf("exit %d: %s", code, stderr)
				}
				compareLines(t, want, parseTranscript(stderr))
			})
		}
	}
}

// TestSingleLinesThroughTheTool gives each line to the tool as the first one it sees.
func TestSingleLinesThroughTheTool(t *testing.T) {
	local := ruleset.Short(ruleset.Hostname())
	for _, version := range []string{"ossec-4.3.0", "ossec-2.9.1"} {
		t.Run(version, func(t *testing.T) {
			root, conf := corpusRoot(t, version)
			var errs strings.Builder
			tool, done, code := newTool(Env{Args: []string{"-D", root, "-c", conf}, Stdin: strings.NewReader(""), Stdout: &errs, Stderr: &errs})
			if done || !tool.load() {
				t.Fatal("not loaded: ", code, errs.String())
			}
			var want []logLine
			errs.Reset()
			eachLine(t, filepath.Join(corpusDir(t), "vectors", "logs", version, "log-entries.single.jsonl"), func(data []byte) {
				var l logLine
				if err := json.Unmarshal(data, &l); err != nil {
					t.Fatal(err)
				}
				if l.Hostname == "vm" {
					l.Hostname = local
				}
				if len(l.Log) < 2 {
					return // the tool ignores it
				}
				tool.reset()
				tool.Stdin = strings.NewReader(l.Log + "\n")
				if err := tool.lines(); err != nil {
					t.Fatal(err)
				}
				want = append(want, l)
			})
			compareLines(t, want, parseTranscript(errs.String()))
		})
	}
}

func compareLines(t *testing.T, want, got []logLine) {
	t.Helper()
	if len(want) == 0 || len(want) != len(got) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	bad := 0
	for i := range want {
		w, g := want[i], got[i]
		w.Log, g.Log = "", ""
		if maps.Equal(w.Fields, g.Fields) {
			w.Fields, g.Fields = nil, nil
		}
		if w.summary() != g.summary() {
			if bad++; bad <= 5 {
				t.Errorf("line %d %q:\n got %s\nwant %s", i, want[i].Log, g.summary(), w.summary())
			}
		}
	}
	if bad > 5 {
		t.Errorf("%d differences in all", bad)
	}
}

// parseTranscript reads the tool's output back.
func parseTranscript(text string) (out []logLine) {
	var l *logLine
	fields := false
	for line := range strings.SplitSeq(text, "\n") {
		if line == "**Phase 1: Completed pre-decoding." {
			out = append(out, logLine{Fields: map[string]string{}})
			l = &out[len(out)-1]
		}
		if strings.HasPrefix(line, "**") {
			fields = strings.HasPrefix(line, "**Phase 2")
		}
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "       "), ": '")
		if l == nil || !ok || !strings.HasPrefix(line, "       ") {
			continue
		}
		value = strings.TrimSuffix(value, "'")
		text, number := value, 0
		json.Unmarshal([]byte(value), &number) //nolint:errcheck // 0 for a text
		switch {
		case key == "decoder":
			if text != "(null)" {
				l.Decoder = &text
			}
			fields = false
		case fields:
			l.Fields[key] = value
		case key == "hostname":
			l.Hostname = value
		case key == "program_name":
			if text != "(null)" {
				l.ProgramName = &text
			}
		case key == "Rule id":
			l.Rule = &number
		case key == "Level":
			l.Level = &number
		}
	}
	return out
}
