package rootcheck

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kernel is what can be asked about processes.
type kernel interface {
	maxPID() int
	ask(pid int) answers        // in all ways but the listing
	listed() map[int]bool       // what a listing of /proc shows
	isThread(pid int) bool      // the id is that of a thread that does not lead its process
	pin(pid int) (pinned, bool) // holds on to the process that has the id now
}

// pinned is a process that cannot be mistaken for another with the same id.
type pinned interface {
	alive() bool
	release()
}

// answers are what the ways of asking for one process say.
type answers struct {
	kill, getsid, getpgid bool // system calls
	stat, open            bool // of /proc/PID
	listed                bool // in a listing of /proc
}

func (a answers) none() bool { return a == answers{} }

// zombie reports whether the process has ended and waits for its parent, as kill still knows it.
func (a answers) zombie() bool { return a.kill && !a.getsid && !a.getpgid }

// agree reports whether nothing is hidden.
func (a answers) agree() bool {
	return a.kill && a.getsid && a.getpgid && a.stat && a.open && a.listed
}

const (
	maxHidden  = 15   // findings before the check gives up
	sweepPause = 2048 // process ids between two short pauses
)

// checkPids looks for processes that some interfaces of the kernel show and others do not (spec section 8). The sweep over all ids only
// finds suspects: on a busy host most of them are processes that started or ended during the sweep. Each one is then looked at twice more,
// and is reported only if both looks see the same while the process lives.
func (s *Scanner) checkPids(ctx context.Context) error {
	k := s.o.kernel
	if k == nil {
		return nil // no such check on this system
	}
	if a := k.ask(1); a.kill && !a.stat {
		s.log.Warn("Processes are not checked: the processes of others are not visible to this one.")
		return nil
	}
	suspects, err := s.sweep(ctx, k)
	if err != nil {
		return err
	}
	found := 0
	for _, pid := range suspects {
		text, err := s.confirm(ctx, k, pid)
		if err != nil {
			return err
		}
		if text == "" {
			continue
		}
		if done, err := s.hiddenProcess(ctx, &found, text); done || err != nil {
			return err
		}
	}
	return s.checkPS(ctx, k, &found)
}

// hiddenProcess sends a finding; done is true when there are too many.
func (s *Scanner) hiddenProcess(ctx context.Context, found *int, text string) (done bool, err error) {
	if *found++; *found > maxHidden {
		return true, s.report(ctx, "Excessive number of hidden processes. It maybe a false-positive or something really bad is going on.")
	}
	return false, s.report(ctx, "%s", text)
}

// sweep asks for every possible process id.
func (s *Scanner) sweep(ctx context.Context, k kernel) (suspects []int, err error) {
	own := os.Getpid()
	listed := k.listed()
	limit := k.maxPID()
	for pid := range listed {
		limit = max(limit, pid)
	}
	for pid := 1; pid <= limit; pid++ {
		if pid%sweepPause == 0 {
			if err := s.pause(ctx, time.Millisecond); err != nil {
				return nil, err
			}
			listed = k.listed()
		}
		a := k.ask(pid)
		a.listed = listed[pid]
		if pid == own || a.none() || a.agree() || a.stat && !a.listed && k.isThread(pid) {
			continue
		}
		suspects = append(suspects, pid)
	}
	return suspects, nil
}

// confirm looks at a suspect twice more, at different moments, and gives the text of the finding, "" when there is none.
func (s *Scanner) confirm(ctx context.Context, k kernel, pid int) (string, error) {
	text := ""
	for look := range 2 {
		if err := s.pause(ctx, s.o.Sleep); err != nil {
			return "", err
		}
		now := judge(k, pid)
		if now == "" || look > 0 && now != text {
			return "", nil
		}
		text = now
	}
	return text, nil
}

// judge asks twice in a row and compares. Both times the answers have to be those of one living process: a pin tells that when the kernel
// gives one, else the second answers do.
func judge(k kernel, pid int) string {
	p, ok := k.pin(pid)
	if ok {
		defer p.release()
	}
	first := k.ask(pid)
	first.listed = k.listed()[pid]
	second := k.ask(pid)
	second.listed = k.listed()[pid]
	last := k.ask(pid)
	switch {
	case second.none() || last.none() || ok && !p.alive():
		return "" // it has ended
	case second.zombie() || last.zombie() || first.agree() || second.agree():
		return ""
	case last.kill != second.kill || last.getsid != second.getsid || last.getpgid != second.getpgid || last.stat != second.stat:
		return "" // it is just starting or ending
	}
	return describe(k, pid, first, second)
}

func describe(k kernel, pid int, first, second answers) string {
	n := strconv.Itoa(pid)
	switch {
	case first.kill == second.kill && first.getsid == second.getsid && first.kill != first.getsid:
		return "Process '" + n + "' hidden from kill (" + digit(first.kill) + ") or getsid (" + digit(first.getsid) + "). Possible kernel-level rootkit."
	case second.kill != second.getsid || second.kill != second.getpgid:
		return "Process '" + n + "' hidden from kill (" + digit(second.kill) + "), getsid (" + digit(second.getsid) + ") or getpgid. Possible kernel-level rootkit."
	case (second.stat != second.listed || second.stat != second.open || second.stat != second.kill) && !k.isThread(pid):
		return "Process '" + n + "' hidden from /proc. Possible kernel level rootkit."
	}
	return ""
}

func digit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// checkPS compares what ps lists with the processes that live before and after it runs. A ps that fails or lists nothing proves nothing.
func (s *Scanner) checkPS(ctx context.Context, k kernel, found *int) error {
	missing, err := s.missingInPS(ctx, k)
	if err != nil || len(missing) == 0 {
		return err
	}
	if err := s.pause(ctx, s.o.Sleep); err != nil {
		return err
	}
	again, err := s.missingInPS(ctx, k)
	if err != nil {
		return err
	}
	for _, pid := range missing {
		if !slices.Contains(again, pid) {
			continue
		}
		text := "Process '" + strconv.Itoa(pid) + "' hidden from ps. Possible trojaned version installed."
		if done, err := s.hiddenProcess(ctx, found, text); done || err != nil {
			return err
		}
	}
	return nil
}

func (s *Scanner) missingInPS(ctx context.Context, k kernel) ([]int, error) {
	before := k.listed()
	out, err := s.o.run(ctx, "ps", "-e", "-o", "pid=")
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	shown := make(map[int]bool)
	for word := range strings.FieldsSeq(out) {
		if pid, err := strconv.Atoi(word); err == nil {
			shown[pid] = true
		}
	}
	if err != nil || len(shown) == 0 {
		s.log.Debug("ps gives no list of processes: %v", err)
		return nil, nil
	}
	after := k.listed()
	var missing []int
	for pid := range before {
		if a := k.ask(pid); after[pid] && !shown[pid] && a.kill && a.getsid {
			missing = append(missing, pid)
		}
	}
	slices.Sort(missing)
	return missing, nil
}
