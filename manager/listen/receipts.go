package listen

import (
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

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

// settleCheck is how often held receipts are looked at.
const settleCheck = 2 * time.Millisecond

// owed is an agent that waits for a receipt.
type owed struct {
	key *keys.Key
	p   *peer
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

func (a *alarm) ringIn(d time.Duration) {
	if !a.set {
		a.set = true
		a.Reset(d)
	}
}

// remind sets the alarms for receipts that are owed or held. sh.work is held.
func (sh *shard) remind() {
	if len(sh.owing) > 0 {
		sh.settling.ringIn(sh.s.o.ReceiptDelay)
	}
	if len(sh.held) > 0 {
		sh.checking.ringIn(settleCheck)
	}
}

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

// release sends the receipts that waited and are settled now.
func (sh *shard) release() {
	delivered, settled := sh.s.o.Settled()
	keep := sh.held[:0]
	for _, w := range sh.held {
		a := &w.p.ack
		if a.held.mark > settled {
			keep = append(keep, w)
			continue
		}
		sh.confirm(w.key, w.p, &a.held.says)
		if a.held.says == a.seen {
			a.held = nil
			continue
		}
		*a.held, a.pending = held{a.seen, delivered}, 0 // more arrived meanwhile
		keep = append(keep, w)
	}
	clear(sh.held[len(keep):])
	sh.held = keep
}

// lastWait is how long an end waits for the analysis to write what was delivered.
const lastWait = 3 * time.Second

// last confirms at the end what the analysis has written. What it cannot write (a full disk) is not confirmed: the agents send it again.
func (sh *shard) last() {
	for end := time.Now().Add(lastWait); ; time.Sleep(settleCheck) {
		if sh.release(); len(sh.held) == 0 || time.Now().After(end) {
			return
		}
	}
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
