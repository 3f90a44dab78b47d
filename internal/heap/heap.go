// Package heap spares a daemon with a small heap most of its garbage collections.
//
// Go collects when the heap has doubled. A manager whose rules and sessions take 10 MB would collect with each 10 MB of events, which costs a
// fifth of its time. Pace lets the heap grow to a fixed size first, and leaves Go's habit in place as soon as that size is in use.
package heap

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Goal is the goal of a manager in bytes. One with the full ruleset of OSSEC stays below 80 MB with it, code and stacks included.
const Goal = 24 << 20

// most bounds the growth (in percent of what is in use) until the next look, in case that use jumps.
const most = 400

// interval is the time between two looks at the heap.
const interval = 2 * time.Second

// Pace adjusts the garbage collector until ctx ends, so that collections begin when the heap is about goal bytes large, or twice what is in
// use if that is more. It does nothing where the operator set GOGC. It returns at once; the adjustment ends with ctx.
func Pace(ctx context.Context, goal uint64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	p := pacer{goal: goal, now: 100}
	p.adjust()
	go func() {
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				debug.SetGCPercent(100)
				return
			case <-t.C:
				p.adjust()
			}
		}
	}()
}

type pacer struct {
	goal uint64
	now  int // percent in force
}

func (p *pacer) adjust() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return
	}
	want := percent(sample[0].Value.Uint64(), p.goal)
	if diff := want - p.now; diff > p.now/8 || -diff > p.now/8 { // a change stops the world
		p.now = want
		debug.SetGCPercent(want)
	}
}

// percent is the growth that takes a heap of live bytes to goal, within bounds.
func percent(live, goal uint64) int {
	live = max(live, 1<<20)
	if goal <= 2*live {
		return 100
	}
	return int(min(most, (goal-live)*100/live))
}
