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

// receipts remembers what arrived from an agent, and what to acknowledge to one of Vedette. Which kind it is shows only with the first
// keepalive, but what came before counts.
type receipts struct {
	vedette bool // wants receipts
	seen    agentwire.Receipts
	again   []uint64 // refused numbers that this process has not taken
	pending int      // events since the last receipt
	queued  bool     // stands in the shard's list
	held    *held    // the receipt that waits; nil = none
}

// held is what a receipt will say once so many events are settled. Its agent stands in the shard's list of those.
type held struct {
	says agentwire.Receipts
	mark uint64
}

// receiptEvery is the number of events after which a receipt goes out at once.
const receiptEvery = 64

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

// alarm is a timer that is set at most once until it rings.
type alarm struct {
	*time.Timer
	set bool
}

func newAlarm() alarm {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return alarm{Timer: t}
}

func (a *alarm) in(d time.Duration) {
	if !a.set {
		a.set = true
		a.Reset(d)
	}
}

// settleCheck is how often held receipts are looked at.
const settleCheck = 2 * time.Millisecond

// owed is an agent that waits for a receipt.
type owed struct {
	key *keys.Key
	p   *peer
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
				sh.release(true) // what was delivered is analysed before the process ends
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
			sh.release(false)
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

// remind sets the alarms for receipts that are owed or held. sh.work is held.
func (sh *shard) remind() {
	if len(sh.owing) > 0 {
		sh.settling.in(sh.s.o.ReceiptDelay)
	}
	if len(sh.held) > 0 {
		sh.checking.in(settleCheck)
	}
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

// announce starts receipts for an agent whose keepalive asks for them, and ends them when it no longer does (it was replaced). An agent whose
// numbers began anew begins with an empty list.
func (sh *shard) announce(key *keys.Key, p *peer, o keys.Opened, text []byte) {
	if string(text) == agentwire.Startup {
		if top, ok := p.ack.seen.Top(); ok && agentwire.Index(o.Counter.Global, o.Counter.Local) < top {
			p.ack.seen, p.ack.again = agentwire.Receipts{}, nil
			if p.ack.held != nil {
				p.ack.held.says = agentwire.Receipts{}
			}
		}
		return
	}
	k, ok := agentwire.ParseKeepalive(text)
	if !ok {
		return
	}
	p.ack.vedette = k.Vedette
	p.ack.seen.Add(agentwire.Index(o.Counter.Global, o.Counter.Local))
	if k.Vedette {
		sh.receipt(key, p)
	}
}

// owe notes that an event was delivered; the receipt follows soon.
func (sh *shard) owe(key *keys.Key, p *peer, n keys.Counter) {
	p.ack.seen.Add(agentwire.Index(n.Global, n.Local))
	if p.ack.vedette {
		sh.due(key, p)
	}
}

// due sends a receipt soon, or at once when many events wait for it.
func (sh *shard) due(key *keys.Key, p *peer) {
	a := &p.ack
	a.pending++
	if a.pending >= receiptEvery {
		sh.receipt(key, p)
		return
	}
	if !a.queued {
		a.queued = true
		sh.owing = append(sh.owing, owed{key, p})
	}
}

// receipt confirms what arrived so far as soon as it is settled: a manager that is killed must not have confirmed what it forgets.
func (sh *shard) receipt(key *keys.Key, p *peer) {
	a := &p.ack
	a.pending = 0
	delivered, settled := sh.s.o.Settled()
	switch {
	case a.held == nil && delivered <= settled:
		sh.confirm(key, p, &a.seen)
	case a.held == nil:
		a.held = &held{a.seen, delivered}
		sh.held = append(sh.held, owed{key, p})
	case a.held.mark <= settled: // the list is looked at soon; the agent need not wait for that
		sh.confirm(key, p, &a.held.says)
		*a.held = held{a.seen, delivered}
	}
}

// release sends the receipts that waited and are settled now, or all of them.
func (sh *shard) release(all bool) {
	delivered, settled := sh.s.o.Settled()
	keep := sh.held[:0]
	for _, w := range sh.held {
		a := &w.p.ack
		switch {
		case all:
			sh.confirm(w.key, w.p, &a.seen)
			a.held = nil
		case a.held.mark > settled:
			keep = append(keep, w)
		default:
			sh.confirm(w.key, w.p, &a.held.says)
			if a.held.says == a.seen {
				a.held = nil
				continue
			}
			*a.held, a.pending = held{a.seen, delivered}, 0 // more arrived meanwhile
			keep = append(keep, w)
		}
	}
	clear(sh.held[len(keep):])
	sh.held = keep
}

// confirm sends a receipt.
func (sh *shard) confirm(key *keys.Key, p *peer, r *agentwire.Receipts) {
	a := &p.ack
	if !a.vedette {
		return
	}
	sh.say(key, r.Text())
	for len(a.again) > 0 {
		n := min(len(a.again), agentwire.MaxAgain)
		sh.say(key, agentwire.AgainText(a.again[:n]))
		a.again = a.again[n:]
	}
	a.again = nil
}

func (sh *shard) say(key *keys.Key, payload string) {
	if err := sh.s.Send(key, []byte(payload)); err != nil {
		sh.s.stats.unsent.Add(1)
	}
}

// settle sends every receipt that is owed.
func (sh *shard) settle() {
	for _, w := range sh.owing {
		w.p.ack.queued = false
		if w.p.ack.vedette && w.p.ack.pending > 0 {
			sh.receipt(w.key, w.p)
		}
	}
	clear(sh.owing)
	sh.owing = sh.owing[:0]
}

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
