package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/activeresponse"
	"github.com/vedette-hids/vedette/activeresponse/protect"
	"github.com/vedette-hids/vedette/config"
)

// executor runs a real executor that only pretends to block, with its control socket, in a root.
func executor(t *testing.T) (root string) {
	t.Helper()
	root, err := os.MkdirTemp("", "blk") // short: the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	writeFile(t, root, "etc/shared/ar.conf", "restart-ossec0 - restart-ossec.sh - 0\nhost-deny600 - host-deny.sh - 600\n")
	for _, d := range []string{"queue", "active-response/bin", "logs"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	host := protect.NewHost(func() []protect.Entry {
		return []protect.Entry{{Addr: netip.MustParseAddr("192.0.2.1"), Why: "default gateway"}}
	})
	e := activeresponse.NewExecutor(activeresponse.ExecutorOptions{Root: root, Host: host,
		Config: config.ResponseExecutor{DryRun: true, OffenderUnit: time.Minute, MaxBlocks: 10, IPv6Prefix: 128, HostsDeny: filepath.Join(root, "hosts.deny")}})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { defer func() { done <- struct{}{} }(); e.Run(ctx) }() //nolint:errcheck // ends with ctx
	go func() {
		defer func() { done <- struct{}{} }()
		activeresponse.ServeControl(ctx, activeresponse.ControlPath(root), e.Handle)
	}() //nolint:errcheck // ends with ctx
	t.Cleanup(func() { stop(); <-done; <-done })
	return root
}

// vedette runs a command.
func vedette(t *testing.T, root string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	c := call{ctx: t.Context(), name: "vedette", root: root, stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	cmd := rootCommand(&c)
	cmd.SetArgs(append([]string{"-D", root}, args...))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	code = exitCode(cmd.ExecuteContext(t.Context()), &errs)
	return code, out.String(), errs.String()
}

// eventually repeats a command until it succeeds and says what is wanted: the executor works beside the test.
func eventually(t *testing.T, root, want string, args ...string) string {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		code, stdout, stderr := vedette(t, root, args...)
		if code == 0 && strings.Contains(stdout, want) {
			return stdout
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q: %s %s", args, stdout, stderr)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestBlocksAreMadeShownExplainedAndTakenBack(t *testing.T) {
	root := executor(t)
	if out := eventually(t, root, "", "blocked"); out != "Nothing is blocked.\n" {
		t.Errorf("%q", out)
	}
	_, out, _ := vedette(t, root, "block", "host-deny600", "198.51.100.7")
	if fields := strings.Fields(strings.Split(out, "\n")[1]); fields[0] != "198.51.100.7" || fields[1] != "host-deny600" || !slices.Contains(fields, "run)") {
		t.Errorf("%q", out)
	}
	var blocks []activeresponse.Block
	_, out, _ = vedette(t, root, "blocked", "--json")
	if err := json.Unmarshal([]byte(out), &blocks); err != nil || len(blocks) != 1 || blocks[0].Address != "198.51.100.7" {
		t.Errorf("%v %q", err, out)
	}
	out = eventually(t, root, "DECISION", "blocked", "--why", "198.51.100.7")
	if !strings.Contains(out, "host-deny600") {
		t.Errorf("%q", out)
	}
	if code, _, stderr := vedette(t, root, "block", "host-deny600", "192.0.2.1"); code != 1 || !strings.Contains(stderr, "default gateway") {
		t.Errorf("%d %q", code, stderr)
	}
	_, out, _ = vedette(t, root, "blocked", "--why", "192.0.2.1")
	if !strings.Contains(out, "192.0.2.1 is not blocked.\nIt is never blocked: default gateway.\n") {
		t.Errorf("%q", out)
	}
	if code, out, _ := vedette(t, root, "unblock", "198.51.100.7"); code != 0 || out != "198.51.100.7: host-deny600 taken back.\n" {
		t.Errorf("%d %q", code, out)
	}
	if code, out, _ := vedette(t, root, "unblock", "--all", "--json"); code != 0 || strings.TrimSpace(out) != "[]" {
		t.Errorf("%d %q", code, out)
	}
	if code, _, stderr := vedette(t, root, "unblock"); code != 1 || !strings.Contains(stderr, "--all") {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestAges(t *testing.T) {
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "2w": 336 * time.Hour, "90m": 90 * time.Minute, "0s": 0} {
		if got, err := parseAge(text); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "-1h", "30", "1.5d", "99999999d"} {
		if _, err := parseAge(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 59 * time.Second: "59s", 100 * time.Minute: "100m", 47 * time.Hour: "47h", 50 * time.Hour: "2d", -time.Hour: "0s"} {
		if got := span(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}
