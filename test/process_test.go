//go:build linux

package test

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// digest gives the hexadecimal sum that an alert shows.
func digest(kind, text string) string {
	switch kind {
	case "md5":
		return fmt.Sprintf("%x", md5.Sum([]byte(text)))
	case "sha1":
		return fmt.Sprintf("%x", sha1.Sum([]byte(text)))
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
}

// pidsOf reads the process numbers from the pid files of an install.
func pidsOf(in install) map[string]bool {
	pids := map[string]bool{}
	files, _ := filepath.Glob(in.path("var/run/*.pid"))
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil {
			pids[strings.TrimSpace(string(data))] = true
		}
	}
	return pids
}

// alive tells whether a process runs. One that ended and was not yet collected by its parent does not.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z")
}

// kill ends the processes of an install without a chance to clean up.
func kill(t *testing.T, in install) {
	t.Helper()
	for text := range pidsOf(in) {
		pid, err := strconv.Atoi(text)
		if err != nil || pid < 2 {
			t.Fatalf("pid file with %q", text)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatalf("killing %d: %v", pid, err)
		}
		in.eventually("the killed process has gone", 10*time.Second, func() bool { return !alive(text) })
	}
}

// stopInstall stops what a failed test may have left running.
func stopInstall(in install) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	in.command(ctx, in.bin("ossec-control"), "stop").Run()
}
