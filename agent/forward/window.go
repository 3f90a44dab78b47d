package forward

import (
	"slices"
	"time"

	"github.com/vedette-hids/vedette/agent/spool"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// windowSize is how many events may be unconfirmed; less than half of what a receipt tells of.
const windowSize = agentwire.Window/2 - 64

// reorder is how many later messages may arrive before an event counts as lost.
const reorder = 8

// windowEntry is an event that was sent and not confirmed.
type windowEntry struct {
	index   uint64
	packet  []byte // as sent: sent again it has the same number, so that the manager takes it once
	payload string
	pos     spool.Pos // behind its record, for events from the spool
	spooled bool
	done    bool
	sent    time.Time // last time
	tries   int
}

// window holds unconfirmed events, oldest first. The zero value is ready.
type window struct {
	entries []windowEntry
}

func (w *window) full() bool { return len(w.entries) >= windowSize }

func (w *window) add(n keys.Counter, packet []byte, payload string, from *spool.Pos, now time.Time) {
	e := windowEntry{index: agentwire.Index(n.Global, n.Local), packet: slices.Clone(packet), payload: payload, sent: now, tries: 1}
	if from != nil {
		e.pos, e.spooled = *from, true
	}
	w.entries = append(w.entries, e)
}

// confirm takes out what a receipt names. It returns the number of events confirmed and the place up to which the spool is done (nil:
// no change).
func (w *window) confirm(r *agentwire.Receipts) (n int, pos *spool.Pos) {
	for i := range w.entries {
		if e := &w.entries[i]; !e.done && r.Has(e.index) {
			e.done = true
			n++
		}
	}
	i := 0
	for i < len(w.entries) && w.entries[i].done {
		if e := &w.entries[i]; e.spooled {
			p := e.pos
			pos = &p
		}
		i++
	}
	w.entries = slices.Delete(w.entries, 0, i)
	return n, pos
}

// due calls resend for events that need it: those overtaken by later ones, and after a wait that grows with each try the oldest ones.
// At most limit are sent, and none after resend returned false.
func (w *window) due(top uint64, anyTop bool, wait time.Duration, now time.Time, limit int, resend func(*windowEntry) bool) {
	for i := range w.entries {
		e := &w.entries[i]
		if e.done {
			continue
		}
		age := now.Sub(e.sent)
		overtaken := anyTop && e.index+reorder < top && age >= wait/4
		if !overtaken && age < wait<<min(e.tries-1, 3) {
			continue
		}
		if limit--; limit < 0 {
			return
		}
		e.sent = now
		e.tries++
		if !resend(e) {
			return
		}
	}
}

// underWay counts the unconfirmed events that were sent less than a wait ago.
func (w *window) underWay(now time.Time, wait time.Duration) (n int) {
	for i := range w.entries {
		if e := &w.entries[i]; !e.done && now.Sub(e.sent) < wait {
			n++
		}
	}
	return n
}

// restart makes every event due at once: the connection is new.
func (w *window) restart() {
	for i := range w.entries {
		w.entries[i].sent, w.entries[i].tries = time.Time{}, 1
	}
}

func (w *window) empty() bool { return len(w.entries) == 0 }

// live lists unconfirmed events that are not in the spool.
func (w *window) live() []windowEntry {
	var out []windowEntry
	for _, e := range w.entries {
		if !e.done && !e.spooled {
			out = append(out, e)
		}
	}
	return out
}

// clear gives up on confirmation and returns the place up to which the spool is done (nil: no change).
func (w *window) clear() (pos *spool.Pos) {
	for i := range w.entries {
		if e := &w.entries[i]; e.spooled {
			p := e.pos
			pos = &p
		}
	}
	clear(w.entries)
	w.entries = w.entries[:0]
	return pos
}
