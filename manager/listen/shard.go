package listen

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// peer is what the Server keeps of an agent that was heard.
type peer struct {
	agent  event.Agent
	link   link // of the last control message; nil = none came yet
	addr   netip.AddrPort
	cipher keys.Cipher
	ack    receipts
}

// shard is one worker: the agents it serves and the packets that wait for it. A reader that finds it idle does the work itself.
type shard struct {
	s       *Server
	in      chan *batch
	waiting atomic.Int32 // batches that were handed over and are not yet handled

	mu    sync.Mutex
	peers map[*keys.Key]*peer

	// work is held by whoever handles packets or receipts, and guards what follows
	work     sync.Mutex
	plain    []byte
	owing    []owed
	held     []owed // whose receipts wait for the analysis
	settling alarm  // for owing
	checking alarm  // for held
}

func newShard(s *Server) *shard {
	return &shard{s: s, in: make(chan *batch, s.o.Queue), peers: map[*keys.Key]*peer{}, plain: make([]byte, 0, keys.MaxPlain),
		settling: newAlarm(), checking: newAlarm()}
}

// run is the worker; it ends when its queue is closed and empty.
func (sh *shard) run(ctx context.Context) {
	defer sh.settling.Stop()
	defer sh.checking.Stop()
	for {
		select {
		case b, ok := <-sh.in:
			sh.work.Lock()
			if !ok {
				sh.settle()
				sh.last()
				sh.work.Unlock()
				return
			}
			sh.take(ctx, b)
			sh.work.Unlock()
			sh.waiting.Add(-1)
		case <-sh.settling.C:
			sh.work.Lock()
			sh.settling.set = false
			sh.settle()
			sh.remind()
			sh.work.Unlock()
		case <-sh.checking.C:
			sh.work.Lock()
			sh.checking.set = false
			sh.release()
			sh.remind()
			sh.work.Unlock()
		}
	}
}

// try lets the caller do the work of a batch, unless the worker is at work or has older packets before it.
func (sh *shard) try(ctx context.Context, b *batch) bool {
	if sh.waiting.Load() > 0 || !sh.work.TryLock() {
		return false
	}
	defer sh.work.Unlock()
	sh.take(ctx, b)
	return true
}

// take handles a batch and gives it back. sh.work is held.
func (sh *shard) take(ctx context.Context, b *batch) {
	sh.handle(ctx, b)
	b.release()
	sh.remind()
}

func (sh *shard) handle(ctx context.Context, b *batch) {
	for i := range b.items {
		it := &b.items[i]
		sh.packet(ctx, b, it, b.data[it.from:it.to])
	}
}

// packet opens one packet and acts on it (spec protocol.md, sections 6.2 and 10).
func (sh *shard) packet(ctx context.Context, b *batch, it *item, packet []byte) {
	s := sh.s
	with := markedCipher(packet)
	if !b.rule.allows(with) {
		s.stats.rejected.Add(1)
		s.policy.reject(with, it.src.Addr())
		return
	}
	o, err := s.codec.Open(sh.plain, it.key, packet)
	if err != nil {
		s.refused(err, it.src.Addr())
		return
	}
	if err := s.o.Counters.Accept(it.key, o); err != nil {
		sh.repeated(b, it, o, err)
		return
	}
	if text, ok := agentwire.Control(o.Payload); ok {
		sh.control(b, it, o, text)
		return
	}
	p := sh.peer(it.key, o.Cipher)
	ev, ok := newEvent(&p.agent, o.Payload, b.at)
	switch {
	case !ok:
		s.stats.malformed.Add(1)
		s.o.Log.Every("1106"+it.key.ID, s.o.LogEvery).Code(1106, "ERROR", "String not correctly formatted.")
	case ev != nil:
		s.stats.events.Add(1)
		s.o.Deliver(ctx, ev)
		if ctx.Err() != nil {
			return // perhaps it was not taken; the agent sends it again
		}
	}
	sh.owe(it.key, p, o.Counter)
}

// markedCipher reads the marker in front of the ciphertext.
func markedCipher(packet []byte) keys.Cipher {
	if len(packet) >= 4 && string(packet[:4]) == "#AES" {
		return keys.AES
	}
	return keys.Blowfish
}

// repeated deals with an authentic packet whose number was refused. From a Vedette agent that is no error, as long as it may have sent the
// packet again: when this process took it before, the receipt was lost and another follows; otherwise nobody can tell (an earlier
// process may have taken it, or it was lost and the window has moved on), and the agent is asked for the event under a new number. The
// agent knows which events are unconfirmed, so a played-back packet gains nothing.
func (sh *shard) repeated(b *batch, it *item, o keys.Opened, err error) {
	var e *keys.Error
	if errors.As(err, &e) && e.Answer {
		sh.s.answer(it.key, o.Cipher, b.link, it.src)
	}
	sh.mu.Lock()
	p := sh.peers[it.key]
	sh.mu.Unlock()
	if p == nil || !p.ack.vedette || o.Legacy || len(o.Payload) > 0 && o.Payload[0] == '#' {
		sh.s.refused(err, it.src.Addr())
		return
	}
	sh.s.stats.duplicate.Add(1)
	a, n := &p.ack, agentwire.Index(o.Counter.Global, o.Counter.Local)
	if !a.seen.Has(n) && len(a.again) < 4*agentwire.MaxAgain {
		a.again = append(a.again, n)
	}
	sh.due(it.key, p)
}

// peer finds or makes the state of an agent. The cipher of its last good packet is the one it is answered with.
func (sh *shard) peer(key *keys.Key, with keys.Cipher) *peer {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p := sh.peers[key]
	if p == nil {
		p = &peer{agent: event.Agent{ID: key.ID, Name: key.Name, IP: key.IP}}
		sh.peers[key] = p
	}
	p.cipher = with
	return p
}

// control remembers where the agent is, acknowledges, and lets the controller look at the message.
func (sh *shard) control(b *batch, it *item, o keys.Opened, text []byte) {
	s := sh.s
	s.stats.controls.Add(1)
	p := sh.peer(it.key, o.Cipher)
	sh.mu.Lock()
	p.link, p.addr = b.link, it.src
	sh.mu.Unlock()
	if c, ok := b.link.(*tcpConn); ok {
		c.use(it.key)
	}
	if string(text) == agentwire.Startup {
		s.o.Counters.Raise()
	}
	if err := s.Send(it.key, ackPayload); err != nil {
		s.o.Log.Every("ack "+it.key.ID, s.o.LogEvery).Warn("Unable to acknowledge agent '%s': %v", it.key.Name, err)
	}
	if len(text) == 0 {
		return
	}
	sh.announce(it.key, p, o, text)
	s.o.Control.Control(it.key, o.Cipher, text, b.at)
}

var ackPayload = []byte(agentwire.Header + agentwire.Ack)

// newEvent makes the event of a payload "<type>:<location>:<text>". ok is false for one that cannot be split (1106); ev is nil for one that
// is dropped silently (spec protocol.md, sections 10 and 14).
func newEvent(agent *event.Agent, payload []byte, at time.Time) (ev *event.Event, ok bool) {
	if i := bytes.IndexByte(payload, 0); i >= 0 {
		payload = payload[:i]
	}
	if len(payload) < 2 || payload[1] != ':' {
		return nil, false
	}
	if agentwire.DroppedLocation(payload[2:]) {
		return nil, true
	}
	ev = event.FromAgent(event.Kind(payload[0]), agent, payload[2:], at)
	return ev, ev != nil
}
