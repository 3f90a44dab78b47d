// Package smalldisk gives tests a real file system that is full after a few bytes.
package smalldisk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const inside = "VEDETTE_TEST_SMALLDISK"

// Run calls f with the directory of an empty file system of size bytes. It runs the test once more, in a process with a user and a mount
// namespace of its own, and f there; what that says becomes the result of this test. The test is skipped where namespaces are not allowed.
func Run(t *testing.T, size int, f func(t *testing.T, dir string)) {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", size)); err != nil {
			fmt.Println("no mounts here:", err)
			os.Exit(notAllowed)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		f(t, dir)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == notAllowed:
		t.Skipf("%s", out)
	case errors.As(err, &exit):
		t.Errorf("on a small disk: %v\n%s", err, out)
	case err != nil:
		t.Skip("no namespaces here: ", err)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
		t.Errorf("on a small disk the test did not run:\n%s", out)
	}
}

// notAllowed is the exit code of a process that could not mount.
const notAllowed = 75

// Fill writes a file into dir until the file system is full. Removing it makes room again.
func Fill(t *testing.T, dir string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "filler")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err = f.Write(block); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal("filling: ", err)
	}
	return file
}
