// Package spool keeps an agent's events on disk while no manager answers: a first-in-first-out queue of small records with a bound on
// its size.
//
// A directory holds segment files (numbered, appended to, never changed otherwise) and one cursor file. Every record carries a checksum. The
// writer appends to the newest segment; the reader walks from the cursor. Next hands records out, Commit says that they arrived, Rewind
// takes back what was handed out but not committed. When the bound is reached the oldest segment goes, and what was unread in it is counted.
//
// On a full disk Append fails and changes nothing; everything else goes on, as the cursor has its place from the start. What cannot be read
// again is counted, and the rest of the queue is used.
//
// The one invariant: after a crash at any moment Open finds every record whose Append returned (as far as the operating system kept it: Sync
// asks for more) and none that was committed, except for those of the last commit.
package spool
