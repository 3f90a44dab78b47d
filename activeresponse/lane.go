package activeresponse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/activeresponse/responders"
)

// action is what a task does.
type action uint8

const (
	doAdd action = iota
	doDelete
	doProlong // add again, for responders whose blocks the kernel forgets by itself
)

func (a action) verb() string {
	if a == doDelete {
		return "delete"
	}
	return "add"
}

// task is one run of a program.
type task struct {
	do     action
	key    string
	prog   program
	exe    string
	pieces []string
	resp   string        // name of the response
	block  *block        // nil: nothing to take back later
	left   time.Duration // of the block, 0 = for ever
	bits   int           // Block.IPv6Prefix
	dry    bool

	note    string // result
	err     error
	refused bool // the responder did nothing and there is nothing to take back
}

func (t *task) args() []string { return append([]string{t.do.verb()}, t.pieces...) }

// lane runs the tasks of one program: a few at a time, never two of the same key, those of a key in their order. A program that hangs
// holds up only its own lane.
type lane struct {
	waiting []*task
	busy    map[string]bool
}

func (l *lane) next(limit int) *task {
	if len(l.busy) >= limit {
		return nil
	}
	held := map[string]bool{}
	for i, t := range l.waiting {
		if l.busy[t.key] || held[t.key] {
			held[t.key] = true
			continue
		}
		l.waiting = append(l.waiting[:i:i], l.waiting[i+1:]...)
		l.busy[t.key] = true
		return t
	}
	return nil
}

// push queues a task and starts what may start. The caller holds the lock.
func (e *Executor) push(t *task) {
	l := e.lanes[t.prog.path]
	if l == nil {
		l = &lane{busy: map[string]bool{}}
		e.lanes[t.prog.path] = l
	}
	l.waiting = append(l.waiting, t)
	e.pump(t.prog.path, l)
}

func (e *Executor) pump(path string, l *lane) {
	limit := e.o.Concurrency
	if len(l.waiting) > 0 {
		if b := l.waiting[0].prog.builtin; b != nil && b.Subject != responders.Nothing {
			limit = 1 // they change one file or one table, and would only wait for each other
		}
	}
	for t := l.next(limit); t != nil; t = l.next(limit) {
		e.inFlight++
		dead := e.dead
		go func() {
			e.perform(t)
			select {
			case e.finished <- t:
			case <-dead:
			}
		}()
	}
	if len(l.busy) == 0 && len(l.waiting) == 0 {
		delete(e.lanes, path)
	}
}

// queued is how many runs wait for their turn.
func (e *Executor) queued() (n int) {
	for _, l := range e.lanes {
		n += len(l.waiting)
	}
	return n
}

// perform carries a task out. It runs in its own goroutine and touches nothing but the task.
func (e *Executor) perform(t *task) {
	defer func() {
		if r := recover(); r != nil {
			t.err = fmt.Errorf("panic: %v", r)
		}
	}()
	if t.dry {
		t.note = "dry run, nothing was done"
		return
	}
	limit := fmt.Errorf("the time limit of %s passed", e.o.RunTimeout)
	ctx, cancel := context.WithTimeoutCause(context.Background(), e.o.RunTimeout, limit)
	defer cancel()
	if t.prog.builtin != nil {
		res := t.prog.builtin.Respond(ctx, e.env, responders.Call{Script: t.prog.path, Args: t.args(), Timeout: t.left, IPv6Prefix: t.bits})
		t.note, t.err, t.refused = res.Note, res.Err, res.Refused
		return
	}
	out := e.start(ctx, append([]string{t.prog.path}, t.args()...), t.exe == "restart-ossec.sh")
	t.note, t.err = fmt.Sprintf("pid %d, exit status %d", out.pid, out.exit), out.err
	if out.output != "" {
		t.note += ": " + out.output
	}
}

// report writes the line about a run that is over.
func (e *Executor) report(t *task) {
	what := t.exe + " " + strings.Join(t.args()[:3], " ")
	var se *startError
	switch {
	case errors.As(t.err, &se):
		e.log.Code(1312, "ERROR", "Error executing '%s': %s", t.prog.path, cause(se.err))
	case t.err != nil:
		e.log.Error("Response %s: %s: %v", t.resp, what, t.err)
	default:
		e.log.Info("Response %s: %s: %s.", t.resp, what, t.note)
	}
}
