package makelists

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/vectors"
	"github.com/vedette-hids/vedette/rules/list"
)

func install(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/test.conf": "<ossec_config><rules><list>lists/t</list><include>not_there.xml</include></rules></ossec_config>",
		"lists/t":       "a:1\nb:2\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestToolOutputs(t *testing.T) {
	all := vectors.ToolRuns(t, program)
	root := install(t)
	t.Chdir(root) // -c is a path of the caller's
	if len(all) != 7 {
		t.Fatalf("%d cases", len(all))
	}
	for _, r := range all {
		var out, errs bytes.Buffer
		code := Run(root, "/var/ossec/bin/ossec-makelists", r.Cmd[1:], &out, &errs)
		want, _, free := strings.Cut(strings.NewReplacer(" - OSSEC Foundation\n", " - ", "<USAGE>\n", "\x00").Replace(r.Stderr), "\x00")
		want, _, licence := strings.Cut(want, " \n<LICENSE>\n")
		got := errs.String()
		if code != r.Exit || out.String() != r.Stdout || !strings.HasPrefix(got, want) || (!free && !licence && got != want) {
			t.Errorf("%s: exit %d %q %q, want %d %q %q", r.ID, code, out.String(), got, r.Exit, r.Stdout, want)
		}
	}
	db, err := list.Load(root, "lists/t")
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := db.Get("b"); !ok || v != "2" {
		t.Errorf("%q %v", v, ok)
	}
}

func TestMissingListIsAnError(t *testing.T) {
	root := install(t)
	if err := os.Remove(filepath.Join(root, "lists/t")); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := Run(root, program, []string{"-c", filepath.Join(root, "etc/test.conf")}, &out, &errs); code != 1 || !strings.Contains(errs.String(), "lists/t") {
		t.Errorf("exit %d %q", code, errs.String())
	}
}
