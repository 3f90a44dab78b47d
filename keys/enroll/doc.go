// Package enroll gives agents their keys over TLS, as ossec-authd does (spec protocol.md, sections 19 and 20).
//
//   - ParseRequest, FormatRequest, FormatKey, ParseReply are the two messages.
//   - Registrar decides (name, address, id) and writes client.keys.
//   - Server answers connections; Certificate makes what it needs to be a TLS server.
//
// Sub-packages: authd is the command ossec-authd, agentauth the command agent-auth.
//
// The invariant: a key is in client.keys, on disk, before its agent gets it; and no two agents ever get the same id, whichever programs
// edit the file at the same time.
package enroll
