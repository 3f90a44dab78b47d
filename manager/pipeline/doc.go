// Package pipeline takes events from the listeners to alerts: decoding and the search for candidate rules run in parallel, everything
// that depends on earlier events runs in order of arrival (architecture.md, "Parallel, then ordered").
//
//	Submit ─► batch ─┬─► worker: Prepare ─┐
//	                 └──────── order ─────┴─► stage: stores, State.Process ─► Recorder
//
// The one invariant: a stream of events gives the same alerts whatever the number of workers, because the ordered stage sees batches in
// the order in which they were made, and waits for each to be prepared.
package pipeline
