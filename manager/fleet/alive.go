package fleet

import (
	"cmp"
	"context"
	"os"
	"slices"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/keys"
)

// Status is what is known of one agent.
type Status struct {
	Key       *keys.Key
	Connected bool
	Keepalive time.Time // of the last keepalive; zero = never
	Cipher    keys.Cipher
	Vedette   bool // speaks Vedette's extensions
}

// Agents lists all agents that have a usable key, by id.
func (f *Fleet) Agents() []Status {
	all := f.o.Keys.All()
	out := make([]Status, 0, len(all))
	f.mu.Lock()
	for _, k := range all {
		out = append(out, f.status(k))
	}
	f.mu.Unlock()
	slices.SortStableFunc(out, func(a, b Status) int { return cmp.Compare(a.Key.ID, b.Key.ID) })
	return out
}

// Agent gives the state of one agent; false when no usable key has the id.
func (f *Fleet) Agent(id string) (Status, bool) {
	k := f.o.Keys.ByID(id)
	if k == nil {
		return Status{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status(k), true
}

func (f *Fleet) status(k *keys.Key) Status {
	s := f.sessions[k]
	if s == nil {
		return Status{Key: k}
	}
	st := Status{Key: k, Connected: s.active, Cipher: s.cipher, Vedette: s.vedette}
	if s.keepalive > 0 {
		st.Keepalive = time.Unix(s.keepalive, 0)
	}
	return st
}

// readInfo takes over who was connected when the manager stopped, so that an agent that went away meanwhile is reported.
func (f *Fleet) readInfo() {
	now := f.o.Now().Unix()
	for _, k := range f.o.Keys.All() {
		path, ok := f.infoPath(k)
		if !ok {
			continue
		}
		st, err := os.Stat(path)
		if err != nil {
			continue
		}
		s := f.session(k)
		s.keepalive = min(st.ModTime().Unix(), now)
		s.active = now-s.keepalive <= f.patience(s)
	}
}

// patience is how long an agent may be silent, in seconds: three intervals and 30 s, with its own interval when that is longer than
// the expected one.
func (f *Fleet) patience(s *session) int64 {
	return 3*max(int64(f.o.Interval/time.Second), s.interval()) + 30
}

// checkAlive reports agents that fell silent (spec protocol.md, section 12).
func (f *Fleet) checkAlive(ctx context.Context) {
	now := f.o.Now()
	var gone []*keys.Key
	f.mu.Lock()
	for _, s := range f.sessions {
		if s.active && now.Unix()-s.keepalive > f.patience(s) {
			s.active, s.greeted = false, false
			gone = append(gone, s.key)
		}
	}
	f.mu.Unlock()
	slices.SortFunc(gone, func(a, b *keys.Key) int { return cmp.Compare(a.Line, b.Line) })
	for _, k := range gone {
		f.log.Debug("Agent '%s' (%s) fell silent: it counts as disconnected.", k.Name, k.ID)
		if f.o.Deliver == nil {
			return
		}
		name := k.Name + "-" + k.IP
		f.o.Deliver(ctx, event.NewEvent(event.Message{Kind: event.KindLog, Location: name + "->ossec-monitord",
			Text: "ossec: Agent disconnected: '" + name + "'."}, now))
	}
}
