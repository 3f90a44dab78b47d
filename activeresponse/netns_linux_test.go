package activeresponse

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
)

// TestExecutorWithTheRealFirewall runs three responses on one address in a network of its own and waits until all of them are taken back.
func TestExecutorWithTheRealFirewall(t *testing.T) {
	const mark = "VEDETTE_TEST_NETNS"
	if os.Getenv(mark) == "" {
		if os.Geteuid() != 0 {
			t.Skip("needs root for a network namespace")
		}
		for _, prog := range []string{"iptables", "nft", "ip"} {
			if _, err := exec.LookPath(prog); err != nil {
				t.Skipf("needs %s", prog)
			}
		}
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), mark+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		out, err := cmd.CombinedOutput()
		if cmd.Process == nil {
			t.Skipf("no network namespace here: %v", err)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	root := t.TempDir()
	for _, d := range []string{"active-response/bin", "etc/shared", "queue", "logs"} {
		mkdir(t, filepath.Join(root, d))
	}
	names := []string{"firewall-drop", "nftables-drop", "host-deny"}
	var conf strings.Builder
	for _, n := range names {
		conf.WriteString(n + "1 - " + n + ".sh - 1\n")
	}
	put(t, filepath.Join(root, "etc/shared/ar.conf"), conf.String())
	deny := filepath.Join(root, "hosts.deny")
	e := NewExecutor(ExecutorOptions{Root: root, Config: config.ResponseExecutor{HostsDeny: deny}})
	ended := make(chan error, 1)
	go func() { ended <- e.Run(t.Context()) }()
	t.Cleanup(func() { // before the folder goes
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	began := time.Now()
	for _, n := range names {
		e.Submit(event.Response{Name: n + "1", User: "-", IP: "192.0.2.7", AlertID: "1.1", RuleID: "5712", Location: "x", Filename: "-"}) //nolint:errcheck // the queue is empty
	}
	output := func(argv ...string) string {
		out, _ := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		return string(out)
	}
	inForce := func() (n int) {
		for _, text := range []string{output("iptables", "-S", "OSSEC"), output("nft", "list", "set", "inet", "vedette", "blocked4"), readText(deny)} {
			if strings.Contains(text, "192.0.2.7") {
				n++
			}
		}
		return n
	}
	await(t, "all blocks", func() bool { return inForce() == 3 })
	await(t, "the end of all blocks", func() bool { return inForce() == 0 })
	if d := time.Since(began); d < time.Second || d > 10*time.Second {
		t.Errorf("the blocks lasted %s", d)
	}
	await(t, "the empty list", func() bool { return len(e.Blocked()) == 0 })
	log := readText(filepath.Join(root, "logs/active-responses.log"))
	for _, n := range names {
		for _, action := range []string{"add", "delete"} {
			if strings.Count(log, n+".sh "+action+" - 192.0.2.7 1.1 5712\n") != 1 {
				t.Errorf("%s %s is not once in the log:\n%s", n, action, log)
			}
		}
	}
}
