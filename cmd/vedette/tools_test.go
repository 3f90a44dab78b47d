package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/internal/layout"
	"github.com/vedette-hids/vedette/internal/vectors"
)

// runTool calls a tool as its link would.
func runTool(t *testing.T, root, name string, args []string, stdin string) (code int, stdout, stderr string) {
	t.Helper()
	tool, ok := tools[name]
	if !ok {
		t.Fatalf("no tool %s", name)
	}
	var out, errs bytes.Buffer
	self := filepath.Join(root, "bin", name)
	code = tool(call{ctx: t.Context(), self: self, name: name, root: root, arg0: self, args: args, stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs})
	return code, strings.ReplaceAll(out.String(), root, "/var/ossec"), strings.ReplaceAll(errs.String(), root, "/var/ossec")
}

var logTime = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`)

// like compares up to the free texts of the vectors: usage, help, licence, and who made it.
func like(got, want string) bool {
	got = logTime.ReplaceAllString(got, "<TS>")
	for _, free := range []string{"OSSEC Foundation", "<USAGE>", "<LICENSE>", "<HELP>"} {
		if before, _, ok := strings.Cut(want, free); ok {
			return strings.HasPrefix(got, before) && len(got) > len(before)
		}
	}
	return got == want
}

// TestHelpVersionAndWrongOptions runs the recorded calls that need no state, of every tool. The other calls are run by the tests of the
// packages that the tools are.
func TestHelpVersionAndWrongOptions(t *testing.T) {
	seen := map[string]int{}
	for _, r := range vectors.ToolRuns(t) {
		if r.Cycle || len(r.Cmd) != 2 || !slices.Contains([]string{"-h", "-V", "-Z", "-x"}, r.Cmd[1]) {
			continue
		}
		seen[r.Tool]++
		root := t.TempDir()
		if strings.Contains(r.Note, "agent build") {
			writeFile(t, root, "etc/ossec-init.conf", "TYPE=\"agent\"\n")
		}
		code, stdout, stderr := runTool(t, root, r.Tool, r.Cmd[1:], r.Stdin)
		if code != r.Exit || !like(stdout, r.Stdout) || !like(stderr, r.Stderr) {
			t.Errorf("%s %s %q: exit %d\nstdout %q\nstderr %q\nwant %d\n%q\n%q", r.ID, r.Tool, r.Cmd, code, stdout, stderr, r.Exit, r.Stdout, r.Stderr)
		}
	}
	if len(seen) < 20 {
		t.Errorf("only these tools were called: %v", seen)
	}
}

// TestReports runs the recorded reports, whose package tests know other vectors.
func TestReports(t *testing.T) {
	time.Local = time.UTC
	pid := regexp.MustCompile(`pid: \d+`)
	n := 0
	for _, r := range vectors.ToolRuns(t, "ossec-reportd") {
		n++
		code, stdout, stderr := runTool(t, t.TempDir(), r.Tool, r.Cmd[1:], r.Stdin)
		stderr = pid.ReplaceAllString(stderr, "pid: <PID>")
		if code != r.Exit || stdout != r.Stdout || !like(stderr, r.Stderr) {
			t.Errorf("%s %q: exit %d\n%q\nwant %d\n%q", r.ID, r.Cmd, code, stderr, r.Exit, r.Stderr)
		}
	}
	if n != 16 {
		t.Errorf("%d records", n)
	}
}

func writeFile(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEveryLinkOfAnInstallHasItsTool(t *testing.T) {
	for _, l := range layout.ToolLinks {
		if tools[l.Name] == nil {
			t.Errorf("bin/%s leads to nothing", l.Name)
		}
	}
	for _, name := range layout.ResponderLinks {
		if !isResponder(name) {
			t.Errorf("active-response/bin/%s leads to nothing", name)
		}
	}
	linked := map[string]bool{}
	for _, l := range layout.ToolLinks {
		linked[l.Name] = true
	}
	for name := range tools {
		if !linked[name] {
			t.Errorf("tool %s has no link", name)
		}
	}
}
