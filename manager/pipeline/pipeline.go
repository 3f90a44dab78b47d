package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/decode"
)

// FIM decides on integrity messages (syscheck/baseline.Store is one). keep is false when the message leads to no event.
type FIM interface {
	Apply(ev *event.Event) (keep bool, err error)
}

// Findings remembers rootcheck findings (rootcheck/findings.Store is one).
type Findings interface {
	Apply(ev *event.Event) error
}

// Recorder takes what came of an event, in order, on one goroutine. The outcome is only lent. Idle is called when no event waits, so that
// buffered output can be written.
type Recorder interface {
	Record(ev *event.Event, out *rules.Outcome)
	Idle(now time.Time)
}

// Options of New. Ruleset, State and Recorder are required.
type Options struct {
	Ruleset  *rules.Ruleset
	State    *rules.State
	FIM      FIM
	Findings Findings
	Hostinfo *decode.Hostinfo
	Recorder Recorder
	Log      *olog.Log // of "ossec-analysisd"

	LocalHost string // short name of the manager's host
	Workers   int    // 0 = one per CPU
	Queue     int    // events that may wait; 0 = 16384
	Now       func() time.Time
}

// Counters of a Pipeline, which only grow.
type Counters struct {
	Received, Alerts, Dropped, Invalid uint64
}

// Pipeline is the manager's analysis. Make it with New, call Run once, Submit from anywhere.
type Pipeline struct {
	o       Options
	ruleset atomic.Pointer[rules.Ruleset]
	in      *intake
	swap    chan *rules.Ruleset
	ended   chan struct{}

	received, alerts, dropped, invalid atomic.Uint64
	settled                            atomic.Uint64
}

// New makes a pipeline.
func New(o Options) *Pipeline {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Queue <= 0 {
		o.Queue = 16384
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Pipeline{o: o, in: newIntake(o.Queue, 4*o.Workers), swap: make(chan *rules.Ruleset), ended: make(chan struct{})}
	p.ruleset.Store(o.Ruleset)
	return p
}

// ErrClosed is returned by Submit when Run has ended.
var ErrClosed = errors.New("pipeline is closed")

// Submit hands an event in; it waits while the queue is full.
func (p *Pipeline) Submit(ctx context.Context, ev *event.Event) error { return p.in.put(ctx, ev) }

// Settled gives how many events were handed in, and for how many of them everything that came of them has been written: those before that
// number survive the death of this process.
func (p *Pipeline) Settled() (submitted, settled uint64) { return p.in.total(), p.settled.Load() }

// Swap changes the ruleset while events flow; correlation state goes on. It returns when the ordered stage uses the new one.
func (p *Pipeline) Swap(ctx context.Context, rs *rules.Ruleset) error {
	p.ruleset.Store(rs)
	select {
	case p.swap <- rs:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ended:
		return ErrClosed
	}
}

// Counters gives the counters.
func (p *Pipeline) Counters() Counters {
	return Counters{p.received.Load(), p.alerts.Load(), p.dropped.Load(), p.invalid.Load()}
}

// Waiting is the number of events that wait to be analysed.
func (p *Pipeline) Waiting() int { return p.in.length() }

// Run analyses until ctx ends; then it analyses what was submitted before and returns.
func (p *Pipeline) Run(ctx context.Context) error {
	defer close(p.ended)
	stop := context.AfterFunc(ctx, p.in.end)
	defer stop()
	var wg sync.WaitGroup
	for range p.o.Workers {
		wg.Go(p.prepare)
	}
	p.stage()
	wg.Wait()
	return nil
}

// prepare is a worker.
func (p *Pipeline) prepare() {
	var sc rules.Scratch
	for b := p.in.take(); b != nil; b = p.in.take() {
		rs := p.ruleset.Load()
		for i, ev := range b.events {
			if parallel(ev.Kind) {
				rs.Prepare(ev, &sc, &b.prepared[i])
			}
		}
		close(b.done)
	}
}

// parallel reports whether events of a kind can be prepared before they are in order; the others need a store first.
func parallel(k event.Kind) bool {
	return k != event.KindSyscheck && k != event.KindRootcheck && k != event.KindHostinfo
}

// writeEvery is the number of batches after which outcomes are written although more events wait.
const writeEvery = 8

// stage is the ordered part.
func (p *Pipeline) stage() {
	s := stage{p: p}
	idle := time.NewTicker(time.Second)
	defer idle.Stop()
	unwritten := 0
	for {
		select {
		case b, ok := <-p.in.order:
			if !ok {
				p.write(p.o.Now())
				return
			}
			<-b.done
			for i, ev := range b.events {
				s.process(ev, &b.prepared[i])
			}
			p.in.back(b)
			if unwritten++; unwritten >= writeEvery || len(p.in.order) == 0 {
				p.write(p.o.Now())
				unwritten = 0
			}
		case rs := <-p.swap:
			p.o.State.Swap(rs)
		case now := <-idle.C:
			p.write(now)
		}
	}
}

// write lets the recorder write what came of the events so far.
func (p *Pipeline) write(now time.Time) {
	p.o.Recorder.Idle(now)
	p.settled.Store(p.received.Load())
}

// stage holds the working memory of the ordered part.
type stage struct {
	p  *Pipeline
	sc rules.Scratch
}

func (s *stage) process(ev *event.Event, pr *rules.Prepared) {
	p := s.p
	p.received.Add(1)
	if !parallel(ev.Kind) {
		keep, err := s.decode(ev)
		if err != nil {
			p.invalid.Add(1)
			p.o.Log.Every("invalid "+ev.Location, time.Minute).Error("%v", err)
			return
		}
		if !keep {
			p.dropped.Add(1)
			return
		}
		p.o.State.Ruleset().Prepare(ev, &s.sc, pr)
	}
	out := p.o.State.Process(pr, ev.Received)
	if out.Reason.Dropped() {
		p.dropped.Add(1)
		return
	}
	if out.Alert != nil {
		p.alerts.Add(1)
	}
	p.o.Recorder.Record(ev, &out)
}

// decode lets the store of an event's kind decode it.
func (s *stage) decode(ev *event.Event) (keep bool, err error) {
	decode.Predecode(ev, s.p.o.LocalHost)
	switch ev.Kind {
	case event.KindSyscheck:
		if s.p.o.FIM == nil {
			return false, nil
		}
		return s.p.o.FIM.Apply(ev)
	case event.KindRootcheck:
		if s.p.o.Findings == nil {
			return false, nil
		}
		if err := s.p.o.Findings.Apply(ev); err != nil {
			return false, fmt.Errorf("rootcheck event: %w", err)
		}
		return true, nil
	}
	if s.p.o.Hostinfo == nil {
		return false, nil
	}
	return s.p.o.Hostinfo.Decode(ev)
}
