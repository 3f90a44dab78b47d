// Package report makes the summaries of a day's alerts: the tool ossec-reportd reads alerts.log text and prints one, the monitor mails
// them (spec outputs.md, sections 12.1 and 13).
//
// A Summary is fed entries one by one and keeps only counts, so its size depends on how many different values there are, not on how many
// alerts; only the optional log dump grows with the alerts, and it is bounded.
package report
