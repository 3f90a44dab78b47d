// Package logtest is the tool ossec-logtest: log lines in, and for each the phases of its analysis out, with the flags, texts and exit
// codes of OSSEC (spec decoders.md, section 13; rules.md, section 16).
//
// It goes further in two ways. --explain says for every tried rule, or with --explain=ID for one rule and those above it, which condition
// did not hold and what the event had instead. --json gives one object per event on standard output.
//
// The invariant: testing changes nothing. The state of the install root (first-time-seen keys, ignored lines, last texts of check_diff
// rules) is read, so that results are those of the running manager, and everything learnt stays in memory.
package logtest
