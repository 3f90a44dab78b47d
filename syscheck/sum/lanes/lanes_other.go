//go:build !amd64 || purego

package lanes

// supported is empty: there are no lanes here, and no State is made.
var supported []Kind

func (s *State) blocks(Set, *[Max]*byte, int, int) { panic("lanes: no lanes on this processor") }
