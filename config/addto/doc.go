// Package addto is the tool util.sh: it adds a log file, the DNS records of a domain or the front page of a site to what is watched
// (spec operations.md, 11.4).
//
// The invariant: a file is only replaced by one that reads well and has the new entry, all at once, with its owner and mode kept. Where
// OSSEC's script appends whatever it is given, a name that cannot stand in the file is refused.
package addto
