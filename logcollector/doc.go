// Package logcollector follows log files, runs commands and reads the journal, and hands every event to a Sink (spec logcollector.md).
//
// One goroutine reads all files in configuration order; it is woken by file events, and by a timer as a net. Reading stops while the
// Sink blocks, so a slow manager pushes back and nothing is lost. What it promises: every complete line that is written is delivered
// at least once, in the order of its file, across rotation, truncation and restarts; positions are stored after delivery.
//
// A log format is an Assembler: it is given lines and emits events. follow.go knows files, assembler files know formats, neither knows
// the other.
package logcollector
