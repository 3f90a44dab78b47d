package unittest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadFindsFilesBelowADirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.ini":        "[x]\nlog 1 pass = a line\nrule = 1\n",
		"sub/a.yaml":   "- name: y\n  steps: [{log: b, rule: none}]\n",
		"sub/notes.md": "not a test",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cases, err := Read([]string{dir})
	if err != nil || len(cases) != 2 || cases[0].Name != "x: log 1" || cases[1].Name != "y" {
		t.Errorf("%+v %v", cases, err)
	}
	for _, bad := range []string{filepath.Join(dir, "sub/notes.md"), filepath.Join(dir, "absent"), t.TempDir()} {
		if _, err := Read([]string{bad}); err == nil || !strings.Contains(err.Error(), filepath.Base(bad)) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
