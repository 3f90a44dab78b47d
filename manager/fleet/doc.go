// Package fleet knows the agents of a manager: who is connected, what they say about themselves, which shared files they hold, and how to
// reach them (spec protocol.md, sections 1.4, 11 to 13 and 15).
//
// The secure listener gives every control message to Control; everything that takes time (files, pushes) happens in goroutines of Run. Commands
// go down through a Sender, which the listener is as well.
//
// The one invariant: no text of an agent decides a path. File names are made of the key's name and address, and those are checked.
package fleet
