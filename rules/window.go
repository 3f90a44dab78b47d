package rules

import "github.com/vedette-hids/vedette/event"

// fact is what correlation keeps of an event: the values that modifiers compare, the time, and the texts that alerts list.
type fact struct {
	epoch   int64 // seconds of reception
	mark    int   // level of the highest correlation rule that counted it
	typ     event.DecoderType
	set     uint32 // which of the event's fields are set
	srcIP   string
	srcPort string
	dstPort string
	dstUser string
	id      string
	url     string
	host    string
	log     string // without header
	full    string

	refs  []ref   // where it is stored
	sid   *window // the list of its rule, if it is counted by sid
	group []*window
	inRef [3]ref // room for refs
}

// ref is one place in a window.
type ref struct {
	w   *window
	seq uint64
}

// remember fills a fact from an event.
func (f *fact) remember(ev *event.Event, epoch int64) {
	*f = fact{
		epoch: epoch, typ: ev.Type, set: ev.Fields.Mask(),
		srcIP: ev.Fields.Value(event.SrcIP), srcPort: ev.Fields.Value(event.SrcPort), dstPort: ev.Fields.Value(event.DstPort),
		dstUser: ev.Fields.Value(event.DstUser), id: ev.Fields.Value(event.ID), url: ev.Fields.Value(event.URL),
		host: ev.Hostname, log: ev.Log, full: ev.FullLog,
		group: f.group[:0],
	}
}

func (f *fact) has(k event.Field) bool { return f.set&(1<<k) != 0 }

// setMark marks the fact, and tells the windows that hold it.
func (f *fact) setMark(level int) {
	f.mark = level
	for _, r := range f.refs {
		r.w.noteMark(level, r.seq)
	}
}

// window is a list of facts, oldest first, that grows at the end and is trimmed at the front: a ring.
type window struct {
	ring []*fact // length is a power of two
	base uint64  // sequence number of the oldest
	next uint64  // sequence number after the newest

	marks    []levelMark // newest marked fact of each level
	disorder uint64      // sequence number of the last fact that was older than the one before it
	views    []*view
}

type levelMark struct {
	level int
	seq   uint64
}

func (w *window) len() int { return int(w.next - w.base) }

// at gives the fact with a sequence number between base and next.
func (w *window) at(seq uint64) *fact { return w.ring[seq&uint64(len(w.ring)-1)] }

// push appends f.
func (w *window) push(f *fact) {
	if w.len() == len(w.ring) {
		w.grow()
	}
	if w.next > w.base && f.epoch < w.at(w.next-1).epoch {
		w.disorder = w.next
	}
	w.ring[w.next&uint64(len(w.ring)-1)] = f
	f.refs = append(f.refs, ref{w, w.next})
	if f.mark > 0 {
		w.noteMark(f.mark, w.next)
	}
	w.next++
}

func (w *window) grow() {
	ring := make([]*fact, max(16, 2*len(w.ring)))
	for s := w.base; s < w.next; s++ {
		ring[s&uint64(len(ring)-1)] = w.at(s)
	}
	w.ring = ring
}

// pop removes the oldest fact.
func (w *window) pop() *fact {
	if w.base == w.next {
		return nil
	}
	f := w.at(w.base)
	w.ring[w.base&uint64(len(w.ring)-1)] = nil
	w.base++
	for i := range f.refs {
		if f.refs[i].w == w {
			f.refs = append(f.refs[:i], f.refs[i+1:]...)
			break
		}
	}
	return f
}

// remove takes f out wherever it stands. Removing from the middle happens only with several shards.
func (w *window) remove(f *fact) {
	for s := w.base; s < w.next; s++ {
		if w.at(s) != f {
			continue
		}
		if s == w.base {
			w.pop()
			return
		}
		kept := make([]*fact, 0, w.len())
		for t := w.base; t < w.next; t++ {
			if g := w.at(t); g != f {
				kept = append(kept, g)
			}
		}
		w.rebuild(kept)
		return
	}
}

// rebuild makes the window hold exactly kept, renumbered.
func (w *window) rebuild(kept []*fact) {
	for w.len() > 0 {
		w.pop()
	}
	w.marks = w.marks[:0]
	for _, v := range w.views {
		v.forget()
	}
	for _, f := range kept {
		w.push(f)
	}
}

func (w *window) noteMark(level int, seq uint64) {
	for i := range w.marks {
		if m := &w.marks[i]; m.level == level {
			m.seq = max(m.seq, seq)
			return
		}
	}
	w.marks = append(w.marks, levelMark{level, seq})
}

// barrier is the sequence number after the newest fact with a mark of at least level: a search that reaches what is before fails.
func (w *window) barrier(level int) uint64 {
	b := w.base
	for i := range w.marks {
		if m := &w.marks[i]; m.level >= level {
			b = max(b, m.seq+1)
		}
	}
	return b
}

// ordered reports whether the facts stand in order of time.
func (w *window) ordered() bool { return w.disorder <= w.base }
