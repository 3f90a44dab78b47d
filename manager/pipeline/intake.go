package pipeline

import (
	"context"
	"sync"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/rules"
)

// batchSize is how many events travel together at most: large enough to make hand-over cheap, small enough to keep the delay low.
const batchSize = 256

// batch is a number of events on their way, and the signal that all of them are prepared.
type batch struct {
	events   []*event.Event
	prepared []rules.Prepared
	done     chan struct{}
}

// intake is the bounded queue between those who submit events and the workers. An event goes straight into the batch in which it will
// travel, and a worker takes a whole batch, so that the lock is all that an event costs here. While no worker is free the last batch
// grows; a free worker takes it as it is, and nothing waits for a batch to be full.
type intake struct {
	limit int // events that may wait
	ahead int // batches that may be taken and not yet be given back

	mu      sync.Mutex
	batches []*batch      // in order of arrival; the last one is being filled
	waiting int           // events in batches
	taken   uint64        // events that were put in since the start
	out     int           // batches taken and not given back
	ending  bool          // nothing more will come, as far as the owner knows
	closed  bool          // all was taken, nothing more is
	work    sync.Cond     // there is a batch to take and leave to take it, or ending
	room    chan struct{} // closed when there is room again; nil = nobody waits
	order   chan *batch   // the batches taken, in order; holds ahead of them

	free sync.Pool
}

func newIntake(limit, ahead int) *intake {
	q := &intake{limit: limit, ahead: ahead, order: make(chan *batch, ahead)}
	q.work.L = &q.mu
	q.free.New = func() any {
		return &batch{events: make([]*event.Event, 0, batchSize), prepared: make([]rules.Prepared, batchSize)}
	}
	return q
}

// put appends an event; it waits while the queue is full.
func (q *intake) put(ctx context.Context, ev *event.Event) error {
	q.mu.Lock()
	for q.waiting >= q.limit && !q.closed {
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
		q.mu.Lock()
	}
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	n := len(q.batches)
	if n == 0 || len(q.batches[n-1].events) == batchSize {
		b := q.free.Get().(*batch)
		b.done = make(chan struct{})
		q.batches = append(q.batches, b)
		if q.out < q.ahead {
			q.work.Signal()
		}
		n++
	}
	b := q.batches[n-1]
	b.events = append(b.events, ev)
	q.waiting++
	q.taken++
	return nil
}

// take gives the oldest batch to a worker and puts it in order. It waits for one; nil = there will be no more.
func (q *intake) take() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.batches) == 0 || q.out == q.ahead {
		if q.ending && len(q.batches) == 0 {
			q.close()
			return nil
		}
		q.work.Wait()
	}
	b := q.batches[0]
	q.batches = append(q.batches[:0], q.batches[1:]...)
	q.waiting -= len(b.events)
	q.out++
	q.order <- b // never waits: out counts what is in it
	// Those who wait go on when half of the queue is free: waking them for each batch would cost more than it brings.
	if q.waiting <= q.limit/2 {
		q.wake()
	}
	return b
}

// back returns a batch that the ordered stage is done with.
func (q *intake) back(b *batch) {
	clear(b.events)
	b.events = b.events[:0]
	q.free.Put(b)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.out--
	if len(q.batches) > 0 || q.ending {
		q.work.Signal()
	}
}

// end lets the workers take what is there, and then stop.
func (q *intake) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ending = true
	q.work.Broadcast()
}

// close refuses all further events. q.mu is held.
func (q *intake) close() {
	if !q.closed {
		q.closed = true
		close(q.order)
		q.wake()
	}
}

// wake lets those go on who wait for room. q.mu is held.
func (q *intake) wake() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// length is the number of events that wait.
func (q *intake) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// total is the number of events that were put in.
func (q *intake) total() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken
}
