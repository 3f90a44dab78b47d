package control

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/internal/vectors"
)

func makeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func run(root, host string, args []string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = RunEnv(Env{
		Root: root, Args: args, Prog: "/var/ossec/bin/rootcheck_control", Stdout: &out, Stderr: &errs,
		Location: time.UTC, Hostname: host,
	})
	return out.String(), errs.String(), code
}

const headline = "\nOSSEC HIDS rootcheck_control: Manages the policy and auditing database.\n"

// helpFree replaces the usage text, whose wording is free, by its mark.
func helpFree(s, mark string) string {
	if i := strings.Index(s, headline); i >= 0 {
		return s[:i] + mark
	}
	return s
}

// jsonWorks are the cases in which OSSEC prints "(null)".
func jsonWorks(args []string, want string) bool { return want == "(null)" && args[len(args)-1] == "-j" }

func checkJSON(t *testing.T, out string) {
	t.Helper()
	var v struct {
		Error    *int
		Response []struct{ Status, ReadDay, OldDay, Event string }
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Error == nil || *v.Error != 0 || len(v.Response) == 0 {
		t.Fatalf("%s: %v", out, err)
	}
	for _, r := range v.Response {
		if r.Status != "resolved" && r.Status != "outstanding" || r.ReadDay == "" || r.OldDay == "" || r.Event == "" ||
			strings.HasPrefix(r.Event, "System Audit: System Audit:") {
			t.Errorf("entry %+v", r)
		}
	}
}

func TestToolOutputs(t *testing.T) {
	var tree struct {
		Files map[string]string
		Mtime map[string]any
	}
	if err := json.Unmarshal(vectors.Data(t, "config/tool_tree.json"), &tree); err != nil {
		t.Fatal(err)
	}
	root := makeTree(t, tree.Files)
	for name, at := range tree.Mtime {
		if seconds, ok := at.(float64); ok {
			when := time.Unix(int64(seconds), 0)
			if err := os.Chtimes(filepath.Join(root, name), when, when); err != nil {
				t.Fatal(err)
			}
		}
	}
	cases := vectors.ToolRuns(t, "rootcheck_control")
	if len(cases) != 21 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			stdout, stderr, code := run(root, "mgr01", c.Cmd[1:])
			if code != c.Exit || stderr != c.Stderr {
				t.Errorf("%v: exit %d, stderr %q; want %d, %q", c.Cmd, code, stderr, c.Exit, c.Stderr)
			}
			if jsonWorks(c.Cmd, c.Stdout) {
				checkJSON(t, stdout)
			} else if got := helpFree(stdout, headline+"<HELP>\n"); got != c.Stdout {
				t.Errorf("%v:\n%q\nwant\n%q", c.Cmd, got, c.Stdout)
			}
			checkAfter(t, root, c.FilesAfter)
		})
	}
}

func checkAfter(t *testing.T, root string, files map[string]*string) {
	t.Helper()
	for name, want := range files {
		data, err := os.ReadFile(filepath.Join(root, name))
		if (want == nil) != os.IsNotExist(err) || want != nil && string(data) != *want {
			t.Errorf("%s is %q, %v", name, data, err)
		}
	}
}

// controlVector is an install, or a run of a tool on the last one.
type controlVector struct {
	Type   string
	Files  map[string]string
	Argv   []string
	Output string `json:"stdout_and_stderr"`
	Exit   int    `json:"exit_code"`
}

func TestControlTools(t *testing.T) {
	var root string
	cases := 0
	for _, c := range vectors.Read[controlVector](t, "syscheck/control_tools.jsonl") {
		if c.Type == "state" {
			root = makeTree(t, c.Files)
		}
		if len(c.Argv) == 0 || c.Argv[0] != "rootcheck_control" {
			continue
		}
		cases++
		stdout, stderr, code := run(root, "@HOST", c.Argv[1:])
		if code != c.Exit {
			t.Errorf("%v: exit %d", c.Argv, code)
		}
		if jsonWorks(c.Argv, c.Output) {
			checkJSON(t, stdout)
		} else if got := helpFree(stdout+stderr, "\n<help of rootcheck_control>"); got != c.Output {
			t.Errorf("%v:\n%q\nwant\n%q", c.Argv, got, c.Output)
		}
	}
	if cases != 11 {
		t.Errorf("%d cases", cases)
	}
}

func TestAgentlessDevicesAreListed(t *testing.T) {
	root := makeTree(t, map[string]string{"etc/client.keys": "", "queue/agentless/root@10.0.0.9": ""})
	stdout, _, code := run(root, "web-01", []string{"-l"})
	want := "\nOSSEC HIDS rootcheck_control. List of available agents:\n   ID: 000, Name: web-01 (server), IP: 127.0.0.1, Active/Local\n" +
		"\nList of agentless devices:\n   ID: na, Name: root@10.0.0.9, IP: 10.0.0.9, agentless\n\n"
	if code != 0 || stdout != want {
		t.Errorf("%d %q", code, stdout)
	}
}
