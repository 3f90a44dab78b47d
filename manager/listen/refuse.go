package listen

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

// refusals writes the lines about packets that were not accepted. Anybody can send such packets, from any address, so that lines are
// bounded twice: one for the same text and source in a period, and maxRefusals for each kind. What was left out is summed up in the first line
// of the next period, and the Server's counters have everything.
type refusals struct {
	log   *olog.Log
	every time.Duration // period; 0 = no limits

	mu    sync.Mutex
	kinds map[int]*refusalKind // by OSSEC's message number; 0 = any other error
}

// maxRefusals is the number of lines of one kind in a period.
const maxRefusals = 20

type refusalKind struct {
	since time.Time
	seen  map[string]struct{} // texts with their sources, at most maxRefusals
	left  int                 // packets without a line
}

// add tells of a packet.
func (r *refusals) add(err error, src netip.Addr, now time.Time) {
	var e *keys.Error
	code, text := 0, ""
	if errors.As(err, &e) {
		code, text = e.Code, e.Text(src.String())
	} else {
		text = err.Error()
	}
	left, ok := r.pass(code, text, src, now)
	if left > 0 {
		r.log.Warn("%d more packets were refused for the reason (%d) since the last line about it.", left, code)
	}
	if e != nil && (r.log.Debugging(2) || ok && e.Detail != "" && r.log.Debugging(1)) { // with the detail; at level 2 for each packet
		r.log.Debug("Packet of %s refused: %s (%s)", src, text, e.Detail)
	}
	switch {
	case !ok:
	case e == nil:
		r.log.Error("%s", text)
	default:
		r.log.Code(code, e.Level(), "%s", text)
	}
}

// pass decides whether a line is written, and how many packets of the kind had none in the period that has just ended.
func (r *refusals) pass(code int, text string, src netip.Addr, now time.Time) (left int, ok bool) {
	if r.every <= 0 {
		return 0, true
	}
	key := text + "\x00" + src.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.kinds[code]
	if k == nil {
		if r.kinds == nil {
			r.kinds = map[int]*refusalKind{}
		}
		k = &refusalKind{seen: map[string]struct{}{}, since: now}
		r.kinds[code] = k
	}
	if now.Sub(k.since) >= r.every {
		left = k.left
		k.since, k.left = now, 0
		clear(k.seen)
	}
	if _, again := k.seen[key]; again || len(k.seen) >= maxRefusals {
		k.left++
		return left, false
	}
	k.seen[key] = struct{}{}
	return left, true
}
