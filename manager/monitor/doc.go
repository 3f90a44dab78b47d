// Package monitor closes each day: when the local date has changed it makes the daily reports, writes checksums of the ended day's log files,
// each chained to those of the day before, and compresses the files (spec outputs.md, sections 7 and 12).
//
// The invariant: a log file disappears only after its compressed form is complete on disk, and a day counts as closed when its checksum
// file is there. So a stop at any moment loses nothing: the next start closes the days that are open.
package monitor
