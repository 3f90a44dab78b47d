package authd

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/keys/enroll"
	"github.com/vedette-hids/vedette/keys/enroll/agentauth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func root(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"etc", "logs", "var/run"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// session starts the server, lets agent-auth ask once, and stops it.
func session(t *testing.T, dir string, args []string, auth ...string) (stdout, log string, code int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan net.Addr, 1), make(chan int, 1)
	var errs strings.Builder
	go func() {
		done <- Run(ctx, Env{Root: dir, Args: append([]string{"-p", "0"}, args...), Stderr: &errs, Ready: func(a net.Addr) { ready <- a }})
	}()
	agent := root(t, nil)
	var out strings.Builder
	select {
	case a := <-ready:
		_, port, err := net.SplitHostPort(a.String())
		if err != nil {
			t.Fatal(err)
		}
		code = agentauth.Run(ctx, agentauth.Env{Root: agent, Args: append([]string{"-m", "127.0.0.1", "-p", port, "-A", "web-01"}, auth...), Stdout: &out, Stderr: &errs})
		cancel()
		if c := <-done; c != 0 {
			t.Errorf("server ended with %d", c)
		}
	case c := <-done:
		code = c
	}
	cancel()
	b, _ := os.ReadFile(filepath.Join(dir, "logs", "ossec.log"))
	return out.String(), string(b), code
}

func TestPasswordOfTheFileIsAsked(t *testing.T) {
	dir := root(t, map[string]string{"etc/authd.pass": "two words\nignored\n"})
	pw := filepath.Join(dir, "pw")
	if err := os.WriteFile(pw, []byte("two words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, log, code := session(t, dir, nil, "-P", pw, "-v", filepath.Join(dir, "etc", "sslmanager.cert"))
	if code != 0 || !strings.Contains(log, "INFO: Made a self-signed certificate: ") || !strings.Contains(log, "INFO: Accepting connections. Using password specified on file: "+dir+"/etc/authd.pass") {
		t.Errorf("%d\n%s\n%s", code, stdout, log)
	}
	if _, _, code := session(t, dir, nil); code != 1 {
		t.Error("a key without password")
	}
	st, err := os.Stat(filepath.Join(dir, "etc", "sslmanager.key"))
	if err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

func TestRandomPasswordIsNotLogged(t *testing.T) {
	dir := root(t, nil)
	_, log, code := session(t, dir, nil)
	b, err := os.ReadFile(filepath.Join(dir, enroll.RandomFile))
	if err != nil || len(b) != 33 || code != 1 || strings.Contains(log, string(b[:32])) {
		t.Errorf("%q, %v, %d, %s", b, err, code, log)
	}
	if _, log, _ = session(t, dir, []string{"-d"}); !strings.Contains(log, "Random password chosen for agent authentication: ") {
		t.Error(log)
	}
}

func TestWithoutPassword(t *testing.T) {
	dir := root(t, nil)
	stdout, log, code := session(t, dir, []string{"-n", "-i"})
	b, _ := os.ReadFile(filepath.Join(dir, "etc", "client.keys"))
	if code != 0 || !strings.HasPrefix(string(b), "1024 web-01 127.0.0.1 ") || !strings.Contains(log, "No password required (not recommended)") {
		t.Errorf("%d\n%s\n%s\n%s", code, stdout, log, b)
	}
}

func TestWeakPasswordRefusesToStart(t *testing.T) {
	for _, text := range []string{"\n", "x\n", "x"} {
		_, log, code := session(t, root(t, map[string]string{"etc/authd.pass": text}), nil)
		if code != 1 || !strings.Contains(log, "password of fewer than 2 characters") {
			t.Errorf("%q: %d, %s", text, code, log)
		}
	}
}

func TestMissingCertificate(t *testing.T) {
	dir := root(t, nil)
	_, log, code := session(t, dir, []string{"-x", "/nonexistent.cert", "-k", "/nonexistent.key"})
	if code != 1 || !strings.Contains(log, "ERROR: Unable to read certificate file (not found): /nonexistent.cert\n") || !strings.Contains(log, "ERROR: SSL error. Exiting.") {
		t.Errorf("%d, %s", code, log)
	}
}

// TestNewAgentTakesThePlaceOfASilentOne with -F: what was known of the old one is kept, its key is worth nothing.
func TestNewAgentTakesThePlaceOfASilentOne(t *testing.T) {
	for seconds, want := range map[string]string{
		"3600": "001 web-01 any k\n1024 web-012 any ", // it was heard just now
		"0":    "001 " + keys.RemovedMark + "\n1024 web-01 any ",
	} {
		dir := root(t, map[string]string{"etc/client.keys": "001 web-01 any k\n"})
		for _, d := range []string{"queue/agent-info", "queue/rids", "backup/agents"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o750); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "queue/agent-info/web-01-any"), []byte("Linux\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		_, log, code := session(t, dir, []string{"-n", "-F", seconds})
		b, _ := os.ReadFile(filepath.Join(dir, "etc", "client.keys"))
		if code != 0 || !strings.HasPrefix(string(b), want) {
			t.Errorf("%s: %d, %q\n%s", seconds, code, b, log)
		}
		kept, _ := filepath.Glob(filepath.Join(dir, "backup/agents/web-01-any-*/agent-info"))
		if len(kept) == 1 != (seconds == "0") {
			t.Errorf("%s: backup %v", seconds, kept)
		}
	}
}

func TestPIDFileWhileItRuns(t *testing.T) {
	dir := root(t, nil)
	files := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "var", "run", "ossec-authd-*.pid"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	ctx, cancel := context.WithCancel(t.Context())
	var errs strings.Builder
	var running []string
	code := Run(ctx, Env{Root: dir, Args: []string{"-n", "-p", "0"}, Stderr: &errs, Ready: func(net.Addr) { running = files(); cancel() }})
	if code != 0 || len(running) != 1 || len(files()) != 0 {
		t.Errorf("exit %d, %q while running, %q afterwards\n%s", code, running, files(), errs.String())
	}
}

func TestDebugLevelOfInternalOptions(t *testing.T) {
	dir := root(t, nil)
	for level, want := range []int{0, 1} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int, 1)
		ready := make(chan net.Addr, 1)
		var errs strings.Builder
		go func() {
			done <- Run(ctx, Env{Root: dir, Args: []string{"-n", "-p", "0"}, Debug: level, Stderr: &errs, Ready: func(a net.Addr) { ready <- a }})
		}()
		_, port, err := net.SplitHostPort((<-ready).String())
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if code := agentauth.Run(ctx, agentauth.Env{Root: root(t, nil), Args: []string{"-m", "127.0.0.1", "-p", port, "-A", "web-01"}, Stdout: &out, Stderr: &out}); code != 0 {
			t.Error(out.String())
		}
		cancel()
		<-done
		log, err := os.ReadFile(filepath.Join(dir, "logs", "ossec.log"))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(log), "ossec-authd: DEBUG: Connection from 127.0.0.1: TLS 1.3, "); n != want {
			t.Errorf("level %d: %d lines in\n%s", level, n, log)
		}
	}
}
