package forward

import (
	"context"
	"fmt"
	"time"

	"github.com/vedette-hids/vedette/agent/spool"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
)

// peerKind is what the agent knows of its manager.
type peerKind uint8

const (
	unknownPeer peerKind = iota // just connected: events are kept for the case that it acknowledges
	ossecPeer
	vedettePeer
)

// session is what belongs to one time of being connected.
type session struct {
	peer        peerKind
	beat        time.Time // last keepalive
	acked       bool      // a keepalive of this session was acknowledged
	ackDue      time.Time // when the acknowledgement of the last keepalive is overdue; zero = nothing is awaited
	suspect     bool      // the server is asked whether it is there; events go to the spool meanwhile
	gap         bool      // something sent lately has probably not arrived
	probes      int       // keepalives since it became suspect
	settling    bool      // events of an earlier connection come first; newer ones go to the spool meanwhile
	paceAt      time.Time // next burst from the spool to an OSSEC manager
	synced      time.Time // last time the spool was asked to be kept on disk
	lastReceipt time.Time
	silences    int    // times in a row that no receipt came for too long
	top         uint64 // highest index that a receipt named
	topKnown    bool
}

const (
	maxProbes   = 3
	maxSilence  = 5  // times Timing.Retransmit without a receipt make a manager suspect
	eventBurst  = 64 // events taken from senders per turn
	replayBurst = 64 // events taken from the spool per turn for a Vedette manager
	resendBurst = 64 // events sent again per turn
)

// serve forwards while the server answers; it returns when the server is lost or ctx ends.
func (f *Forwarder) serve(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		if !f.chores(now) {
			return
		}
		timer.Reset(max(f.nextChore(now), 0))
		select {
		case <-ctx.Done():
			return
		case m := <-f.received:
			if !f.inbound(m) {
				return
			}
		case p := <-f.input():
			f.event(p)
			f.moreEvents()
		case <-timer.C:
		}
	}
}

// input is the senders' queue, or nil while they have to wait.
func (f *Forwarder) input() chan string {
	if len(f.held) > 0 || f.queue == nil && (f.suspect || f.settling || f.window.full()) {
		return nil
	}
	return f.in
}

func (f *Forwarder) moreEvents() {
	for range eventBurst {
		select {
		case p := <-f.input():
			f.event(p)
		default:
			return
		}
	}
}

// event sends a new event, or stores it when older ones are still in the spool.
func (f *Forwarder) event(payload string) {
	if f.queue != nil && (f.suspect || f.settling || f.window.full() || f.queue.Len() > 0) {
		f.store(payload)
		return
	}
	f.sendEvent(payload, nil)
}

// sendEvent sends an event that comes from a sender (pos nil) or from the spool. It reports false when the event did not leave
// and was left to the spool.
func (f *Forwarder) sendEvent(payload string, pos *spool.Pos) bool {
	packet, n, err := f.transmit([]byte(payload))
	if packet == nil { // cannot be made: nothing to keep
		f.commit(pos)
		return true
	}
	if f.peer != ossecPeer { // before anything else is sealed: packet is scratch
		if f.window.empty() {
			f.lastReceipt = time.Now() // from here on one is expected
		}
		f.window.add(n, packet, payload, pos, time.Now())
	}
	if err != nil {
		f.log.Every("1218", time.Minute).Code(1218, "ERROR", "Unable to send message to 'server'.")
		f.gap = true
		f.doubt(time.Now())
		if f.peer == ossecPeer {
			f.putBack(payload, pos)
			return false
		}
	}
	f.stats.sent.Add(1)
	if f.log.Debugging(2) {
		f.log.Debug2("Event sent as message %v, %d bytes, spooled: %t.", n, len(payload), pos != nil)
	}
	if f.peer == ossecPeer {
		f.commit(pos)
	}
	return true
}

// putBack keeps an event that could not be sent.
func (f *Forwarder) putBack(payload string, pos *spool.Pos) {
	switch {
	case f.queue == nil:
		f.held = append(f.held, payload)
	case pos != nil:
		f.logSpool(f.queue.Rewind())
	default:
		f.store(payload)
	}
}

func (f *Forwarder) commit(pos *spool.Pos) {
	if pos == nil || f.queue == nil {
		return
	}
	f.logSpool(f.queue.Commit(*pos))
}

// chores does what is due; false = the server is lost.
func (f *Forwarder) chores(now time.Time) bool {
	if now.Sub(f.lastValid) >= f.seconds(f.o.Client.TimeReconnect+1) { // more than that, in whole seconds
		f.log.Debug("Nothing valid came from the server for %d seconds.", f.o.Client.TimeReconnect)
		return false
	}
	if f.peer == unknownPeer && f.acked && now.Sub(f.beat) >= f.o.Timing.Decide {
		f.settleForOSSEC()
	}
	if f.peer == vedettePeer && !f.window.empty() && now.Sub(f.lastReceipt) > maxSilence*f.o.Timing.Retransmit<<min(f.silences, 4) {
		f.silences++
		f.gap = true
		f.doubt(now)
	}
	if !f.ackDue.IsZero() && !now.Before(f.ackDue) {
		f.suspect = true
		if f.probes++; f.probes > maxProbes {
			f.log.Debug("%d agent notifications were not acknowledged: the server is lost.", maxProbes)
			return false
		}
		f.log.Debug("No acknowledgement in time: asking again (%d of %d); events wait in the spool.", f.probes, maxProbes)
		f.keepalive(now)
	}
	if now.Sub(f.beat) >= f.seconds(f.o.Client.NotifyTime) {
		f.keepalive(now)
	}
	f.resend(now)
	if len(f.held) > 0 {
		f.retryHeld()
	}
	if now.Sub(f.synced) >= f.o.Timing.Sync {
		f.synced = now
		f.keepStored()
	}
	if !f.suspect && !f.settling {
		f.reportLost()
		f.replay(now)
	}
	return true
}

// settleForOSSEC gives up on receipts: the manager sends none. Events of an earlier connection go out once more, with new numbers, as an
// OSSEC manager takes no number below the newest.
func (f *Forwarder) settleForOSSEC() {
	f.log.Debug("The manager sends no receipts: what is sent counts as arrived.")
	f.peer = ossecPeer
	f.settling = false
	for i := range f.window.entries {
		if e := &f.window.entries[i]; !e.done && e.sent.IsZero() {
			f.stats.resent.Add(1)
			if _, _, err := f.transmit([]byte(e.payload)); err != nil {
				f.doubt(time.Now())
			}
		}
	}
	f.commit(f.window.clear())
}

func (f *Forwarder) seconds(n int) time.Duration { return time.Duration(n) * f.o.Timing.Second }

// nextChore is the time until something may be due.
func (f *Forwarder) nextChore(now time.Time) time.Duration {
	d := min(f.seconds(f.o.Client.NotifyTime)-now.Sub(f.beat), f.seconds(f.o.Client.TimeReconnect+1)-now.Sub(f.lastValid))
	if f.peer == unknownPeer {
		d = min(d, max(f.o.Timing.Decide-now.Sub(f.beat), f.o.Timing.Second/10))
	}
	if !f.ackDue.IsZero() {
		d = min(d, f.ackDue.Sub(now))
	}
	if !f.window.empty() {
		d = min(d, f.o.Timing.Retransmit/4)
	}
	if len(f.held) > 0 {
		d = min(d, f.o.Timing.Second)
	}
	if f.queue != nil && !f.suspect && !f.settling && f.queue.Len() > 0 && !f.window.full() {
		if f.peer == vedettePeer {
			return 0
		}
		d = min(d, f.paceAt.Sub(now))
	}
	return d
}

// keepalive sends one and awaits its acknowledgement.
func (f *Forwarder) keepalive(now time.Time) {
	f.log.Debug("Sending agent notification.")
	f.beat = now
	if f.o.Timing.AckTimeout > 0 && (f.ackDue.IsZero() || !now.Before(f.ackDue)) {
		f.ackDue = now.Add(f.probeWait())
	}
	if _, _, err := f.transmit([]byte(f.keepaliveText())); err != nil {
		f.log.Every("1218", time.Minute).Code(1218, "ERROR", "Unable to send message to 'server'.")
	}
}

// probeWait is how long the answer to a keepalive may take. Once the server is suspected, questions come faster.
func (f *Forwarder) probeWait() time.Duration {
	if f.suspect {
		return min(f.o.Timing.AckTimeout, 3*f.o.Timing.Second)
	}
	return f.o.Timing.AckTimeout
}

// doubt asks the server whether it is there; three unanswered questions mean that it is lost.
func (f *Forwarder) doubt(now time.Time) {
	if f.suspect || f.o.Timing.AckTimeout < 0 {
		return
	}
	f.log.Debug("In doubt whether the server is there: asking; events wait in the spool.")
	f.suspect = true
	f.probes = 1
	f.ackDue = time.Time{}
	f.keepalive(now)
}

// answered notes that the server is there. After a gap (it was started again, faster than the agent could miss it) everything unconfirmed
// goes out again in its order, before anything newer.
func (f *Forwarder) answered() {
	f.suspect, f.probes, f.ackDue = false, 0, time.Time{}
	if f.gap {
		f.gap = false
		f.window.restart()
		f.settling = !f.window.empty()
		f.lastReceipt = time.Now()
	}
}

// resend repeats events for which no receipt came. Without a receipt in this session the manager may be OSSEC's, which takes no part in
// this. While it is not sure that the manager is there they wait.
func (f *Forwarder) resend(now time.Time) {
	if f.peer != vedettePeer || f.suspect || f.window.empty() {
		return
	}
	limit := resendBurst
	if f.settling { // as fast as receipts come, whatever the manager has to catch up with
		limit = max(0, 2*resendBurst-f.window.underWay(now, f.o.Timing.Retransmit))
	}
	f.window.due(f.top, f.topKnown, f.o.Timing.Retransmit, now, limit, func(e *windowEntry) bool {
		f.stats.resent.Add(1)
		if err := f.write(e.packet); err != nil {
			f.gap = true
			f.doubt(now)
		}
		return !f.suspect
	})
}

// retryHeld sends what could not be stored, now that a server answers and nothing older is in the spool.
func (f *Forwarder) retryHeld() {
	if f.queue != nil && f.queue.Len() > 0 {
		return // keepStored tries
	}
	for len(f.held) > 0 && !f.suspect && !f.settling && !f.window.full() {
		p := f.held[0]
		f.held = f.held[1:]
		if !f.sendEvent(p, nil) {
			return
		}
	}
}

// replay sends what is in the spool: at a bounded rate to an OSSEC manager, which has no way to slow the agent down, and as fast as receipts
// come to a Vedette manager.
func (f *Forwarder) replay(now time.Time) {
	if f.queue == nil || f.queue.Len() == 0 {
		return
	}
	burst := replayBurst
	if f.peer != vedettePeer {
		if now.Before(f.paceAt) {
			return
		}
		f.paceAt = now.Add(f.o.Timing.PaceEvery)
		burst = f.o.Timing.PaceBurst
	}
	for ; burst > 0 && !f.window.full() && !f.suspect; burst-- {
		rec, pos, ok, err := f.queue.Next(nil)
		f.logSpool(err)
		if !ok || !f.sendEvent(string(rec), &pos) {
			return
		}
	}
}

// reportLost tells the manager how many events the bound of the spool forced out, and what a disk that was full or broken cost.
func (f *Forwarder) reportLost() {
	if f.queue == nil {
		return
	}
	if n := f.queue.Lost(); n > 0 {
		f.log.Warn("The event spool was full: the oldest %d events were lost.", n)
		f.tell("vedette: Agent event spool was full: %d events lost.", n)
		f.logSpool(f.queue.ForgetLost(n))
	}
	if n := f.queue.Broken(); n > 0 {
		f.log.Warn("The event spool could not be read or written: %d events were lost.", n)
		f.tell("vedette: Agent event spool could not be read or written: %d events lost.", n)
		f.logSpool(f.queue.ForgetBroken(n))
	}
	if f.damaged > 0 {
		f.tell("vedette: Agent event spool was damaged: %d bytes unreadable.", f.damaged)
		f.damaged = 0
	}
}

// tell sends an event about the agent itself.
func (f *Forwarder) tell(format string, n any) {
	f.sendEvent(event.Message{Kind: event.KindLog, Location: "vedette-agent", Text: fmt.Sprintf(format, n)}.String(), nil)
}

func (f *Forwarder) logSpool(err error) {
	if err != nil {
		f.log.Every("spool", time.Minute).Error("%v", err)
	}
}

// drain sends what waits in memory at the end, and gives a Vedette manager a moment to confirm.
func (f *Forwarder) drain() {
	if f.conn == nil || f.State() != Connected || f.suspect {
		return
	}
	f.moreEvents()
	deadline := time.NewTimer(f.o.Timing.Second)
	defer deadline.Stop()
	for f.peer == vedettePeer && !f.window.empty() {
		select {
		case m := <-f.received:
			if m.err != nil || !f.inbound(m) {
				return
			}
		case <-deadline.C:
			return
		}
	}
}

// inbound handles what the reader brought; false = the server is lost.
func (f *Forwarder) inbound(m inbound) bool {
	if m.from != f.conn || m.stale {
		return true
	}
	if m.err != nil {
		if f.conn.tcp || !passing(m.err) {
			return false
		}
		f.gap = true // "port unreachable"
		if f.suspect && f.probes > 1 && len(f.o.Client.Servers) > 1 {
			return false
		}
		f.doubt(time.Now())
		return true
	}
	f.payload(m.payload)
	return true
}

// receipt takes confirmed events out of the window.
func (f *Forwarder) receipt(r *agentwire.Receipts) {
	if f.peer != vedettePeer {
		f.log.Debug("The manager sends receipts: what it does not confirm is sent again.")
	}
	f.peer = vedettePeer
	f.lastReceipt = time.Now()
	if top, ok := r.Top(); ok {
		f.top, f.topKnown = top, true
	}
	n, pos := f.window.confirm(r)
	f.stats.confirmed.Add(uint64(n))
	if n > 0 {
		f.silences = 0
	}
	f.settling = f.settling && !f.window.empty()
	f.commit(pos)
}
