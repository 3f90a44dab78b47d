// Package logcollector follows log files, runs commands and reads the journal, and hands every event to a Sink (spec logcollector.md).
//
// One goroutine reads all files, each a turn at a time so that a busy file does not keep the others waiting; it is woken by file events,
// and by a timer as a net. Reading stops while the Sink blocks, so a slow manager pushes back and nothing is lost. What it promises: every
// complete line that is written is delivered at least once, in the order of its file, across rotation, truncation and restarts.
// Positions are stored after delivery, and they stand before the first line of an event that is still open.
//
// A log format is an Assembler: it is given lines and emits events. follow.go knows files, names.go knows names, rotate.go knows what
// became of a file; assembler files know formats. Neither side knows the other.
package logcollector
