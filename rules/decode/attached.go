package decode

import "slices"

// Attached reports whether events can carry name as their decoder: whether it is an internal decoder, a top-level one, or a child with
// use_own_name. A child that goes by its parent's name is Known, but never attached (spec section 4.3).
func (d *Decoders) Attached(name string) bool {
	if slices.Contains(internalNames, name) {
		return true
	}
	for _, l := range []*list{&d.programs, &d.plain} {
		for _, n := range l.nodes {
			if n.shown == name {
				return true
			}
			for _, c := range n.children.nodes {
				if c.shown == name {
					return true
				}
			}
		}
	}
	return false
}
