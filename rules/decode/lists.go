package decode

// Tops reports whether there is any top-level decoder for events with a program name, or for those without: the two lists are separate,
// and the test tool says less about an event whose list is empty (spec decoders.md, section 13).
func (d *Decoders) Tops(program bool) bool {
	if program {
		return len(d.programs.nodes) > 0
	}
	return len(d.plain.nodes) > 0
}
