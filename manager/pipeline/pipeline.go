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
	"github.com/vedette-hids/vedette/internal/nospace"
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

// Recorder takes what came of an event, in order, on one goroutine. The outcome is only lent. Idle is called when no event waits, and now and
// then while some do, so that buffered output can be written; it tells whether it was.
type Recorder interface {
	Record(ev *event.Event, out *rules.Outcome)
	Idle(now time.Time) Progress
}

// Progress tells how a Recorder got on with its files.
type Progress int

// The states of a Recorder's files.
const (
	Written Progress = iota // all that was recorded has been handed to the kernel
	Behind                  // some waits in memory because a file cannot be written; more may be recorded
	Full                    // so much waits that no more may be recorded
)

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

// Counters of a Pipeline. All but Unwritten only grow.
type Counters struct {
	Received, Alerts, Dropped, Invalid uint64

	Unwritten uint64 // events that were analysed and are not settled: what came of them is being written, or cannot be
	Pauses    uint64 // seconds, about, that the analysis stood still because no more could be kept in memory
	Lost      uint64 // events whose outcome was not written when Run ended
}

// Pipeline is the manager's analysis. Make it with New, call Run once, Submit from anywhere.
type Pipeline struct {
	o       Options
	ruleset atomic.Pointer[rules.Ruleset]
	in      *intake
	swap    chan *rules.Ruleset
	ended   chan struct{}

	received, alerts, dropped, invalid atomic.Uint64
	settled, pauses, lost              atomic.Uint64
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
// number survive the death of this process. While a file cannot be written the number stands still.
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
	settled := p.settled.Load() // read first: it follows received
	received := p.received.Load()
	return Counters{Received: received, Alerts: p.alerts.Load(), Dropped: p.dropped.Load(), Invalid: p.invalid.Load(),
		Unwritten: received - settled, Pauses: p.pauses.Load(), Lost: p.lost.Load()}
}

// Waiting is the number of events that wait to be analysed.
func (p *Pipeline) Waiting() int { return p.in.length() }

// Run analyses until ctx ends; then it analyses what was submitted before and returns. When it ends while files cannot be written, what it
// could not record is counted as lost; none of those events was ever settled.
func (p *Pipeline) Run(ctx context.Context) error {
	defer close(p.ended)
	stop := context.AfterFunc(ctx, p.in.end)
	defer stop()
	var wg sync.WaitGroup
	for range p.o.Workers {
		wg.Go(p.prepare)
	}
	p.stage(ctx)
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

// retryEvery is how often what is not written is tried again.
const retryEvery = time.Second

// stage is the ordered part.
func (p *Pipeline) stage(ctx context.Context) {
	s := stage{p: p, ctx: ctx, retry: time.NewTicker(retryEvery)}
	defer s.retry.Stop()
	unwritten := 0
	for {
		select {
		case b, ok := <-p.in.order:
			if !ok {
				s.end()
				return
			}
			<-b.done
			for i, ev := range b.events {
				s.process(ev, &b.prepared[i])
			}
			p.in.back(b)
			if unwritten++; unwritten >= writeEvery || s.progress != Written || len(p.in.order) == 0 {
				s.write(p.o.Now())
				unwritten = 0
			}
		case rs := <-p.swap:
			p.o.State.Swap(rs)
		case now := <-s.retry.C:
			s.write(now)
		}
	}
}

// stage holds the working memory of the ordered part.
type stage struct {
	p        *Pipeline
	ctx      context.Context // of Run
	sc       rules.Scratch
	out      rules.Outcome // of the event in hand, lent to the recorder
	retry    *time.Ticker
	progress Progress // of the last write
	gaveUp   bool     // the end came while nothing could be written: what is left is not analysed
}

// write lets the recorder write what came of the events so far. It returns when more can be recorded: until then batches stay where they
// are, Submit waits, and those who wait for receipts keep their events.
func (s *stage) write(now time.Time) {
	for s.try(now); s.progress == Full && !s.gaveUp; s.try(s.p.o.Now()) {
		s.p.o.Log.Every("full", time.Minute).Error("The analysis waits: what came of %d events cannot be written, and no more can be kept in memory.",
			s.p.received.Load()-s.p.settled.Load())
		s.pause()
	}
}

// try writes once.
func (s *stage) try(now time.Time) {
	p := s.p
	before := s.progress
	s.progress = p.o.Recorder.Idle(now)
	if s.progress != Written {
		return
	}
	if before != Written {
		p.o.Log.Info("What came of %d events that could not be written is on file now.", p.received.Load()-p.settled.Load())
	}
	p.settled.Store(p.received.Load())
}

// pause waits for the time of the next try, or for the end of Run: then there is none.
func (s *stage) pause() {
	s.p.pauses.Add(1)
	for {
		select {
		case <-s.retry.C:
			return
		case rs := <-s.p.swap:
			s.p.o.State.Swap(rs)
		case <-s.ctx.Done():
			s.gaveUp = true
			return
		}
	}
}

// end writes for the last time.
func (s *stage) end() {
	p := s.p
	s.try(p.o.Now())
	if n := p.received.Load() - p.settled.Load(); n > 0 {
		p.lost.Add(n)
	}
	if n := p.lost.Load(); n > 0 {
		p.o.Log.Error("%d events are lost, except for those that agents send again: the files could not be written to the end.", n)
	}
}

// process analyses an event.
func (s *stage) process(ev *event.Event, pr *rules.Prepared) {
	if s.analyse(ev, pr) {
		s.p.o.Recorder.Record(ev, &s.out)
	}
	if s.gaveUp {
		s.p.lost.Add(1)
		return
	}
	s.p.received.Add(1)
}

// analyse finds out what comes of an event; false when there is nothing to record.
func (s *stage) analyse(ev *event.Event, pr *rules.Prepared) bool {
	p := s.p
	if s.gaveUp {
		return false
	}
	if !parallel(ev.Kind) {
		keep, err := s.decode(ev)
		if err != nil {
			p.invalid.Add(1)
			p.o.Log.Every("invalid "+ev.Location, time.Minute).Error("%v", err)
			return false
		}
		if !keep {
			p.dropped.Add(1)
			return false
		}
		p.o.State.Ruleset().Prepare(ev, &s.sc, pr)
	}
	s.out = p.o.State.Process(pr, ev.Received)
	if s.out.Reason.Dropped() {
		p.dropped.Add(1)
		return false
	}
	if s.out.Alert != nil {
		p.alerts.Add(1)
	}
	return true
}

// apply lets the integrity baseline decide. While the disk is full it cannot, and nothing that comes later may pass this event.
func (s *stage) apply(ev *event.Event) (keep bool, err error) {
	for {
		keep, err = s.p.o.FIM.Apply(ev)
		if !nospace.Is(err) || s.gaveUp {
			return keep, err
		}
		s.p.o.Log.Every("store", time.Minute).Error("The analysis waits: %v", err)
		s.pause()
		s.try(s.p.o.Now())
	}
}

// decode lets the store of an event's kind decode it.
func (s *stage) decode(ev *event.Event) (keep bool, err error) {
	decode.Predecode(ev, s.p.o.LocalHost)
	switch ev.Kind {
	case event.KindSyscheck:
		if s.p.o.FIM == nil {
			return false, nil
		}
		return s.apply(ev)
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
