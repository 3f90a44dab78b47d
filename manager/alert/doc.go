// Package alert writes what the manager records of events: alerts.log and alerts.json, the archives and the firewall log, each in a daily
// file under logs/ with a hard link for the current day (spec outputs.md, sections 2 to 7).
//
// The formats are byte exact, because SIEMs and scripts parse them; every function appends to a caller's buffer and allocates nothing
// more. Files is the writer that owns the open files.
package alert
