// Package syscheck is the host side of file integrity monitoring (spec syscheck.md): it walks the configured directories, watches those with
// realtime="yes", and sends one message for every file that is new, changed or gone.
//
// A Monitor has one operation at its heart, check(path): look at the file, compare it with the baseline, send the message, and
// only then change the baseline. Everything else finds paths that may need it: the walker of a scan (walk.go), which compares the tree with
// the baseline by file attributes and hands over what differs, and the realtime watcher (realtime.go), which coalesces events. The
// check of a path is serialised by a lock on the path, so that both can run at once.
//
// The one invariant: the baseline never holds a state that was not handed to the sink before. A crash at any point repeats a
// message, which the manager recognises as known, and never swallows one.
package syscheck
