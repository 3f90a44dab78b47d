package activeresponse

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/activeresponse/protect"
	"github.com/vedette-hids/vedette/activeresponse/responders"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// ExecutorOptions is what an Executor needs. Only Root is required.
type ExecutorOptions struct {
	Root   string                  // install root
	Config config.ResponseExecutor // repeated offenders, limits, dry run
	Log    *olog.Log               // program ossec-execd
	Host   *protect.Host           // addresses this machine needs; nil: only what is not a host is protected
	Allow  *protect.List           // operator's allow list; nil: none
	// Journal keeps what was done and refused; nil: a new one.
	Journal *Journal

	ARConf    string // path of ar.conf, default <root>/etc/shared/ar.conf
	StateFile string // default <root>/queue/ar-pending.json, in a directory that only root can write
	// KeepOnStop leaves blocks in force when Run ends. Otherwise they are taken back, as OSSEC does, and come back at the next start
	// for the time they have left. It can be changed while running, see SetKeepOnStop.
	KeepOnStop bool

	Concurrency int           // runs of one program at a time, default 4
	RunTimeout  time.Duration // limit of one run, default one minute
	StopTimeout time.Duration // how long a stop waits for runs, default 20 s
	Programs    []string      // our own programs, so that links to them are known; default: the running one and <root>/bin/vedette*
	Restart     func() error  // what restart-ossec.sh does; nil: bin/ossec-control restart

	Env     *responders.Env                                 // world of the compiled-in responders; nil: the real one
	Builtin func(name string) (*responders.Responder, bool) // compiled-in responders, default responders.Lookup
	Now     func() time.Time                                // default time.Now
	BootID  string                                          // default: that of the machine
}

// Executor carries out responses on this host. Submit and the queries are safe for concurrent use; Run owns the work.
type Executor struct {
	o     ExecutorOptions
	log   *olog.Log
	env   *responders.Env
	start func(ctx context.Context, argv []string, detached bool) outcome
	in    chan submission
	wake  chan struct{}

	mu        sync.Mutex
	running   bool
	keep      bool
	keepUntil time.Time // keep is said for a restart that is due before this; zero: for good
	table     *arTable
	programs  *resolver
	blocks    map[string]*block
	offenders *offenders
	lanes     map[string]*lane
	ready     []*task // to be pushed after the state is saved
	inFlight  int
	dirty     bool
	finished  chan *task
	dead      chan struct{} // closed when Run ends
}

// submission is a response on its way in.
type submission struct {
	order
	reply chan<- submitReply // nil = nobody waits
}

type submitReply struct {
	block *Block
	err   error
}

// queueLength is how many responses may wait to be looked at.
const queueLength = 1024

// NewExecutor makes an executor; it does nothing before Run.
func NewExecutor(o ExecutorOptions) *Executor {
	o.defaults()
	e := &Executor{o: o, log: o.Log, start: start, in: make(chan submission, queueLength), wake: make(chan struct{}, 1), keep: o.KeepOnStop,
		blocks: map[string]*block{}, lanes: map[string]*lane{}, finished: make(chan *task), dead: make(chan struct{})}
	e.programs = &resolver{bin: filepath.Join(o.Root, "active-response", "bin"), own: o.Programs, builtin: o.Builtin}
	e.table = &arTable{path: o.ARConf, bin: e.programs.bin, log: o.Log, resolve: e.programs.resolve}
	e.offenders = &offenders{byKey: map[string]*offender{}}
	e.env = o.Env
	return e
}

func (o *ExecutorOptions) defaults() {
	setDefault(&o.ARConf, filepath.Join(o.Root, "etc", "shared", "ar.conf"))
	setDefault(&o.StateFile, filepath.Join(o.Root, "queue", "ar-pending.json"))
	setDefault(&o.Concurrency, 4)
	setDefault(&o.RunTimeout, time.Minute)
	setDefault(&o.StopTimeout, 20*time.Second)
	setDefault(&o.Config.MaxBlocks, 1024)
	setDefault(&o.Config.IPv6Prefix, 128)
	setDefault(&o.BootID, bootID())
	if o.Journal == nil {
		o.Journal = NewJournal(0)
	}
	if o.Builtin == nil {
		o.Builtin = responders.Lookup
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Programs == nil {
		o.Programs = ownPrograms(o.Root)
	}
	if o.Env == nil {
		o.Env = responders.NewEnv(o.Root, nil).Quiet()
	}
	o.Env.Protected = o.protected
	o.Env.IPv6Prefix = o.Config.IPv6Prefix
	if o.Config.HostsDeny != "" {
		o.Env.HostsDeny = o.Config.HostsDeny
	}
	if o.Restart != nil {
		o.Env.Restart = o.Restart
	}
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func ownPrograms(root string) []string {
	var out []string
	if self, err := os.Executable(); err == nil {
		out = append(out, self)
	}
	for _, n := range []string{"vedette", "vedette-agent", "vedette-manager"} {
		out = append(out, filepath.Join(root, "bin", n))
	}
	return out
}

// protected says why a network must not be blocked here.
func (o *ExecutorOptions) protected(p netip.Prefix) (why string, yes bool) {
	if why, yes = o.Host.Prefix(p); yes {
		return why, true
	}
	if entry, yes := o.Allow.Prefix(p); yes {
		return "allow list: " + entry, true
	}
	return "", false
}

// Errors of Submit.
var (
	ErrBusy       = errors.New("the executor's queue is full")
	ErrNotRunning = errors.New("the executor is not running")
	ErrDisabled   = errors.New("active response is disabled")
)

// Submit queues a response and returns at once. The only error is ErrBusy; what becomes of the response is logged and kept in the
// journal.
func (e *Executor) Submit(r event.Response) error { return e.submit(submission{order: newOrder(r)}) }

// SubmitText is Submit for the text of a queue datagram, whose pieces become the arguments exactly as they are (spec
// active-response.md, section 9).
func (e *Executor) SubmitText(text string) error {
	o, err := parseOrder(text)
	if err != nil && !errors.Is(err, ErrTooFew) {
		e.log.Code(1310, "WARN", "Invalid active response (execd) message '%s'.", clip(strings.TrimRight(text, "\x00")))
		return nil
	}
	return e.submit(submission{order: o})
}

func (e *Executor) submit(s submission) error {
	select {
	case e.in <- s:
		return nil
	default:
		e.log.Every("busy", time.Minute).Error("Response %s for %s is lost: %v.", clip(s.resp.Name), clip(s.resp.IP), ErrBusy)
		e.note(Refused, s.order, ErrBusy.Error())
		return ErrBusy
	}
}

// clip shortens a value for a log line.
func clip(s string) string {
	if len(s) > 256 {
		return s[:256] + "..."
	}
	return s
}

// Journal gives the record of what was done.
func (e *Executor) Journal() *Journal { return e.o.Journal }

// SetKeepOnStop changes what a stop does, see ExecutorOptions.KeepOnStop.
func (e *Executor) SetKeepOnStop(keep bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keep, e.keepUntil = keep, time.Time{}
}

// restartLimit is how long a restart that was announced may take to stop us.
const restartLimit = 2 * time.Minute

// KeepForRestart leaves the blocks in force at a stop within the next two minutes, so that a restart does not let anybody in meanwhile. It
// expires, so that a restart that never came does not change what a later stop does.
func (e *Executor) KeepForRestart() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.keep || !e.keepUntil.IsZero() {
		e.keep, e.keepUntil = true, e.o.Now().Add(restartLimit)
	}
}

// keeps reports whether a stop now leaves blocks in force. The caller holds the lock.
func (e *Executor) keeps() bool {
	return e.keep && (e.keepUntil.IsZero() || e.o.Now().Before(e.keepUntil))
}

// Run works until ctx ends. It first takes over the blocks that an earlier run left. With responses disabled it only takes those back.
func (e *Executor) Run(ctx context.Context) error {
	if err := e.open(); err != nil {
		return err
	}
	defer e.close()
	if e.o.Config.Disabled {
		e.log.Code(1350, "INFO", "Active response disabled. Exiting.")
		e.stop(false)
		return nil
	}
	e.log.Info("Started (pid: %d).", os.Getpid())
	for {
		timer := time.NewTimer(e.turn())
		select {
		case <-ctx.Done():
			timer.Stop()
			e.log.Code(1314, "INFO", "Shutdown received. Deleting responses.")
			e.stop(true)
			return nil
		case s := <-e.in:
			e.batch(s)
		case t := <-e.finished:
			e.done(t)
		case <-timer.C:
		case <-e.wake:
		}
		timer.Stop()
	}
}

func (e *Executor) open() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running {
		return errors.New("the executor runs already")
	}
	e.running, e.dead = true, make(chan struct{})
	e.offenders = newOffenders(e.o.Config.RepeatedOffenders, e.o.Config.OffenderUnit, e.log)
	e.lanes, e.inFlight, e.ready = map[string]*lane{}, 0, nil
	e.recover(e.o.Now())
	return nil
}

func (e *Executor) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = false
	close(e.dead)
	for _, b := range e.blocks {
		b.tell(ErrNotRunning)
	}
}

// maxBatch is how many responses share one write of the state file.
const maxBatch = 64

// batch looks at a response and at those that wait behind it.
func (e *Executor) batch(s submission) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for n := 0; ; n++ {
		now := e.o.Now()
		e.expire(now)
		b, err := e.consider(s, now)
		if s.reply != nil {
			s.reply <- submitReply{b, err}
		}
		if n == maxBatch {
			return
		}
		select {
		case s = <-e.in:
		default:
			return
		}
	}
}

// longestWait makes a jump of the clock noticed.
const longestWait = 30 * time.Second

// turn ends what is due, saves, starts what is ready, and gives the time until the next end.
func (e *Executor) turn() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.o.Now()
	e.expire(now)
	e.flush()
	wait := longestWait
	for _, b := range e.blocks {
		switch {
		case b.live() && !b.Until.IsZero():
			wait = min(wait, b.Until.Sub(now))
		case b.State == Releasing && !b.retry.IsZero():
			wait = min(wait, b.retry.Sub(now))
		}
	}
	return max(wait, 0)
}

// flush saves the state and then starts the runs that depend on it.
func (e *Executor) flush() {
	if e.dirty {
		if err := e.save(); err != nil {
			e.log.Every("save", time.Minute).Error("Blocks cannot be saved and would outlive a crash: %v.", err)
		}
		e.dirty = false
	}
	for _, t := range e.ready {
		e.push(t)
	}
	e.ready = nil
}

// expire takes back the blocks whose time is over, and tries failed releases again.
func (e *Executor) expire(now time.Time) {
	for _, b := range e.blocks {
		switch {
		case b.live() && !b.Until.IsZero() && !b.Until.After(now):
			e.release(b, "its time is over")
		case b.State == Releasing && !b.retry.IsZero() && !b.retry.After(now):
			b.retry = time.Time{}
			e.release(b, b.reason)
		}
	}
}

// release queues the delete of a block.
func (e *Executor) release(b *block, reason string) {
	b.State, b.reason = Releasing, reason
	e.dirty = true
	e.ready = append(e.ready, e.task(doDelete, b))
}

// task makes a run for a block.
func (e *Executor) task(do action, b *block) *task {
	prog, err := e.programs.resolve(b.Executable)
	if err != nil {
		prog = program{path: e.programs.bin + "/" + b.Executable} // starting it tells what is wrong
	}
	t := &task{do: do, key: b.Key, prog: prog, exe: b.Executable, pieces: b.Pieces, resp: b.Response, block: b, dry: b.DryRun,
		bits: b.IPv6Prefix}
	if do != doDelete {
		t.left = b.TimeLeft(e.o.Now())
	}
	return t
}

// done books the end of a run.
func (e *Executor) done(t *task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inFlight--
	if l := e.lanes[t.prog.path]; l != nil {
		delete(l.busy, t.key)
		e.pump(t.prog.path, l)
	}
	e.report(t)
	o := order{resp: event.Response{Name: t.resp, User: t.pieces[0], IP: t.pieces[1]}}
	if t.block != nil {
		o.resp = t.block.response()
	}
	switch {
	case t.do == doDelete:
		e.released(t, o)
	case t.refused:
		e.note(Refused, o, t.err.Error())
		if t.do == doAdd {
			e.forget(t.block)
		}
		return
	case t.err != nil:
		e.note(Failed, o, t.err.Error())
	case t.dry:
		e.note(DryRun, o, t.note)
	case t.block == nil:
		e.note(Ran, o, t.note)
	case t.do == doAdd:
		e.note(Blocked, o, t.note)
	}
	if b := t.block; b != nil && t.do != doDelete {
		if b.State == Planned {
			b.State = Active
		}
		if b.Error = ""; t.err != nil {
			b.Error = t.err.Error()
		}
		e.dirty = true
	}
}

// forget drops a block that its responder refused to make. One that an earlier run had made is taken back.
func (e *Executor) forget(b *block) {
	switch {
	case b == nil || e.blocks[b.Key] != b || !b.live():
	case b.made:
		e.release(b, "its responder refuses it now")
	default:
		delete(e.blocks, b.Key)
		e.dirty = true
	}
}

// Pauses between tries of a release that fails.
const (
	firstBackoff = 10 * time.Second
	maxBackoff   = 10 * time.Minute
)

// released books the end of a delete.
func (e *Executor) released(t *task, o order) {
	b := t.block
	if b == nil {
		return
	}
	if t.err != nil && !t.refused {
		b.Error = t.err.Error()
		b.tell(t.err)
		e.note(Failed, o, "delete: "+b.Error)
		if e.blocks[b.Key] == b {
			b.backoff = min(max(2*b.backoff, firstBackoff), maxBackoff)
			b.retry = e.o.Now().Add(b.backoff)
			e.dirty = true
		}
		return
	}
	e.note(Released, o, b.reason)
	b.tell(nil)
	if e.blocks[b.Key] == b {
		delete(e.blocks, b.Key)
		e.dirty = true
	}
}

func (e *Executor) note(v Verdict, o order, reason string) {
	r := &o.resp
	e.o.Journal.Add(Record{Time: e.o.Now(), Verdict: v, Response: clip(r.Name), Address: clip(r.IP), User: clip(r.User), RuleID: clip(r.RuleID),
		AlertID: clip(r.AlertID), Location: clip(r.Location), Target: "local", Reason: reason})
}
