package decode

import (
	"slices"

	"github.com/vedette-hids/vedette/event"
)

// Facts is what is known of the events that carry a decoder's name, whichever of the decoders that share the name is meant.
type Facts struct {
	Types  []event.DecoderType
	FTS    bool // some have key fields of first-time-seen
	Fields []string
	Plugin bool // a plugin may set any type and field
}

// Facts tells what is known of each name that events can carry. A child that goes by its parent's name is Known, but never carried by an
// event (spec section 4.3).
func (d *Decoders) Facts() map[string]*Facts {
	out := map[string]*Facts{}
	for _, name := range internalNames {
		out[name] = &Facts{Types: []event.DecoderType{event.TypeOSSEC}, FTS: name == Rootcheck}
	}
	add := func(n *node) {
		f := out[n.shown]
		if f == nil {
			f = &Facts{}
			out[n.shown] = f
		}
		if !slices.Contains(f.Types, n.typ) {
			f.Types = append(f.Types, n.typ)
		}
		f.FTS = f.FTS || n.fts != 0
		f.Plugin = f.Plugin || n.plugin != nil
		for _, o := range n.order {
			if o.dynamic != "" && !slices.Contains(f.Fields, o.dynamic) {
				f.Fields = append(f.Fields, o.dynamic)
			}
		}
	}
	for _, l := range []*list{&d.programs, &d.plain} {
		for _, n := range l.nodes {
			add(n)
			for _, c := range n.children.nodes {
				add(c)
			}
		}
	}
	return out
}
