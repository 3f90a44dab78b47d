// Package event holds the words that every part of Vedette shares: the Message a collector hands on, the Event it becomes on
// the manager, the Alert that a rule makes of an event, and the Command that goes back down to a host.
//
// The one invariant: an Event is born once, at the edge (ParseQueue or NewEvent), and is only enriched after that. The textual
// location forms "(name) ip->path" exist only in Location, made at the edge; nobody downstream parses them again.
package event
