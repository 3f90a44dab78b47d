// Package keys holds what two peers must share to talk: the file of agent keys, the cipher and packet format of the secure channel,
// and the message counters that keep a recorded packet from being played back.
//
//   - Store is client.keys: look-up by id, address and name, live reload, 50,000 entries without effort (spec protocol.md, section 1).
//   - Codec seals and opens packets (sections 3 to 6). It knows keys, not counters.
//   - Counters is queue/rids: the next number to send and, for each key, which numbers have been seen (section 7).
//   - File is client.keys for editing: add, remove, replace (sections 1.3, 2, 21).
//
// The one invariant: a *Key stays the same pointer for as long as its line in client.keys stays the same, so everything that is
// remembered about a peer (ciphers, counters, what a caller keeps in a map) survives a reload exactly when the key does.
//
// Sub-packages: keys/enroll is the enrolment server and its client, keys/manageagents and keys/agentcontrol are the operator's tools.
package keys
