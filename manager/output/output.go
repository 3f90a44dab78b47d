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
// the alert did not get through and should be tried again. A Sink is used by one goroutine at a time.
type Sink interface {
	Name() string
	Wants(a *event.Alert) bool
	Send(ctx context.Context, a *event.Alert) error
	Close() error
}

// ErrDrop is wrapped by Send errors that trying again cannot mend.
var ErrDrop = errors.New("alert cannot be sent")

// Limits of a Runner.
const (
	queueSize  = 16384
	maxAttempt = 8
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

// Name is the sink's name.
func (r *Runner) Name() string { return r.sink.Name() }

// Run sends queued alerts until ctx ends; then it sends what is queued, once each, for at most the grace time, and closes the sink.
func (r *Runner) Run(ctx context.Context, grace time.Duration) error {
	for {
		select {
		case a := <-r.queue:
			r.deliver(ctx, a)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
			defer cancel()
			for {
				select {
				case a := <-r.queue:
					r.try(last, a)
				default:
					return r.sink.Close()
				}
			}
		}
	}
}

func (r *Runner) deliver(ctx context.Context, a *event.Alert) {
	wait := time.Second
	for attempt := 1; ; attempt++ {
		err := r.try(ctx, a)
		if err == nil || ctx.Err() != nil {
			return
		}
		if errors.Is(err, ErrDrop) || attempt == maxAttempt {
			r.lost.Add(1)
			r.log.Warn("%s: alert %s given up: %v", r.sink.Name(), a.AlertID(), err)
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			r.try(context.WithoutCancel(ctx), a)
			return
		}
		wait = min(wait*2, maxBackoff)
	}
}

func (r *Runner) try(ctx context.Context, a *event.Alert) error {
	if err := r.sink.Send(ctx, a); err != nil {
		r.log.Every("send "+r.sink.Name(), time.Minute).Warn("%s: %v", r.sink.Name(), err)
		return fmt.Errorf("sending alert %s: %w", a.AlertID(), err)
	}
	r.sent.Add(1)
	return nil
}
