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

// TestAgentDaemonsTestTheirConfiguration runs the recorded configuration tests (-t) of the two programs that agents are about, and looks for each of
// their lines on standard error and in ossec.log.
func TestAgentDaemonsTestTheirConfiguration(t *testing.T) {
	type result struct {
		Exit   int      `json:"exit"`
		Output []string `json:"output"`
	}
	type recorded struct {
		ID     string            `json:"id"`
		Config *string           `json:"config"`
		Expect map[string]result `json:"expect"`
	}
	root := t.TempDir()
	writeFile(t, root, "etc/client.keys", "001 t any kkk\n")
	log := filepath.Join(root, "logs", "ossec.log")
	n := 0
	for _, c := range vectors.Read[recorded](t, "config/config_cases.jsonl") {
		for _, daemon := range []string{"ossec-remoted", "ossec-agentd"} {
			want, ok := c.Expect[daemon]
			if !ok || c.Config == nil {
				continue
			}
			n++
			writeFile(t, root, "logs/ossec.log", "")
			writeFile(t, root, "etc/ossec.conf", *c.Config)
			code, _, stderr := runTool(t, root, daemon, []string{"-t"}, "")
			if code != want.Exit {
				t.Errorf("%s %s: exit %d, want %d\n%s", c.ID, daemon, code, want.Exit, stderr)
			}
			logged, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range want.Output {
				line = " " + strings.ReplaceAll(line, "<CONF>", "/var/ossec/etc/ossec.conf") + "\n"
				if !strings.Contains(stderr, line) || !strings.Contains(strings.ReplaceAll(string(logged), root, "/var/ossec"), line) {
					t.Errorf("%s %s: no line %q in\n%s", c.ID, daemon, line, stderr)
				}
			}
		}
	}
	if n < 80 {
		t.Errorf("only %d cases", n)
	}
}
