package rootcheck

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/config"
)

// corpusDir holds OSSEC's own databases and policies, which are used in place.
func corpusDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("VEDETTE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	dir = filepath.Join(dir, "corpus", "ossec-4.3.0", "rootcheck")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("%v; set VEDETTE_CORPUS", err)
	}
	return dir
}

// TestStockFilesLoad reads what users of OSSEC have: all of it is understood.
func TestStockFilesLoad(t *testing.T) {
	dir := corpusDir(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	policies := 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_rcl.txt") {
			checkPolicy(t, filepath.Join(dir, e.Name()), 10)
			policies++
		}
	}
	if policies == 0 {
		t.Error("no policies")
	}
	checkDatabases(t, dir, 100, 30)
}

// checkPolicy loads a policy that has no errors, and runs it on this host.
func checkPolicy(t *testing.T, path string, atLeast int) {
	t.Helper()
	text, err := readDatabase(path)
	if err != nil {
		t.Fatal(err)
	}
	p, problems := parsePolicy(text)
	for _, b := range problems {
		t.Errorf("%s:%d: %s", path, b.line, b.text)
	}
	if len(p.entries) < atLeast {
		t.Errorf("%s: %d entries", path, len(p.entries))
	}
	for _, e := range p.entries {
		if len(e.tests) == 0 {
			t.Errorf("%s:%d: entry without tests", path, e.line)
		}
	}
	_, lines := scan(t, &config.Rootcheck{CheckUnixAudit: true, SystemAudit: []string{path}}, Options{})
	for _, l := range lines {
		if strings.Contains(l, "ERROR") {
			t.Errorf("%s: %s", path, l)
		}
	}
}

func checkDatabases(t *testing.T, dir string, files, trojans int) {
	t.Helper()
	text, err := readDatabase(filepath.Join(dir, "rootkit_files.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(parseRootkitFiles(text)); n < files {
		t.Errorf("%s: %d files", dir, n)
	}
	if text, err = readDatabase(filepath.Join(dir, "rootkit_trojans.txt")); err != nil {
		t.Fatal(err)
	}
	list := parseTrojans(text)
	if len(list) < trojans {
		t.Errorf("%s: %d trojans", dir, len(list))
	}
	for _, tr := range list {
		if _, err := regexp.CompilePOSIX(tr.pattern); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
