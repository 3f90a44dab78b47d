package decode

import (
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// Limits of the accumulator (spec section 11). maxAccumulated is ours: ids come from senders.
const (
	accumulatorAge   = 120 * time.Second
	accumulatorPurge = 200 // uses between two purges
	maxAccumulateKey = 255
	maxAccumulateVal = 80
	maxAccumulated   = 50000
)

// accumulated are the fields that the accumulator carries from event to event.
var accumulated = [...]event.Field{event.DstUser, event.SrcUser, event.DstIP, event.SrcIP, event.DstPort, event.SrcPort, event.Data}

// Accumulator completes events of one transaction with the fields of earlier ones: events of the same host, decoder and id (spec
// section 11). It is part of the ordered stage: one goroutine at a time. Make it with NewAccumulator.
type Accumulator struct {
	entries map[string]*accumulatorEntry
	key     []byte
	uses    int
}

type accumulatorEntry struct {
	used   time.Time
	fields [len(accumulated)]string
}

// NewAccumulator makes an empty accumulator.
func NewAccumulator() *Accumulator {
	return &Accumulator{entries: make(map[string]*accumulatorEntry)}
}

// Len returns the number of transactions known.
func (a *Accumulator) Len() int { return len(a.entries) }

// Update fills unset or empty fields of ev from its transaction and adds its fields to it. Events whose decoder has no accumulate flag, or
// without id, are left alone. now is the time of arrival.
func (a *Accumulator) Update(ev *event.Event, now time.Time) {
	if !ev.Accumulate {
		return
	}
	id, ok := ev.Fields.Get(event.ID)
	if !ok || len(ev.Hostname)+len(ev.Decoder)+len(id)+2 > maxAccumulateKey {
		return
	}
	if a.uses++; a.uses%accumulatorPurge == 0 {
		a.purge(now)
	}
	e := a.entry(ev, id, now)
	for i, f := range accumulated {
		if ev.Fields.Value(f) == "" && e.fields[i] != "" {
			ev.Fields.Set(f, e.fields[i])
		}
	}
	for i, f := range accumulated {
		if v := ev.Fields.Value(f); e.fields[i] == "" && len(v) <= maxAccumulateVal {
			e.fields[i] = strings.Clone(v) // the event's log is not kept alive
		}
	}
}

// entry returns the transaction of an event, a fresh one when the known one is too old.
func (a *Accumulator) entry(ev *event.Event, id string, now time.Time) *accumulatorEntry {
	k := append(a.key[:0], ev.Hostname...)
	k = append(append(k, ' '), ev.Decoder...)
	k = append(append(k, ' '), id...)
	a.key = k
	e, ok := a.entries[string(k)]
	if ok && now.Sub(e.used) <= accumulatorAge {
		e.used = now
		return e
	}
	if !ok && len(a.entries) >= maxAccumulated {
		a.makeRoom(now)
	}
	e = &accumulatorEntry{used: now}
	a.entries[string(k)] = e
	return e
}

func (a *Accumulator) purge(now time.Time) {
	for k, e := range a.entries {
		if now.Sub(e.used) > accumulatorAge {
			delete(a.entries, k)
		}
	}
}

// makeRoom drops old transactions, then others until a tenth is free: it looks at all of them, so it must not be needed for each event of
// a sender who makes up ids.
func (a *Accumulator) makeRoom(now time.Time) {
	a.purge(now)
	for k := range a.entries {
		if len(a.entries) < maxAccumulated*9/10 {
			return
		}
		delete(a.entries, k)
	}
}
