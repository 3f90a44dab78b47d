package forward

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// maxPause bounds the pause between rounds of the start exchange, in units of Timing.Second. OSSEC's grows without end.
const maxPause = 60

// connect runs start exchanges until a server answers (spec protocol.md, section 9.1). It reports false when ctx ended first.
func (f *Forwarder) connect(ctx context.Context) bool {
	f.lock()
	servers := f.o.Client.Servers
	pause, step := 1, 18
	if len(servers) > 1 {
		pause, step = 6, 5
	}
	for unreachable := 0; ctx.Err() == nil; {
		if err := f.open(ctx); err != nil {
			unreachable++
		} else {
			if f.exchange(ctx) {
				f.connected()
				return true
			}
			if ctx.Err() != nil {
				return false
			}
			if f.turnedAway() {
				unreachable++
			} else {
				unreachable = 0
			}
			f.log.Code(4101, "WARN", "Waiting for server reply (not started). Tried: '%s'.", servers[f.server].Host)
		}
		if len(servers) > 1 {
			f.server = (f.server + 1) % len(servers)
			if unreachable < len(servers) {
				f.log.Info("Trying next server in the line: '%s'.", servers[f.server].Host)
			} else {
				f.log.Error("Unable to connect to any server.")
			}
		}
		wait := min(pause, maxPause) + 1
		if unreachable > 0 && unreachable < len(servers) {
			wait = 1
		} else {
			pause += step
		}
		f.log.Debug("Next startup message to '%s' in %d seconds; events wait in the spool.", servers[f.server].Host, wait)
		if f.await(ctx, time.Duration(wait)*f.o.Timing.Second) {
			f.connected()
			return true
		}
	}
	return false
}

// exchange sends the startup message on OSSEC's schedule and reports whether the server acknowledged it. Where there is another server to
// turn to, one whose host says that nobody listens is given up after the second message.
func (f *Forwarder) exchange(ctx context.Context) bool {
	f.refusals = 0
	f.probe.Store(false)
	defer f.probe.Store(false)
	f.sendStartup()
	for n := 1; n <= 6; n++ {
		if f.await(ctx, time.Duration(n)*f.o.Timing.Second) {
			return true
		}
		if ctx.Err() != nil || f.turnedAway() {
			return false
		}
		if n >= 3 {
			f.sendStartup()
		}
	}
	return false
}

// turnedAway reports whether the exchange with this server is without hope: its connection has ended, or nobody listens ("port
// unreachable", twice: a manager may be starting) and there is another server to turn to.
func (f *Forwarder) turnedAway() bool {
	return f.refusals > 0 && f.conn != nil && f.conn.tcp || f.refusals == 2 && len(f.o.Client.Servers) > 1
}

// sendStartup sends the startup message, while an acknowledgement in the other cipher is awaited in that cipher.
func (f *Forwarder) sendStartup() {
	with := f.with
	if f.probe.Load() {
		with = keys.AES + keys.Blowfish - with
	}
	if _, _, err := f.transmitWith(with, []byte(agentwire.Header+agentwire.Startup)); err != nil {
		f.log.Debug("Startup message: %v", err)
		return
	}
	f.log.Debug("Startup message sent to '%s', %s.", f.o.Client.Servers[f.server].Host, with)
}

// staleAck deals with an acknowledgement that has an old number. A manager of OSSEC that lost its counter sends such, and so does another one of
// several managers, or whoever plays back a recording. A manager answers in the cipher it is spoken to, so it is spoken to in the one that is
// never used: in that there are no recordings, but of earlier such questions, which Counters knows.
func (f *Forwarder) staleAck() {
	if !f.probe.Swap(true) {
		f.sendStartup()
	}
}

// await stores events for d, or until the server acknowledges.
func (f *Forwarder) await(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	sync := time.NewTicker(f.o.Timing.Sync)
	defer sync.Stop()
	for {
		in := f.in
		if f.queue == nil || len(f.held) > 0 {
			in = nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return false
		case m := <-f.received:
			if m.from != f.conn {
				continue
			}
			if m.stale {
				f.staleAck()
			} else if m.err != nil {
				f.log.Debug("Connection to '%s': %v", f.o.Client.Servers[f.server].Host, m.err)
				if f.refusals++; f.turnedAway() {
					return false
				}
			} else if string(m.payload) == agentwire.Header+agentwire.Ack {
				return true
			} else {
				f.log.Debug("A message of '%s' before its acknowledgement is ignored.", f.o.Client.Servers[f.server].Host)
			}
		case p := <-in:
			f.store(p)
		case <-sync.C:
			f.keepStored()
		}
	}
}

// store puts an event into the spool. When that fails (disk full) it is held, and nobody may send before it is stored.
func (f *Forwarder) store(payload string) {
	err := f.queue.Append([]byte(payload))
	if err == nil {
		f.stats.spooled.Add(1)
		return
	}
	f.log.Every("spool", time.Minute).Error("Storing events while no server answers: %v", err)
	f.held = append(f.held, payload)
}

// keepStored tries held events again and asks the disk to keep what was stored.
func (f *Forwarder) keepStored() {
	if f.reopen(time.Now()); f.queue == nil {
		return
	}
	for held := f.held; len(held) > 0; {
		f.held = nil
		for i, p := range held {
			if f.store(p); len(f.held) > 0 {
				f.held = held[i:]
				return
			}
		}
		held = nil
	}
	if err := f.queue.Sync(); err != nil {
		f.log.Every("spool", time.Minute).Error("Storing events while no server answers: %v", err)
	}
}

// connected begins a session: what was unconfirmed goes out again, then the start messages on the first time, then a keepalive.
func (f *Forwarder) connected() {
	s := f.o.Client.Servers[f.server]
	f.log.Code(4102, "INFO", "Connected to server %s, port %d.", s.Host, s.Port)
	f.stats.connects.Add(1)
	if f.started {
		f.log.Info("Server responded. Releasing lock.")
	}
	f.unlock()
	f.probe.Store(false)
	f.session = session{settling: !f.window.empty()}
	f.lastValid = time.Now()
	f.lastReceipt = f.lastValid
	f.window.restart()
	if f.windowServer != f.server {
		f.windowServer = f.server
		f.renumber()
	}
	if !f.started {
		f.started = true
		f.sendEvent(event.Message{Kind: event.KindLog, Location: "ossec",
			Text: "ossec: Agent started: '" + f.o.Key.Name + "->" + f.o.Key.IP + "'."}.String(), nil)
		for _, p := range f.integrityMessages() {
			f.sendEvent(p, nil)
		}
	}
	f.keepalive(time.Now())
}

// renumber sends the events that another server did not confirm to this one, with new numbers: those of the other say nothing to it.
func (f *Forwarder) renumber() {
	for i := range f.window.entries {
		f.resendAnew(&f.window.entries[i])
	}
}

// sendAgain sends unconfirmed events with new numbers because the manager cannot tell whether it had those of the old ones.
func (f *Forwarder) sendAgain(indexes []uint64) {
	for i := range f.window.entries {
		if e := &f.window.entries[i]; slices.Contains(indexes, e.index) {
			f.resendAnew(e)
		}
	}
}

func (f *Forwarder) resendAnew(e *windowEntry) {
	if e.done {
		return
	}
	packet, n, err := f.transmit([]byte(e.payload))
	if packet == nil {
		e.done = true
		return
	}
	if err != nil {
		f.log.Debug("Sending again: %v", err)
	}
	f.log.Debug("An event without receipt is sent again as message %v.", n)
	f.stats.resent.Add(1)
	e.index, e.packet, e.sent = agentwire.Index(n.Global, n.Local), slices.Clone(packet), time.Now()
}

func (f *Forwarder) lockPath() string { return filepath.Join(f.o.Root, "queue", "ossec", ".wait") }

// lock tells other local programs to wait with their messages (spec protocol.md, section 9.2).
func (f *Forwarder) lock() {
	if err := os.WriteFile(f.lockPath(), []byte("l"), 0o660); err != nil {
		f.log.Every("lock", time.Minute).Error("Setting the lock: %v", err)
	}
}

func (f *Forwarder) unlock() {
	if err := os.Remove(f.lockPath()); err != nil && !os.IsNotExist(err) {
		f.log.Every("lock", time.Minute).Error("Releasing the lock: %v", err)
	}
}
