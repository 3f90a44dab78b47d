package responders

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// inOwnNetwork runs the calling test again in a child that has a network namespace of its own, and ends the test with the result. In the
// child it returns true, and the test does its work; else the caller returns.
func inOwnNetwork(t *testing.T) (child bool) {
	t.Helper()
	const mark = "VEDETTE_TEST_NETNS"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	for _, prog := range []string{"iptables", "ip6tables", "nft", "ip"} {
		if _, err := exec.LookPath(prog); err != nil {
			t.Skipf("needs %s", prog)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if cmd.Process == nil {
		t.Skipf("no network namespace here: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}
