// Package vectors gives tests the golden data below internal/testdata/spec, which was recorded from the reference, and the corpus of
// rules and logs that is used in place. Only tests import it.
package vectors

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// module finds the folder with go.mod, in or above the working directory: tests run in the folder of their package.
func module(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("no go.mod above the working directory")
		}
		dir = parent
	}
}

// Path is where a file or folder of golden data is, named with slashes below internal/testdata/spec: "rules/cases.jsonl".
func Path(tb testing.TB, name string) string {
	tb.Helper()
	return filepath.Join(module(tb), "internal", "testdata", "spec", filepath.FromSlash(name))
}

// Data is the content of a file of golden data.
func Data(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(Path(tb, name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// Read decodes every line of a JSON Lines file of golden data. A file without lines fails the test.
func Read[T any](tb testing.TB, name string) []T {
	tb.Helper()
	return ReadFile[T](tb, Path(tb, name))
}

// ReadFile is Read for a file that lies elsewhere, as those of the corpus do.
func ReadFile[T any](tb testing.TB, path string) []T {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var out []T
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			tb.Fatalf("%s:%d: %v", path, n, err)
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		tb.Fatalf("%s holds no vectors", path)
	}
	return out
}

// ToolRun is one recorded run of an operator's tool (config/tool_outputs.jsonl).
type ToolRun struct {
	ID, Tool, Note        string
	Cmd                   []string // the program, relative to the install root, and its arguments
	Stdin, Stdout, Stderr string
	Exit                  int
	Cycle                 bool               // a part of starting and stopping real daemons
	AgentConf             *string            `json:"agent_conf"`
	FilesAfter            map[string]*string `json:"files_after"` // relative to the install root; nil = must not be there
}

// ToolRuns gives the recorded runs of the named tools, of all of them when none is named.
func ToolRuns(tb testing.TB, tools ...string) []ToolRun {
	tb.Helper()
	all := Read[ToolRun](tb, "config/tool_outputs.jsonl")
	if len(tools) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(r ToolRun) bool { return !slices.Contains(tools, r.Tool) })
}

// Corpus is a folder that is not part of the project: recorded rulesets and logs, in the folder that VEDETTE_CORPUS names or in "shared"
// beside the project. The test is skipped where it is not.
func Corpus(tb testing.TB, elem ...string) string {
	tb.Helper()
	dir := os.Getenv("VEDETTE_CORPUS")
	if dir == "" {
		dir = filepath.Join(filepath.Dir(module(tb)), "shared")
	}
	path := filepath.Join(append([]string{dir}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("no recorded data at %s; set VEDETTE_CORPUS", path)
	}
	return path
}
