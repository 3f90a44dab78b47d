// Package listen is where events enter the manager: the secure channel of agents (UDP, and TCP between Vedette peers), the local
// datagram queue, and the syslog listeners (spec protocol.md, sections 6, 8, 10, 14, 16 and 18).
//
//   - Server opens packets of agents and delivers their events. Control messages are acknowledged and handed to a Controller.
//   - LocalQueue reads queue/ossec/queue, which local programs and users' tools write to.
//   - Syslog receives lines of devices that speak syslog.
//
// Readers take many datagrams with one system call and find the key. Each agent belongs to one shard, so that its messages stay in order while
// agents are handled in parallel. While few packets come the reader does the work of an idle shard itself; otherwise it hands them to the
// shard's worker. A worker that waits for the pipeline makes the reader wait, and the kernel's buffer fills: what is lost then is counted.
//
// The one invariant: an event carries the identity of the key that its packet was opened with; nothing in the packet can change that.
package listen
