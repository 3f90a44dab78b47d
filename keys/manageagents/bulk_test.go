package manageagents

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBulkFileOfAnEditorOnWindows(t *testing.T) {
	v := transcript{Args: []string{"-f", "-"}, Stdin: "\ufeff10.9.9.8,win-1\r\n10.9.9.9,win-2\r\n"}
	_, stderr, after, code := run(t, v, nil)
	if code != 0 || stderr != "" || strings.Count(after, "\n") != 2 || !strings.HasPrefix(after, "001 win-1 10.9.9.8 ") || !strings.Contains(after, "\n002 win-2 10.9.9.9 ") {
		t.Errorf("exit %d, %q\n%s", code, stderr, after)
	}
}

func TestBulkLeavesOutLinesAndNamesThem(t *testing.T) {
	long := strings.Repeat("a", 70_000)
	v := transcript{Args: []string{"-j", "-f", "-"}, Before: twoAgents,
		Stdin: "any,gamma\nany," + long + "\n\n10.0.0.300,delta\nany,alpha\nany,gamma\nany,eps"}
	stdout, _, after, code := run(t, v, nil)
	var answer struct {
		Error    int
		Response struct {
			Added   []listed
			Refused []refusedLine
		}
	}
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	got := fmt.Sprint(answer.Response.Added, answer.Response.Refused)
	want := "[{003 gamma any} {004 eps any}] [{2 76 Invalid name for agent} {4 77 Invalid IP for agent} {5 76 Invalid name for agent} {6 76 Invalid name for agent}]"
	if code != 0 || answer.Error != 0 || got != want || strings.Count(after, "\n") != 4 {
		t.Errorf("exit %d\n%s\n%s\n%s", code, got, want, after)
	}
	v.Args = v.Args[1:]
	if _, stderr, _, _ := run(t, v, nil); !strings.Contains(stderr, "WARN: 4 of 6 lines were left out, the first is line 2.") {
		t.Errorf("%q", stderr)
	}
}

// TestIDsBeyondTheProposedRange adds agents where OSSEC's search for the next id ends.
func TestIDsBeyondTheProposedRange(t *testing.T) {
	v := transcript{Args: []string{"-f", "-"}, Before: "34559 last any k\n34562 other any k\n", Stdin: "any,n1\nany,n2\nany,n3\n"}
	_, stderr, after, code := run(t, v, nil)
	if code != 0 || !strings.Contains(after, "\n34560 n1 any ") || !strings.Contains(after, "\n34561 n2 any ") || !strings.Contains(after, "\n34563 n3 any ") {
		t.Errorf("exit %d, %q\n%s", code, stderr, after)
	}
	v = transcript{Args: []string{"-a", "any", "-n", "n4"}, Before: after}
	if _, _, after, code = run(t, v, nil); code != 0 || !strings.Contains(after, "\n34564 n4 any ") {
		t.Errorf("exit %d\n%s", code, after)
	}
}

func TestListTellsOfDamagedLines(t *testing.T) {
	v := transcript{Args: []string{"-l"}, Before: "001 good any k\n002 bad 10.0.0.999 k\nrubbish\n"}
	stdout, stderr, _, code := run(t, v, nil)
	if code != 0 || !strings.Contains(stdout, "ID: 001, Name: good") || !strings.Contains(stderr, "manage_agents(1237): ERROR: Invalid ip address: '10.0.0.999'. (line 2 of ") ||
		!strings.Contains(stderr, "(line 3 of ") {
		t.Errorf("%q\n%q", stdout, stderr)
	}
}

// TestSilentOwnerWithASharedIDStays asks for the removal of the second of two agents with one id, which would hit the first.
func TestSilentOwnerWithASharedIDStays(t *testing.T) {
	const before = "001 first 10.1.1.1 k1\n001 second 10.1.1.2 k2\n"
	v := transcript{Args: []string{"-F", "0", "-a", "10.1.1.2", "-n", "new-1"}, Before: before}
	_, stderr, after, code := run(t, v, nil)
	if code != 1 || after != before || !strings.Contains(stderr, "another line has the id 001") {
		t.Errorf("exit %d, %q\n%s", code, stderr, after)
	}
}

func BenchmarkBulk(b *testing.B) {
	var lines strings.Builder
	for n := range 2000 {
		fmt.Fprintf(&lines, "10.%d.%d.7,host-%05d\n", n/250, n%250, n)
	}
	for b.Loop() {
		root := b.TempDir()
		var out strings.Builder
		if err := os.MkdirAll(filepath.Join(root, "etc"), 0o750); err != nil {
			b.Fatal(err)
		}
		if code := Run(Env{Root: root, Server: true, Args: []string{"-f", "-"}, Stdin: strings.NewReader(lines.String()), Stdout: &out, Stderr: &out}); code != 0 {
			b.Fatal(out.String())
		}
	}
	b.ReportMetric(2000*float64(b.N)/b.Elapsed().Seconds(), "agents/s")
}
