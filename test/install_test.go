//go:build linux

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// install is one install root on a host.
type install struct {
	host
	root string
}

// installOn runs `make install` and writes the configuration.
func installOn(h host, role, conf string) install {
	h.t.Helper()
	root := filepath.Join(h.t.TempDir(), role)
	cmd := exec.Command("make", "-s", "-C", "..", "install", "PREFIX="+root, "ROLE="+role)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("make install ROLE=%s: %v\n%s", role, err, out)
	}
	in := install{h, root}
	in.write("etc/ossec.conf", strings.ReplaceAll(conf, "@ROOT@", root))
	return in
}

func (in install) path(p string) string { return filepath.Join(in.root, p) }

func (in install) bin(name string) string { return in.path("bin/" + name) }

func (in install) write(p, text string) {
	in.t.Helper()
	if err := os.WriteFile(in.path(p), []byte(text), 0o640); err != nil {
		in.t.Fatal(err)
	}
}

func (in install) read(p string) string {
	data, err := os.ReadFile(in.path(p))
	if err != nil {
		return ""
	}
	return string(data)
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// eventually polls until ok holds; it fails the test with what it was waiting for, and the ends of the logs.
func (in install) eventually(what string, limit time.Duration, ok func() bool) {
	in.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	in.t.Fatalf("not within %s: %s\n--- ossec.log of %s\n%s\n--- alerts.log\n%s", limit, what, in.root,
		tail(in.read("logs/ossec.log")), tail(in.read("logs/alerts/alerts.log")))
}

func tail(s string) string {
	const n = 6000
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// entries gives the entries of alerts.log that contain every part.
func (in install) entries(parts ...string) []string {
	var found []string
next:
	for _, e := range strings.Split(in.read("logs/alerts/alerts.log"), "** Alert ") {
		for _, p := range parts {
			if !strings.Contains(e, p) {
				continue next
			}
		}
		found = append(found, e)
	}
	return found
}
