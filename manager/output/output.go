// Package output hands alerts to the world outside: each destination is a Sink in a package of its own, driven by a Runner that gives it
// a bounded queue, retries with back-off and counters. A slow or dead destination delays nobody else; what its queue cannot take is
// counted and reported, never lost silently.
package output

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// Sink is one destination. Wants is called by the pipeline and must be quick; Send may block until ctx ends and returns an error when
// the alert did not get through and should be tried again. A Sink is used by one goroutine at a time, Wants excepted.
type Sink interface {
	Name() string
	Wants(a *event.Alert) bool
	Send(ctx context.Context, a *event.Alert) error
	Close() error
}

// Worker is a Sink that does work of its own between alerts (it gathers them, it tries again later). Work goes on until ctx ends and then
// has the grace time to finish what it holds.
type Worker interface {
	Sink
	Work(ctx context.Context, grace time.Duration) error
}

// ErrDrop is wrapped by Send errors that trying again cannot mend.
var ErrDrop = errors.New("alert cannot be sent")

// Limits of a Runner.
const (
	queueSize  = 16384
	maxBackoff = 30 * time.Second
)

// Runner drives one sink.
type Runner struct {
	sink  Sink
	log   *olog.Log
	queue chan *event.Alert
	sent  atomic.Uint64
	lost  atomic.Uint64
}

// NewRunner makes the runner of a sink; Run does the work.
func NewRunner(s Sink, log *olog.Log) *Runner {
	return &Runner{sink: s, log: log, queue: make(chan *event.Alert, queueSize)}
}

// Offer queues an alert that the sink wants. It never blocks: when the queue is full the alert is counted as lost and that is logged.
func (r *Runner) Offer(a *event.Alert) {
	if !r.sink.Wants(a) {
		return
	}
	select {
	case r.queue <- a:
	default:
		n := r.lost.Add(1)
		r.log.Every("full "+r.sink.Name(), time.Minute).Warn("%s: queue full, %d alerts not sent so far.", r.sink.Name(), n)
	}
}

// Counts returns how many alerts were sent and lost.
func (r *Runner) Counts() (sent, lost uint64) { return r.sent.Load(), r.lost.Load() }

// Waiting is how many alerts are queued.
func (r *Runner) Waiting() int { return len(r.queue) }

// Name is the sink's name.
func (r *Runner) Name() string { return r.sink.Name() }

// Run sends queued alerts, each as often as it takes, until ctx ends; then it sends what is queued, once each, for at most the grace time,
// and closes the sink. What is left then is counted as lost and logged.
func (r *Runner) Run(ctx context.Context, grace time.Duration) error {
	worked := make(chan struct{})
	work, endWork := context.WithCancel(context.WithoutCancel(ctx))
	defer endWork()
	if w, ok := r.sink.(Worker); ok {
		go func() {
			defer close(worked)
			if err := w.Work(work, grace); err != nil {
				r.log.Error("%s: %v", r.sink.Name(), err)
			}
		}()
	} else {
		close(worked)
	}
	r.drain(ctx, grace, r.run(ctx))
	endWork()
	<-worked
	return r.sink.Close()
}

// run returns when ctx ended, with the alert that was in hand then, or nil.
func (r *Runner) run(ctx context.Context) *event.Alert {
	for {
		select {
		case a := <-r.queue:
			if !r.deliver(ctx, a) {
				return a
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// drain sends what is left when the manager stops.
func (r *Runner) drain(ctx context.Context, grace time.Duration, a *event.Alert) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	left := 0
	for {
		if a != nil {
			if last.Err() != nil || r.try(last, a) != nil {
				left++
			}
		}
		select {
		case a = <-r.queue:
			continue
		default:
		}
		break
	}
	if left > 0 {
		r.lost.Add(uint64(left))
		r.log.Warn("%s: %d alerts not sent before the stop.", r.sink.Name(), left)
	}
}

// deliver sends one alert; false means that ctx ended before.
func (r *Runner) deliver(ctx context.Context, a *event.Alert) bool {
	wait := time.Second
	for {
		err := r.try(ctx, a)
		if err == nil {
			return true
		}
		if errors.Is(err, ErrDrop) {
			r.lost.Add(1)
			r.log.Warn("%s: alert %s given up: %v", r.sink.Name(), a.AlertID(), err)
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		wait = min(wait*2, maxBackoff)
	}
}

func (r *Runner) try(ctx context.Context, a *event.Alert) error {
	if err := r.sink.Send(ctx, a); err != nil {
		if ctx.Err() == nil {
			r.log.Every("send "+r.sink.Name(), time.Minute).Warn("%s: %v", r.sink.Name(), err)
		}
		return fmt.Errorf("sending alert %s: %w", a.AlertID(), err)
	}
	r.sent.Add(1)
	return nil
}
