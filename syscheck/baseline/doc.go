// Package baseline is the manager side of file integrity monitoring (spec syscheck.md, sections 9 to 14): it remembers the state of every
// monitored file of every agent, decides what an integrity message means, and composes the alert text.
//
// State lies in one SQLite database, queue/syscheck/vedette-fim.db. A decision is written to a journal file before Apply returns, and the
// journal is put into the database in batches: a manager that is killed knows, after its next start, everything that it decided before. OSSEC's
// text databases in the same directory are taken over when a Store is opened and are left as they are; Export writes that form.
//
// The one invariant: the rows of a location, ordered by their sequence number, are the lines of OSSEC's text database of it, in the same
// order and with the same prefixes.
package baseline
