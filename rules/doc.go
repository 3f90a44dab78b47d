// Package rules is the detection library: it compiles OSSEC's decoder files, lists and rules files into a Ruleset, finds the rule that
// an event ends in, correlates it with earlier events and decides on alerts (spec rules.md). It reads no clocks, starts no goroutines and
// opens no files, but for two helpers in files of their own: ReadSources and DirStats.
//
// There are two halves, and the seam between them is the architecture's:
//
//	src, probs := rules.ReadSources(root, cfg.Rules)
//	rs, more := rules.Load(src, opts)             // everything that is wrong, at once
//	state := rules.NewState(rs, rules.Stores{})
//
//	// on any number of goroutines, each with its own Scratch: the pure part
//	rs.Prepare(ev, &scratch, &prepared)
//
//	// on one goroutine, in order of arrival: the part with a memory
//	out := state.Process(&prepared, now)
//	if out.Extra != nil { write(out.Extra) }      // statistical alert
//	if out.Alert != nil { write or respond }
//	archive unless out.Reason.Dropped()
//
// Prepare decodes the event and finds the candidates: the tree positions whose conditions on the event hold, with those above them.
// Process walks the candidates only, tests what depends on earlier events (check_diff, if_fts, correlation), and keeps the ignore windows,
// counters and alert numbers. A reload compiles a new Ruleset and calls State.Swap; events that were prepared with the old one are
// prepared again by Process.
//
// Integrity, rootcheck and host information events are decoded by their own stores; those call decode.Predecode and fill Decoder,
// DecodedAs, Type and Log, and then Prepare only looks for candidates.
//
// Beside matching there are Statistics (usual numbers of events, totals), State.Explain (why each rule did or did not match),
// State.Trace (the tried rules, as the verbose test tool prints them) and Ruleset.Lint (what loads but can hardly be meant). Package
// unittest runs tests of rules, package list holds the lists.
//
// The invariant: indexes, filters and views never change a result. Trace walks the tree as the spec writes it, and the tests compare
// both ways on all vectors, on real logs and on random rules and events.
//
// With Options.OssecExact the silent mis-evaluations of OSSEC 4.3 are restored (inverted list look-ups, lists that are not enforced,
// overwrite that keeps old conditions). Without it they are corrected; all else is equal.
package rules
