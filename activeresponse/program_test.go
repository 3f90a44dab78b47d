//go:build linux

package activeresponse

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/activeresponse/responders"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestProgramsGetArgumentsNotAShellLine(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	path := filepath.Join(dir, "show.sh")
	script(t, path, "#!/bin/sh\nexec >"+out+"\nfor a in \"$@\"; do printf '%s\\n' \"$a\"; done\npwd\nenv | sort\nif read x; then echo input; fi\n")
	t.Setenv("SECRET", "leaked")
	t.Setenv("TZ", "UTC")
	args := []string{"add", "-", "1.2.3.4", "$(id)", "a b", "`x`;|&", ""}
	o := start(t.Context(), append([]string{path}, args...), false)
	if o.err != nil || o.exit != 0 || o.pid == 0 {
		t.Fatalf("%+v", o)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(got), "\n")
	if !slices.Equal(lines[:len(args)], args) {
		t.Errorf("arguments %q", lines[:len(args)])
	}
	if lines[len(args)] != "/" {
		t.Errorf("working directory %q", lines[len(args)])
	}
	env := strings.Join(lines[len(args)+1:], "\n")
	if strings.Contains(env, "SECRET") || !strings.Contains(env, "LC_ALL=C\n") || !strings.Contains(env, "PATH=/") || strings.Contains(env, "input") {
		t.Errorf("environment and input:\n%s", env)
	}
}

func TestTimeLimitKillsAProgramAndItsChildren(t *testing.T) {
	dir := t.TempDir()
	path, pidFile := filepath.Join(dir, "hang.sh"), filepath.Join(dir, "pid")
	script(t, path, "#!/bin/sh\nsleep 600 &\necho $! >"+pidFile+".new; mv "+pidFile+".new "+pidFile+"\nwait\n")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for {
			if _, err := os.Stat(pidFile); err == nil {
				cancel(errors.New("time is over"))
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	o := start(ctx, []string{path}, false)
	if o.err == nil || !strings.Contains(o.err.Error(), "time is over") {
		t.Errorf("%+v", o)
	}
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the child", func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func TestExitStatusAndOutputAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fail.sh")
	script(t, path, "#!/bin/sh\necho 'no such set' >&2\nexit 3\n")
	if o := start(t.Context(), []string{path}, false); o.exit != 3 || o.output != "no such set" || o.err != nil {
		t.Errorf("%+v", o)
	}
	var se *startError
	if o := start(t.Context(), []string{path + ".absent"}, false); !errors.As(o.err, &se) || !errors.Is(o.err, fs.ErrNotExist) {
		t.Errorf("%+v", o)
	}
}

func TestWhichProgramANameStandsFor(t *testing.T) {
	root := t.TempDir()
	bin := filepath.Join(root, "active-response", "bin")
	mkdir(t, bin)
	mkdir(t, filepath.Join(root, "bin"))
	script(t, filepath.Join(root, "bin", "vedette"), "x")
	script(t, filepath.Join(root, "outside.sh"), "x")
	script(t, filepath.Join(bin, "custom.sh"), "x")
	script(t, filepath.Join(bin, "route-null.sh"), "x") // the operator's own takes precedence
	script(t, filepath.Join(bin, "open.sh"), "x")
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("../../bin/vedette", "host-deny.sh")
	link("../../outside.sh", "out.sh")
	link("custom.sh", "alias.sh")
	link("../../bin/vedette", "unknown.sh")
	link("nowhere", "dangling.sh")
	mkdir(t, filepath.Join(bin, "dir.sh"))
	if err := os.Chmod(filepath.Join(bin, "open.sh"), 0o777); err != nil {
		t.Fatal(err)
	}
	r := &resolver{bin: bin, own: []string{filepath.Join(root, "bin", "vedette")}, builtin: responders.Lookup}
	for name, want := range map[string]string{
		"host-deny.sh": "compiled in", "firewall-drop.sh": "compiled in", "./firewall-drop.sh": "compiled in", "custom.sh": "file", "./custom.sh": "file",
		"alias.sh": "file", "route-null.sh": "file", "open.sh": "can be changed by others", "out.sh": "leads out of", "unknown.sh": "leads out of",
		"dangling.sh": "no such file", "absent.sh": "no such file", "dir.sh": "not a regular file", "": "not a file name", "..": "not a file name",
		"a/custom.sh": "not a file name", "../bin/custom.sh": "not a file name", "/bin/sh": "not a file name",
	} {
		got := "file"
		p, err := r.resolve(name)
		if err != nil {
			got = err.Error()
		} else if p.builtin != nil {
			got = "compiled in"
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// TestKilledProgramTakesItsBlocksBackAtTheNextStart kills a real process with a block in force and starts the next one.
func TestKilledProgramTakesItsBlocksBackAtTheNextStart(t *testing.T) {
	const mark = "VEDETTE_TEST_EXECUTOR"
	if root := os.Getenv(mark); root != "" {
		runRealExecutor(t, root)
		return
	}
	root := t.TempDir()
	for _, d := range []string{"active-response/bin", "etc/shared", "queue", "logs"} {
		mkdir(t, filepath.Join(root, d))
	}
	put(t, filepath.Join(root, "etc/shared/ar.conf"), "host-deny1 - host-deny.sh - 1\n")
	child := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), mark+"="+root)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	deny := filepath.Join(root, "hosts.deny")
	first := child()
	await(t, "the block", func() bool { return readText(deny) == "ALL:192.0.2.7\n" })
	began := time.Now()
	first.Process.Kill()
	first.Wait() //nolint:errcheck // it was killed
	if got := readText(deny); got != "ALL:192.0.2.7\n" {
		t.Fatalf("hosts.deny after the kill: %q", got)
	}
	put(t, filepath.Join(root, "second"), "")
	second := child()
	await(t, "the end of the block", func() bool { return readText(deny) == "" })
	if d := time.Since(began); d < 900*time.Millisecond {
		t.Errorf("the block ended after %s", d)
	}
	second.Process.Kill()
	second.Wait() //nolint:errcheck // it was killed
}

// runRealExecutor runs until it is killed. The first process blocks an address.
func runRealExecutor(t *testing.T, root string) {
	e := NewExecutor(ExecutorOptions{Root: root, Config: config.ResponseExecutor{HostsDeny: filepath.Join(root, "hosts.deny")}})
	if _, err := os.Stat(filepath.Join(root, "second")); err != nil {
		e.Submit(event.Response{Name: "host-deny1", User: "-", IP: "192.0.2.7", AlertID: "1.1", RuleID: "5712", Location: "x", Filename: "-"})
	}
	e.Run(t.Context()) //nolint:errcheck // ends by SIGKILL
}

func readText(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not come", what)
}

func TestControlSocket(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"active-response/bin", "etc/shared", "queue", "logs"} {
		mkdir(t, filepath.Join(root, d))
	}
	put(t, filepath.Join(root, "etc/shared/ar.conf"), "host-deny600 - host-deny.sh - 600\n")
	ctx, cancel := context.WithCancel(t.Context())
	e := NewExecutor(ExecutorOptions{Root: root, Config: config.ResponseExecutor{HostsDeny: filepath.Join(root, "hosts.deny")},
		Log: olog.New("", nil).Prog("ossec-execd")})
	ended := make(chan error, 2)
	go func() { ended <- e.Run(ctx) }()
	go func() { ended <- ServeControl(ctx, ControlPath(root), e.Handle) }()
	ask := func(q ControlRequest) ControlReply {
		t.Helper()
		r, err := Control(t.Context(), ControlPath(root), q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		return r
	}
	await(t, "the socket", func() bool {
		_, err := Control(t.Context(), ControlPath(root), ControlRequest{Do: "blocked"})
		return err == nil
	})
	await(t, "the executor", func() bool {
		_, err := Control(t.Context(), ControlPath(root), ControlRequest{Do: "block", Name: "host-deny600", Who: "192.0.2.7"})
		return err == nil
	})
	if got := ask(ControlRequest{Do: "blocked"}); len(got.Blocks) != 1 || got.Blocks[0].Address != "192.0.2.7" || got.Blocks[0].TimeLeft(got.Now) <= 0 {
		t.Errorf("blocked: %+v", got)
	}
	if _, err := Control(t.Context(), ControlPath(root), ControlRequest{Do: "block", Name: "host-deny600", Who: "127.0.0.1"}); err == nil ||
		!strings.Contains(err.Error(), "loopback") {
		t.Errorf("loopback: %v", err)
	}
	if _, err := Control(t.Context(), ControlPath(root), ControlRequest{Do: "dance"}); err == nil {
		t.Error("unknown request was accepted")
	}
	if got := ask(ControlRequest{Do: "unblock", Who: "192.0.2.7"}); len(got.Blocks) != 1 || readText(filepath.Join(root, "hosts.deny")) != "" {
		t.Errorf("unblock: %+v", got)
	}
	if got := ask(ControlRequest{Do: "why", Who: "192.0.2.7"}); len(got.Records) != 2 || got.Records[1].Reason != "an operator took it back" {
		t.Errorf("why: %+v", got.Records)
	}
	if st, err := os.Stat(ControlPath(root)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", st.Mode(), err)
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
