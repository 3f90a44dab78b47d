//go:build unix

// Package daemon puts a program into the background the way OSSEC's daemons do, but the parent stays until the child says that it is
// ready or why it is not, so that a failed start is visible to the caller (spec operations.md, section 13).
package daemon

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// readyEnv marks the background child; file descriptor 3 is then the pipe to its parent.
const readyEnv = "VEDETTE_BACKGROUND"

const readyWord = "ready"

// IsChild reports whether this process is the background child.
func IsChild() bool { return os.Getenv(readyEnv) == "1" }

// Background starts this program again with the same arguments in a session of its own, without terminal, and waits until it calls
// Ready. The error is what the child wrote to its standard error when it ended instead.
func Background() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("going into the background: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("going into the background: %w", err)
	}
	defer r.Close()
	cmd := exec.Command(self, os.Args[1:]...)
	if filepath.IsAbs(os.Args[0]) {
		cmd.Args[0] = os.Args[0] // a program that plays a role by its name keeps it
	}
	cmd.Env = append(os.Environ(), readyEnv+"=1")
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = w
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("going into the background: %w", err)
	}
	var said []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if lines.Text() == readyWord {
			return cmd.Process.Release()
		}
		said = append(said, lines.Text())
	}
	if err := cmd.Wait(); err == nil && len(said) == 0 {
		return nil // it had nothing to do
	}
	return errors.New(strings.Join(said, "\n"))
}

// Ready tells the waiting parent that the child is up, and lets go of the parent's terminal.
func Ready() error {
	if !IsChild() {
		return nil
	}
	os.Unsetenv(readyEnv)
	pipe := os.NewFile(3, "ready")
	_, err := io.WriteString(pipe, readyWord+"\n")
	err = errors.Join(err, pipe.Close())
	null, oerr := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if oerr != nil {
		return errors.Join(err, oerr)
	}
	defer null.Close()
	for fd := range 3 {
		err = errors.Join(err, dup2(int(null.Fd()), fd))
	}
	return err
}
