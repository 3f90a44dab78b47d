package listen

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/keys"
)

// stream numbers the events of agents and notes in which order they are delivered.
type stream struct {
	t     *testing.T
	s     *Server
	all   []*keys.Key
	sent  []keys.Counter // by agent
	codec keys.Codec

	mu  sync.Mutex
	got map[string][]string // texts by agent id
}

func newStream(t *testing.T, agents, workers int) *stream {
	s, store, _ := benchServer(t, agents, workers)
	st := &stream{t: t, s: s, all: store.All(), sent: make([]keys.Counter, agents), got: map[string][]string{}}
	s.o.Deliver = func(_ context.Context, ev *event.Event) {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.got[ev.Agent.ID] = append(st.got[ev.Agent.ID], ev.Raw)
	}
	return st
}

func (st *stream) dispatcher() *dispatcher {
	return &dispatcher{s: st.s, link: discard{}, rule: accept{true, true}, open: make([]*batch, len(st.s.shards))}
}

// add gives the next event of an agent to d.
func (st *stream) add(d *dispatcher, agent int) {
	st.t.Helper()
	st.sent[agent], _ = st.sent[agent].Next()
	text := fmt.Sprintf("1:/var/log/messages:%d", st.sent[agent].Local)
	p, err := st.codec.Seal(nil, st.all[agent], keys.AES, true, st.sent[agent], []byte(text))
	if err != nil {
		st.t.Fatal(err)
	}
	d.add(st.t.Context(), p, netip.MustParseAddrPort("127.0.0.1:4000"), time.Now())
}

func (st *stream) texts(agent int) []string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return slices.Clone(st.got[st.all[agent].ID])
}

// check demands every event of every agent, in order.
func (st *stream) check() {
	st.t.Helper()
	for i, n := range st.sent {
		var want []string
		for k := range n.Local {
			want = append(want, fmt.Sprint(k+1))
		}
		if got := st.texts(i); !slices.Equal(got, want) {
			st.t.Errorf("agent %d: events came as %v, %d were sent", i, got, n.Local)
		}
	}
}

// finish lets the workers handle what waits for them, and checks.
func (st *stream) finish() {
	st.t.Helper()
	for _, sh := range st.s.shards {
		close(sh.in)
		sh.run(st.t.Context())
		if n := sh.waiting.Load(); n != 0 {
			st.t.Errorf("%d batches are counted as waiting", n)
		}
	}
	st.check()
}

func TestFewPacketsAreHandledWithoutAWorker(t *testing.T) {
	st := newStream(t, 4, 1)
	d := st.dispatcher()
	for i := range st.all {
		st.add(d, i)
	}
	d.flush(t.Context(), false) // nobody else runs
	st.check()
}

func TestManyPacketsAreShared(t *testing.T) {
	st := newStream(t, 16, 2)
	d := st.dispatcher()
	for i := range st.all {
		st.add(d, i)
	}
	d.flush(t.Context(), true)
	if n := len(st.s.shards[0].in) + len(st.s.shards[1].in); n != 1 {
		t.Fatalf("%d batches were handed over, want one of two", n)
	}
	st.finish()
}

func TestReaderThatIsHeldUpLeavesTheWorkToWorkers(t *testing.T) {
	st := newStream(t, 1, 1)
	d, deliver := st.dispatcher(), st.s.o.Deliver
	st.s.o.Deliver = func(ctx context.Context, ev *event.Event) {
		for began := time.Now(); time.Since(began) <= heldUp; { // the pipeline is busy
			runtime.Gosched()
		}
		deliver(ctx, ev)
	}
	st.add(d, 0)
	d.flush(t.Context(), false)
	for range 5 {
		st.add(d, 0)
		d.flush(t.Context(), false)
	}
	if n := len(st.s.shards[0].in); n != 5 {
		t.Fatalf("%d batches were handed over, want 5", n)
	}
	st.finish()
}

func TestReaderOnlyReadsDuringABurst(t *testing.T) {
	st := newStream(t, 1, 1)
	d := st.dispatcher()
	for range burst {
		d.leave = 0 // whatever a slow machine made of it
		st.add(d, 0)
		d.flush(t.Context(), true)
	}
	if n := len(st.texts(0)); n != burst-1 {
		t.Fatalf("%d of the first %d reads were worked on by the reader, want all but the last", n, burst)
	}
	st.add(d, 0)
	d.flush(t.Context(), false) // the burst ends; the worker still has what is left of it
	if n := len(st.s.shards[0].in); n != 2 {
		t.Fatalf("%d batches wait for the worker, want 2", n)
	}
	st.finish()
}

func TestLargePacketsMakeSmallBatches(t *testing.T) {
	st := newStream(t, 1, 1)
	d := st.dispatcher()
	noise := make([]byte, 4000)
	for i := range noise {
		noise[i] = byte('0' + rand.IntN(75)) // does not compress much
	}
	const packets = 40
	for i := range packets {
		p, err := st.codec.Seal(nil, st.all[0], keys.AES, true, keys.Counter{Local: uint16(i + 1)}, append([]byte("1:x:"), noise...))
		if err != nil {
			t.Fatal(err)
		}
		d.add(t.Context(), p, netip.MustParseAddrPort("127.0.0.1:4000"), time.Now())
	}
	d.flush(t.Context(), true)
	got := 0
	for len(st.s.shards[0].in) > 0 {
		b := <-st.s.shards[0].in
		if len(b.data) > maxData || len(b.items) < 3 {
			t.Errorf("a batch has %d packets of %d bytes", len(b.items), len(b.data))
		}
		got += len(b.items)
	}
	if got < packets*8/10 {
		t.Errorf("%d packets in the queue", got)
	}
}

func TestReaderDoesNotOvertakeItsWorker(t *testing.T) {
	st := newStream(t, 1, 1)
	d, sh := st.dispatcher(), st.s.shards[0]
	sh.work.Lock() // somebody is at work
	st.add(d, 0)
	d.flush(t.Context(), false)
	sh.work.Unlock()
	st.add(d, 0)
	d.flush(t.Context(), false) // idle again, but the first packet still waits
	if got := st.texts(0); got != nil {
		t.Fatalf("%v came before the packet that waits", got)
	}
	st.finish()
}

// TestOrderIsKeptBetweenReaderAndWorkers lets reads of all sizes follow each other while the workers run.
func TestOrderIsKeptBetweenReaderAndWorkers(t *testing.T) {
	const agents, workers, reads = 8, 3, 2000
	st := newStream(t, agents, workers)
	var running sync.WaitGroup
	for _, sh := range st.s.shards {
		running.Go(func() { sh.run(t.Context()) })
	}
	d, rnd := st.dispatcher(), rand.New(rand.NewPCG(1, 2))
	for range reads {
		n := 1 + rnd.IntN(6)
		for range n {
			st.add(d, rnd.IntN(agents))
		}
		d.flush(t.Context(), n > 3)
		if n == 2 {
			runtime.Gosched()
		}
	}
	for _, sh := range st.s.shards {
		close(sh.in)
	}
	running.Wait()
	st.check()
}
