package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

// Sender reaches agents (listen.Server).
type Sender interface {
	// Send sends one payload to where the agent was heard last.
	Send(key *keys.Key, payload []byte) error
	// Forget drops what is kept of agents whose keys are gone.
	Forget(gone []*keys.Key)
}

// Options of New.
type Options struct {
	Root    string // install root
	Keys    *keys.Store
	Forget  func(*keys.Key)                            // told of each key that was removed (keys.Counters.Forget); may be nil
	Deliver func(ctx context.Context, ev *event.Event) // takes "Agent disconnected" events; nil: there are none
	Log     *olog.Logger                               // lines of "ossec-remoted"

	ARQueue  bool          // read queue/alerts/ar
	ARGID    int           // group of that socket, 0 = leave
	Interval time.Duration // expected time between keepalives; 0 = 600 s (monitord.notify_time)
	Check    time.Duration // how often the agents' state is checked; 0 = 120 s
	Poll     time.Duration // how often client.keys and etc/shared are looked at; 0 = 5 s
	Knock    time.Duration // at most one look at client.keys for unknown agents per this time; 0 = 1 s, negative = no limit
	Pushes   int           // file transfers at a time; 0 = 512
	Pause    time.Duration // between bursts of 31 chunks; 0 = 1 s, as OSSEC
	LogEvery time.Duration // at most one line per kind and agent in this time; 0 = 10 s, negative = no limit
	Now      func() time.Time
}

func (o *Options) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&o.Interval, 600*time.Second)
	set(&o.Check, 120*time.Second)
	set(&o.Poll, 5*time.Second)
	set(&o.Knock, time.Second)
	set(&o.Pause, time.Second)
	if set(&o.LogEvery, 10*time.Second); o.LogEvery < 0 {
		o.LogEvery = 0
	}
	if o.Pushes <= 0 {
		o.Pushes = 512
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Forget == nil {
		o.Forget = func(*keys.Key) {}
	}
}

// session is what the manager knows of one agent that was heard, or whose agent-info file was found at the start.
type session struct {
	key       *keys.Key
	control   int64    // time of the last control message, epoch seconds; 0 = none since the start
	keepalive int64    // time of the last keepalive
	gaps      [3]int32 // times between the last keepalives, seconds; 0 = not known yet
	active    bool     // counts as connected
	vedette   bool     // understands fast transfers
	greeted   bool     // a keepalive came since it started or fell silent
	cipher    keys.Cipher
	info      uint64 // hash of what stands in the agent-info file; 0 = unknown
	push      *push  // transfer that waits or runs
	pending   *job   // newest keepalive whose files were not looked at yet; the session then stands in due or failed
}

// Fleet is the manager's view of its agents. Make it with New, give it to the listener as Controller, Attach the listener, then Run.
type Fleet struct {
	o      Options
	log    *olog.Log
	sender Sender
	shared shared

	mu       sync.Mutex
	sessions map[*keys.Key]*session
	waiting  []*push    // transfers that wait for their turn
	due      []*session // those with a pending keepalive, in the order in which it came
	failed   []*session // those whose file could not be written; they have another turn after Options.Poll

	dueC  chan struct{} // a keepalive is pending
	pushC chan struct{} // a transfer was queued

	refreshing sync.Mutex
	lastLook   atomic.Int64 // of Refresh, Unix nanoseconds

	stats stats
}

type stats struct {
	controls, keepalives, pushes, pushed, sent, unsent atomic.Uint64
}

// Stats is the state of the counters at one moment.
type Stats struct {
	Agents     int // with a usable key
	Active     int
	Controls   uint64 // control messages
	Keepalives uint64
	Pending    int    // agents whose newest keepalive is not in their agent-info file yet
	Pushes     uint64 // file transfers begun
	Pushed     uint64 // file transfers completed
	Sent       uint64 // commands sent
	Unsent     uint64 // commands for agents that were not connected
}

// Stats gives the counters.
func (f *Fleet) Stats() Stats {
	s := Stats{Agents: f.o.Keys.Len(), Controls: f.stats.controls.Load(), Keepalives: f.stats.keepalives.Load(),
		Pushes: f.stats.pushes.Load(), Pushed: f.stats.pushed.Load(), Sent: f.stats.sent.Load(), Unsent: f.stats.unsent.Load()}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Pending = len(f.due) + len(f.failed)
	for _, x := range f.sessions {
		if x.active {
			s.Active++
		}
	}
	return s
}

// New reads the state that an earlier run left (agent-info files) and builds merged.mg.
func New(o Options) (*Fleet, error) {
	o.defaults()
	if o.Keys == nil {
		return nil, errors.New("fleet without agent keys")
	}
	f := &Fleet{o: o, log: o.Log.Prog("ossec-remoted"), sessions: map[*keys.Key]*session{}, dueC: make(chan struct{}, 1), pushC: make(chan struct{}, 1)}
	for _, dir := range []string{"queue/agent-info", "etc/shared"} {
		if err := os.MkdirAll(f.path(dir), 0o750); err != nil {
			return nil, fmt.Errorf("starting the agents' manager: %w", err)
		}
	}
	f.log.Code(1410, "INFO", "Reading authentication keys file.")
	f.LogKeyProblems()
	f.shared = shared{dir: f.path("etc/shared"), log: f.log}
	if err := f.shared.refresh(); err != nil {
		f.log.Error("Building '%s': %v", agentwire.MergedName, err)
	}
	f.readInfo()
	return f, nil
}

func (f *Fleet) path(rel string) string { return filepath.Join(f.o.Root, filepath.FromSlash(rel)) }

// Attach names the way to the agents. Call it before Run and before the listener runs.
func (f *Fleet) Attach(s Sender) { f.sender = s }

// Run works until ctx ends. It fails when the queue of active responses cannot be bound.
func (f *Fleet) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() { cancel(); wg.Wait() }()
	if f.o.ARQueue {
		q, err := f.openAR()
		if err != nil {
			return err
		}
		wg.Go(func() { f.readAR(ctx, q) })
	}
	wg.Go(func() { f.runJobs(ctx) })
	wg.Go(func() { f.runPushes(ctx) })
	f.timers(ctx)
	return nil
}

// RefreshShared builds merged.mg now if a file of etc/shared changed. Run does that by itself each Options.Poll.
func (f *Fleet) RefreshShared() error { return f.shared.refresh() }

// timers does what comes round: new keys, changed shared files, agents that fell silent.
func (f *Fleet) timers(ctx context.Context) {
	poll, check := time.NewTicker(f.o.Poll), time.NewTicker(f.o.Check)
	release := time.NewTicker(10 * time.Minute)
	defer poll.Stop()
	defer check.Stop()
	defer release.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			f.reload()
			f.retryFailed()
			if err := f.shared.refresh(); err != nil {
				f.log.Every("shared", time.Minute).Error("Building '%s': %v", agentwire.MergedName, err)
			}
		case <-check.C:
			f.checkAlive(ctx)
		case <-release.C:
			f.o.Keys.ReleaseIdle()
		}
	}
}

// Refresh looks for new keys because an unknown agent knocked (spec protocol.md, section 1.4), at most once per Options.Knock. It reports
// whether the keys changed.
func (f *Fleet) Refresh() bool {
	if f.o.Knock > 0 {
		now, last := f.o.Now().UnixNano(), f.lastLook.Load()
		if now-last < int64(f.o.Knock) || !f.lastLook.CompareAndSwap(last, now) {
			return false
		}
	}
	return f.reload()
}

// reload reads client.keys again when it changed.
func (f *Fleet) reload() bool {
	f.refreshing.Lock()
	defer f.refreshing.Unlock()
	ch, err := f.o.Keys.Reload()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			f.log.Every("1402", time.Minute).Code(keys.CodeNoFile, "ERROR", "Authentication key file '%s' not found.", f.o.Keys.Path())
		} else {
			f.log.Every("keys", time.Minute).Error("%v", err)
		}
		return false
	}
	if !ch.Loaded {
		return false
	}
	if len(ch.Added)+len(ch.Removed) == 0 {
		f.LogKeyProblems()
		return false
	}
	f.log.Code(1409, "INFO", "Authentication file changed. Updating.")
	f.log.Code(1410, "INFO", "Reading authentication keys file.")
	f.LogKeyProblems()
	f.log.Debug("%d key(s) are new or changed, %d are gone or changed, %d are in use.", len(ch.Added), len(ch.Removed), f.o.Keys.Len())
	f.forget(ch)
	return true
}

// LogKeyProblems logs the unusable lines of client.keys.
func (f *Fleet) LogKeyProblems() {
	for _, p := range f.o.Keys.Problems() {
		level, text := "ERROR", p.Text
		for _, l := range []string{"ERROR", "WARN"} {
			if rest, ok := cutPrefix(text, l+": "); ok {
				level, text = l, rest
			}
		}
		f.log.Every(fmt.Sprintf("key %d %s", p.Line, p.Text), time.Hour).Code(p.Code, level, "%s (line %d of %s)", text, p.Line, f.o.Keys.Path())
	}
}

func cutPrefix(s, p string) (string, bool) {
	if len(s) >= len(p) && s[:len(p)] == p {
		return s[len(p):], true
	}
	return s, false
}

// forget drops the sessions of removed keys. A key of which only name or address changed is a new one with the old counters, which
// must stay.
func (f *Fleet) forget(ch keys.Changes) {
	added := make(map[string]bool, len(ch.Added))
	for _, k := range ch.Added {
		added[k.ID] = true
	}
	f.mu.Lock()
	for _, k := range ch.Removed {
		if s := f.sessions[k]; s != nil && s.push != nil {
			s.push.cancel()
		}
		delete(f.sessions, k)
	}
	f.mu.Unlock()
	if f.sender != nil {
		f.sender.Forget(ch.Removed)
	}
	for _, k := range ch.Removed {
		if !added[k.ID] {
			f.o.Forget(k)
		}
	}
}
