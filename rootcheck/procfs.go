package rootcheck

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listProcesses gives the process ids that /proc lists, sorted.
func listProcesses(proc string) []int { return numbers(proc) }

// numbers gives the entries of a directory that are numbers.
func numbers(dir string) []int {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil && len(names) == 0 {
		return nil
	}
	var out []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil && pid > 0 {
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	return out
}

// processNames gives the command name (at most 15 characters) and the program of a process, "" where they cannot be read.
func processNames(proc string, pid int) (name, exe string) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	comm, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err == nil {
		name = strings.TrimSuffix(string(comm), "\n")
	}
	exe, err = os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		return name, ""
	}
	return name, strings.TrimSuffix(exe, " (deleted)")
}
