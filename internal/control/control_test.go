//go:build unix

package control

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/vectors"
)

// records are the runs without those of a cycle, which ran real daemons: the end-to-end test covers those.
func records(t *testing.T) []vectors.ToolRun {
	t.Helper()
	all := slices.DeleteFunc(vectors.ToolRuns(t, "ossec-control"), func(r vectors.ToolRun) bool { return r.Cycle })
	if len(all) < 15 {
		t.Fatalf("only %d records", len(all))
	}
	return all
}

func TestRecordedRuns(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"bin", "etc", "var/run", "queue/ossec"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range records(t) {
		typ := "server"
		if strings.Contains(r.Note, "agent") {
			typ = "agent"
		}
		var out bytes.Buffer
		code := Run(t.Context(), Env{Root: root, Self: "/var/ossec/bin/ossec-control", Type: typ, Stdout: &out, Stderr: &out}, r.Cmd[1:])
		if code != r.Exit || out.String() != r.Stdout {
			t.Errorf("%s %v: exit %d, want %d\n got %q\nwant %q", r.ID, r.Cmd, code, r.Exit, out.String(), r.Stdout)
		}
		for path, want := range r.FilesAfter {
			got, err := os.ReadFile(filepath.Join(root, path))
			if want == nil {
				if err == nil {
					t.Errorf("%s: %s exists", r.ID, path)
				}
			} else if string(got) != *want {
				t.Errorf("%s: %s\n got %q\nwant %q", r.ID, path, got, *want)
			}
		}
	}
}

func TestStalePIDFilesAreRemoved(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "var/run"), 0o755); err != nil {
		t.Fatal(err)
	}
	// A process that exists but is none of ours.
	path := filepath.Join(root, "var/run", "ossec-analysisd-1.pid")
	if err := os.WriteFile(path, []byte("1\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	Run(t.Context(), Env{Root: root, Type: "server", Stdout: &out, Stderr: &out}, []string{"status"})
	if !strings.Contains(out.String(), "ossec-analysisd: Process 1 not used by ossec, removing ..\nossec-analysisd not running...\n") {
		t.Errorf("status: %q", out.String())
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the stale file is still there")
	}
}
