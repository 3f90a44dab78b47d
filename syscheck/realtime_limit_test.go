//go:build linux

package syscheck

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vedette-hids/vedette/config"
)

// inUserNamespace runs the test again in a process in a user namespace of its own, whose limits it may set; it reports false in that process.
func inUserNamespace(t *testing.T) bool {
	t.Helper()
	const mark = "SYSCHECK_IN_NAMESPACE"
	if os.Getenv(mark) != "" {
		return false
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Skip("no user namespaces here: ", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return true
}

func TestWatchLimitIsNamedAndScansGoOn(t *testing.T) {
	if inUserNamespace(t) {
		return
	}
	if err := os.WriteFile("/proc/sys/user/max_inotify_watches", []byte("3"), 0); err != nil {
		t.Skip("limits cannot be set here: ", err)
	}
	dir := tree(t)
	for i := range 6 {
		write(t, filepath.Join(dir, fmt.Sprint(i), "f"), "x")
	}
	d := everything(dir)
	d.Realtime = true
	sink := newCollector()
	m, logged := loggedMonitor(t, &config.Syscheck{Frequency: 100000, ScanOnStart: true, Directories: []config.Directory{d}}, sink, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	sink.wait(t, "base line", done)
	sink.take()
	if want := "No space left on device (limit reached: raise the sysctl user.max_inotify_watches, now 3)"; !strings.Contains(logged(), want) {
		t.Errorf("log %q, want %q", logged(), want)
	}
	write(t, filepath.Join(dir, "5", "f"), "not watched, and scanned all the same")
	m.ScanNow()
	sink.wait(t, "scan", done)
	if got := about(sink.take()); len(got) != 1 || !strings.HasSuffix(got[0], " "+dir+"/5/f") {
		t.Errorf("messages: %q", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
