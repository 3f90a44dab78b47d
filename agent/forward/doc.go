// Package forward is the network half of an agent (spec protocol.md, sections 8, 9, 11 to 14 and 17): it carries events to a manager and brings
// the manager's commands and shared files back.
//
// The host half meets it at two places only: Forwarder is the event.Sink that components send to, and Options.Command is called with
// each event.Command that a manager sent.
//
// While no manager answers, events go to the spool on disk and follow, in order, when one does. A Vedette manager acknowledges events, so
// that they are kept until they have arrived; an OSSEC manager does not, and what was on its way when it died is lost.
//
// The one invariant: one goroutine (Run) owns the connection, the spool and the order of events. Everything else hands it messages.
package forward
