// Package findings is the manager's memory of rootcheck findings (spec rootcheck.md, sections 12 to 14): which text a host has reported
// before, since when, and when last. It keeps OSSEC's files, one per location below queue/rootcheck, that agent_control and other tools read:
//
//	!LASTSEEN!FIRSTSEEN TEXT
//
// The invariant: the files are the truth. The index in memory holds only where a text stands in its file; it is made anew whenever the file
// is no longer the one that was indexed (cleared by rootcheck_control, replaced, edited). A new finding is one append, a known one
// overwrites ten digits in place, so a reader never sees half a state and a crash loses at most the finding in progress.
package findings
