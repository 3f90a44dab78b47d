// Package protect knows which addresses a response must never block: those that are not hosts at all (unspecified, loopback,
// multicast, broadcast), the machine's own addresses, its default gateways and name servers, the managers of an agent, and the
// operator's allow list (spec active-response.md, sections 5 and 18).
//
// The same list is asked twice, on the manager before a response is sent and on the host before it is run, because either side may be
// older, mistaken or lied to. A List is what the operator wrote; a Host is what the machine found out about itself. The invariant: a
// block of a network is refused as soon as one protected address lies in it.
package protect
