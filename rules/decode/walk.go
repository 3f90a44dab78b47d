package decode

import (
	"math/bits"
	"strings"

	"github.com/vedette-hids/vedette/event"
)

// Decode runs the decoders over a pre-decoded event and fills Decoder, DecoderParent, DecodedAs, Type, Fields, Dynamic, FTS, FTSFields,
// FTSComment and Accumulate; what an earlier call left there is removed. Only the OSSECAlert plugin changes other fields.
//
// It is meant for all kinds but syscheck, rootcheck and host information. It is pure and may run on many goroutines, each with its
// own Scratch. Field values are substrings of ev.Log.
func (d *Decoders) Decode(ev *event.Event, sc *Scratch) {
	ev.Decoder, ev.DecoderParent, ev.DecodedAs, ev.FTSComment = "", "", "", ""
	ev.Type, ev.FTS, ev.FTSFields, ev.Accumulate, ev.ForwardedRule = event.TypeSyslog, false, 0, false, 0
	ev.Fields.Reset()
	ev.Dynamic = ev.Dynamic[:0]
	sc.Captured = sc.Captured[:0]

	top, pmatch := d.selectTop(ev, sc)
	if top == nil {
		return
	}
	top.mark(ev)
	if len(top.children.nodes) == 0 {
		w := walker{d: d, ev: ev, sc: sc, pmatch: pmatch, cmatch: pmatch}
		w.extract(top, -1)
		return
	}
	kids := &top.children
	i, cmatch := kids.selectChild(ev.Log, pmatch, sc)
	if i < 0 {
		return
	}
	child := kids.nodes[i]
	if child.prematch != nil {
		child.mark(ev)
	}
	w := walker{d: d, ev: ev, sc: sc, pmatch: pmatch, cmatch: cmatch, group: kids}
	w.extract(child, i)
}

// selectTop finds the top-level decoder of an event and the end of its prematch (spec section 6, steps 1 and 2).
func (d *Decoders) selectTop(ev *event.Event, sc *Scratch) (*node, int) {
	l := &d.plain
	if ev.HasProgram {
		l = &d.programs
	}
	if len(l.nodes) == 0 {
		return nil, 0
	}
	cand := l.start
	if ev.HasProgram {
		cand = d.programBits(ev.ProgramName, sc)
	}
	if ones(cand) >= minIndexed {
		narrowed := l.candidates(ev.Log, 0, sc)
		for w, b := range cand {
			narrowed[w] &= b
		}
		cand = narrowed
	}
	for w, word := range cand {
		for ; word != 0; word &= word - 1 {
			n := l.nodes[w*64+bits.TrailingZeros64(word)]
			if n.prematch == nil {
				return n, 0
			}
			if end, ok := sc.find(n.prematch, ev.Log); ok {
				return n, end
			}
		}
	}
	return nil, 0
}

func ones(set []uint64) (n int) {
	for _, w := range set {
		n += bits.OnesCount64(w)
	}
	return n
}

// selectChild finds the child that takes a log and the end of its prematch; -1 if none does (step 4).
func (l *list) selectChild(log string, pmatch int, sc *Scratch) (int, int) {
	cand := l.candidates(log, pmatch, sc)
	skipBelow := 0 // exact mode: a failed group head hides what stands before this position
	for w, word := range cand {
		for ; word != 0; word &= word - 1 {
			i := w*64 + bits.TrailingZeros64(word)
			if i < skipBelow {
				continue
			}
			n := l.nodes[i]
			if n.prematch == nil {
				return i, pmatch
			}
			from := 0
			if n.preAt == afterParent {
				from = pmatch
			}
			if end, ok := sc.find(n.prematch, log[from:]); ok {
				return i, from + end
			}
			if l.resume != nil {
				skipBelow = l.resume[i]
			}
		}
	}
	return -1, 0
}

// walker runs the extraction patterns of a taken node and its group (step 5).
type walker struct {
	d              *Decoders
	ev             *event.Event
	sc             *Scratch
	pmatch, cmatch int
	group          *list // the child list, nil for a top-level decoder
}

func (w *walker) extract(n *node, i int) {
	if n.plugin != nil {
		n.plugin(w.ev, &w.d.opts)
		return
	}
	previous := -1
	for n.regex != nil {
		from := 0
		switch n.regexAt {
		case afterParent:
			from = w.pmatch
		case afterPrematch:
			from = w.cmatch
		case afterRegex:
			from = w.cmatch
			if previous >= 0 {
				from = previous
			}
		}
		end, caps, ok := n.regex.Find(w.ev.Log[from:], w.sc.caps[:0])
		if ok {
			previous = from + end
			n.mark(w.ev)
			assign(w.ev, n.order, caps)
			w.sc.keep(n.order, caps)
		} else {
			previous = -1
		}
		w.sc.caps = caps[:0]
		if i < 0 || w.group.next[i] < 0 {
			return
		}
		i = w.group.next[i]
		n = w.group.nodes[i]
	}
}

// mark makes n the decoder of the event.
func (n *node) mark(ev *event.Event) {
	ev.Decoder, ev.DecodedAs, ev.DecoderParent, ev.FTSComment = n.shown, n.shown, n.parent, n.comment
	ev.Type, ev.FTS, ev.FTSFields, ev.Accumulate = n.typ, n.fts != 0, n.fts, n.accumul
}

// find runs a pattern for its end offset only.
func (sc *Scratch) find(p finder, s string) (int, bool) {
	end, caps, ok := p.Find(s, sc.caps[:0])
	sc.caps = caps[:0]
	return end, ok
}

func (sc *Scratch) keep(order []orderName, caps []string) {
	if !sc.Trace {
		return
	}
	for i, v := range caps {
		if i < len(order) {
			sc.Captured = append(sc.Captured, Captured{order[i].label(), v})
		}
	}
}

// The cache of program names is bounded in entries and in the length of a name, since senders choose names freely.
const (
	maxCachedPrograms    = 512
	maxCachedProgramName = 64
)

// programBits returns the set of program decoders whose program name pattern matches name.
func (d *Decoders) programBits(name string, sc *Scratch) []uint64 {
	if sc.owner != d {
		sc.owner, sc.programs = d, make(map[string][]uint64)
	}
	if b, ok := sc.programs[name]; ok {
		return b
	}
	l := &d.programs
	set := make([]uint64, l.words())
	l.programIndex.lookup(name, set)
	for w := range set {
		for word := set[w]; word != 0; word &= word - 1 {
			bit := bits.TrailingZeros64(word)
			if !l.nodes[w*64+bit].program.MatchString(name) {
				set[w] &^= 1 << bit
			}
		}
	}
	if len(name) > maxCachedProgramName {
		return set
	}
	if len(sc.programs) >= maxCachedPrograms {
		clear(sc.programs)
	}
	sc.programs[strings.Clone(name)] = set
	return set
}
