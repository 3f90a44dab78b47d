// Package decode turns raw events into decoded ones: pre-decoding (header, host, program name), decoder files and the decoder tree,
// plugin decoders, first-time-seen keys and the accumulator (spec decoders.md).
//
// There are two halves. Predecode and Decoders.Decode are pure: they read the event and immutable tables only, so any number of
// goroutines may decode at once, each with its own Scratch. FTSStore, Accumulator and Hostinfo keep state between events; they belong to
// the ordered part of the pipeline and are used by one goroutine.
//
// The one invariant: indexes, caches and pre-filters never change a result. Decode gives what the sequential walk of the spec gives,
// which the tests check against a plain implementation of that walk.
package decode
