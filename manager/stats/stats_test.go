package stats

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A recorded call, from tool_outputs.jsonl.
type call struct {
	ID, Tool       string
	Cmd            []string
	Exit           int
	Stdout, Stderr string
	Note           string
	Files          map[string]*string `json:"files_after"`
}

var stamp = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `)

// matches compares texts; <HELP> stands for the rest of a help text, which is our own.
func matches(got, want string) bool {
	got = stamp.ReplaceAllString(got, "<TS> ")
	if before, _, ok := strings.Cut(want, "<HELP>"); ok {
		return strings.HasPrefix(got, before)
	}
	return got == want
}

func layout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"hourly-average", "weekly-average/0", "weekly-average/1", "weekly-average/2", "weekly-average/3", "weekly-average/4", "weekly-average/5", "weekly-average/6"} {
		path := filepath.Join(root, "stats", dir)
		if err := os.MkdirAll(path, 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "3"), []byte("12\n"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestRecordedCalls(t *testing.T) {
	f, err := os.Open("../../internal/testdata/spec/config/tool_outputs.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		var c call
		if json.Unmarshal(lines.Bytes(), &c) != nil || c.Tool != "clear_stats" {
			continue
		}
		n++
		t.Run(c.ID, func(t *testing.T) {
			root := layout(t)
			if strings.Contains(c.Note, "no stats directory") {
				root = t.TempDir()
			}
			var stdout, stderr bytes.Buffer
			if got := RunClear(root, c.Cmd[1:], &stdout, &stderr); got != c.Exit {
				t.Errorf("exit code %d, want %d", got, c.Exit)
			}
			if !matches(stdout.String(), c.Stdout) || !matches(stderr.String(), c.Stderr) {
				t.Errorf("got %q and %q, want %q and %q", stdout.String(), stderr.String(), c.Stdout, c.Stderr)
			}
			for name, want := range c.Files {
				got, err := os.ReadFile(filepath.Join(root, name))
				if want == nil && !errors.Is(err, fs.ErrNotExist) || want != nil && string(got) != *want {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			}
		})
	}
	if n == 0 {
		t.Fatal("no recorded calls")
	}
}
