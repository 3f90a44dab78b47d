//go:build unix

// Package pidfile keeps var/run/<daemon>-<pid>.pid, by which ossec-control and operators' scripts know what runs (spec operations.md,
// section 3). One Vedette process plays the parts of several OSSEC daemons and writes a file for each part that is up.
package pidfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Dir is where pid files are, below the install root.
func Dir(root string) string { return filepath.Join(root, "var", "run") }

// Write creates the file of a daemon of this process.
func Write(root, daemon string) error {
	pid := os.Getpid()
	path := filepath.Join(Dir(root), fmt.Sprintf("%s-%d.pid", daemon, pid))
	if err := os.WriteFile(path, []byte(strconv.Itoa(pid)+"\n"), 0o640); err != nil {
		return fmt.Errorf("writing pid file: %w", err)
	}
	return nil
}

// Remove deletes the file of a daemon of this process.
func Remove(root, daemon string) error {
	err := os.Remove(filepath.Join(Dir(root), fmt.Sprintf("%s-%d.pid", daemon, os.Getpid())))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Entry is one pid file.
type Entry struct {
	Path string
	PID  int
	Live bool // the process exists and is ours
}

// Find lists the pid files of a daemon.
func Find(root, daemon string) []Entry {
	names, _ := filepath.Glob(filepath.Join(Dir(root), daemon+"-*.pid"))
	var found []Entry
	for _, path := range names {
		text := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), daemon+"-"), ".pid")
		pid, err := strconv.Atoi(text)
		if err != nil {
			continue
		}
		found = append(found, Entry{Path: path, PID: pid, Live: Ours(pid)})
	}
	return found
}

// Ours reports whether pid is a live Vedette (or OSSEC) process, so that a recycled number is not taken for a daemon.
func Ours(pid int) bool {
	if pid <= 0 || syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true // no /proc: the signal has to do
	}
	if i := strings.LastIndexByte(string(stat), ')'); i >= 0 && strings.HasPrefix(string(stat[i:]), ") Z") {
		return false
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return true
	}
	return strings.Contains(string(line), "vedette") || strings.Contains(string(line), "ossec")
}
