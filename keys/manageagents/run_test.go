package manageagents

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

type transcript struct {
	Name, Role    string
	Args          []string
	Env           map[string]string
	Stdin, Stdout string
	Stderr        string
	Exit          int
	Before        string `json:"client_keys_before"`
	After         string `json:"client_keys_after"`
	Note          string
}

func transcripts(t *testing.T) []transcript {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "internal", "testdata", "spec", "protocol", "manage_agents.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []transcript
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var v transcript
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if len(out) != 80 {
		t.Fatalf("%d transcripts, want 80", len(out))
	}
	return out
}

// What differs from the recorded runs: standard output, exit code or file, and why.
var deviations = map[string]struct {
	why    string
	stdout string
	exit   int
	after  string // "" = unchanged file
}{
	"extract-removed": {
		why:    "spec 2 Improve: the key of a removed agent is not exported",
		stdout: "\n** Invalid ID '001' given. ID is not present.\n", exit: 1,
	},
	"agent-import-noverify": {
		why:    "spec 2 Improve: the fields of an imported key are checked",
		stdout: "\n** Invalid authentication key. Starting over again.\n** Press ENTER to return to the main menu.\n",
	},
}

// The bulk file of the recorded run, made from what the run printed.
const bulkText = "192.0.2.41,bulk-a\n 10.9.0.0/16 , bulk-b ,extra\n\nany,alpha\nbadip,fine-name\n192.0.2.42\nany,x\n10.1.1.1,dupip-ok\n"

var (
	secret64 = regexp.MustCompile(`(?m) [0-9a-f]{64}$`)
	// spec 1.3 Improve: no part of the key stays behind the mark of a removed agent.
	markTail = regexp.MustCompile(`(?m)^(\d+ (?:#\*){10}#).*$`)
)

// run runs the tool in a fresh install root that holds the given client.keys.
func run(t *testing.T, v transcript, prepare func(root string)) (stdout, stderr, after string, code int) {
	t.Helper()
	root := t.TempDir()
	for _, d := range []string{"etc", "queue/agent-info", "queue/rids", "queue/syscheck", "queue/rootcheck"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(root, "etc", "client.keys")
	if err := os.WriteFile(file, []byte(v.Before), 0o640); err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(root)
	}
	var out, errs strings.Builder
	code = Run(Env{
		Root: root, Server: v.Role != "agent", Args: v.Args, Getenv: func(k string) string { return v.Env[k] },
		Stdin: strings.NewReader(v.Stdin), Stdout: &out, Stderr: &errs,
		Now: func() time.Time { return time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC) },
	})
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), string(b), code
}

// dropNewTails cuts what the reference leaves of the key in the line of an agent that it removed in this run.
func dropNewTails(after, before string) string {
	return markTail.ReplaceAllStringFunc(after, func(line string) string {
		if strings.Contains(before, line) {
			return line
		}
		return markTail.ReplaceAllString(line, "$1")
	})
}

// maskNew hides the keys that were not there before.
func maskNew(after, before string) string {
	return secret64.ReplaceAllStringFunc(after, func(s string) string {
		if strings.Contains(before, s) {
			return s
		}
		return " <KEY64>"
	})
}

func TestTranscripts(t *testing.T) {
	for _, v := range transcripts(t) {
		t.Run(v.Name, func(t *testing.T) {
			want := struct {
				stdout, after string
				exit          int
			}{v.Stdout, dropNewTails(v.After, v.Before), v.Exit}
			if d, ok := deviations[v.Name]; ok {
				want.stdout, want.exit, want.after = d.stdout, d.exit, v.Before
			}
			if v.Name == "bulk-file" {
				name := filepath.Join(t.TempDir(), "bulk.txt")
				if err := os.WriteFile(name, []byte(bulkText), 0o600); err != nil {
					t.Fatal(err)
				}
				v.Args = []string{"-f", name}
				want.stdout = strings.ReplaceAll(want.stdout, "/root/bulk.txt", name)
			}
			stdout, stderr, after, code := run(t, v, nil)
			if stdout != want.stdout {
				t.Errorf("stdout\n%q, want\n%q", stdout, want.stdout)
			}
			if code != want.exit {
				t.Errorf("exit %d, want %d; stderr %q", code, want.exit, stderr)
			}
			if strings.Contains(want.after, "<KEY64>") {
				after = maskNew(after, v.Before)
			}
			if after != want.after {
				t.Errorf("client.keys\n%q, want\n%q", after, want.after)
			}
		})
	}
}
