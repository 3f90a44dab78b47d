// Package list reads, writes and compiles the key/value lists that rules consult with their <list> element (spec rules.md, section
// 11; operations.md, section 11.4).
//
// A list exists in two forms: a text file P, one "key:value" per line, and P.cdb, a constant database in D. J. Bernstein's 32-bit
// format. Both become a DB: an immutable table in memory, safe for concurrent use. A DB is never changed; a list that changed on disk
// is read again into a new DB.
//
// The invariant: Parse and ReadCDB of the compiled form of the same text answer every Get alike; of equal keys the first one counts.
package list
