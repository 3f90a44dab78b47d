package rootcheck

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// linux asks the running kernel.
type linux struct{ proc string }

func newKernel(proc string) kernel { return &linux{proc} }

const defaultMaxPID = 32768

func (l *linux) maxPID() int {
	data, err := os.ReadFile(filepath.Join(l.proc, "sys", "kernel", "pid_max"))
	if err != nil {
		return defaultMaxPID
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || n < 1 || n > 1<<22 {
		return defaultMaxPID
	}
	return n
}

func (l *linux) path(pid int) string { return l.proc + "/" + strconv.Itoa(pid) }

// exist reads an error as an answer: only "no such process" says that there is none.
func exist(err error) bool { return !errors.Is(err, unix.ESRCH) }

func (l *linux) ask(pid int) answers {
	var a answers
	a.kill = exist(unix.Kill(pid, 0))
	_, err := unix.Getsid(pid)
	a.getsid = exist(err)
	_, err = unix.Getpgid(pid)
	a.getpgid = exist(err)
	path := l.path(pid)
	var st unix.Stat_t
	a.stat = unix.Stat(path, &st) == nil
	if fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|openFlags, 0); err == nil {
		unix.Close(fd)
		a.open = true
	}
	return a
}

func (l *linux) listed() map[int]bool {
	pids := listProcesses(l.proc)
	m := make(map[int]bool, len(pids))
	for _, p := range pids {
		m[p] = true
	}
	return m
}

// isThread asks the id's own status first, then, in case that is hidden, all processes for their threads.
func (l *linux) isThread(pid int) bool {
	status, err := os.ReadFile(l.path(pid) + "/status")
	if err == nil {
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "Tgid:"); ok {
				leader, err := strconv.Atoi(strings.TrimSpace(rest))
				return err == nil && leader != pid
			}
		}
	}
	for _, p := range listProcesses(l.proc) {
		var st unix.Stat_t
		if p != pid && unix.Stat(l.path(p)+"/task/"+strconv.Itoa(pid), &st) == nil {
			return true
		}
	}
	return false
}

type pidfd int

func (l *linux) pin(pid int) (pinned, bool) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, false
	}
	return pidfd(fd), true
}

func (p pidfd) alive() bool { return exist(unix.PidfdSendSignal(int(p), 0, nil, 0)) }
func (p pidfd) release()    { unix.Close(int(p)) }
