// Package agentwire holds the plain texts that agent and manager exchange inside the encrypted channel (spec protocol.md, sections 11
// to 13): control messages, the keepalive, the bundle of shared files, response requests, and the two extensions that only Vedette peers use
// (frames on TCP, acknowledgement of events). It sits below both sides so that neither has to import the other.
//
// The one invariant: every parser takes text from the other side as untrusted, is bounded by the length of what it was given, and never
// panics.
package agentwire

// The control messages (spec protocol.md, section 11). Texts are compared exactly, final blanks included.
const (
	Header          = "#!-"
	Startup         = "agent startup " // agent to manager
	Ack             = "agent ack "     // manager to agent, for every control message
	Exec            = "execd "         // manager to agent, followed by a response request
	Rescan          = "syscheck restart"
	FileBegin       = "up file "
	FileEnd         = "close file "
	RestartRequest  = "restart-ossec0 - null (from_the_server) (no_rule_id)"
	MergedName      = "merged.mg"
	keepalivePrefix = "keepalive"
)

// Limits of the reference peers in bytes (spec protocol.md, sections 8 and 24).
const (
	MaxPacket       = 6144 // datagram
	MaxPayload      = 6016 // payload that a peer sends
	MaxKeepalive    = 1023
	MaxSystem       = 510 // uname part of a keepalive
	MaxControlBody  = 1024
	MaxExec         = 1023
	ChunkSize       = 900 // bytes of a shared file per packet
	ChunksPerSecond = 31
)

// Control reports whether a payload is a control message and returns its text after the header.
func Control(payload []byte) (text []byte, ok bool) {
	if len(payload) < len(Header) || string(payload[:len(Header)]) != Header {
		return nil, false
	}
	return payload[len(Header):], true
}

// DroppedLocation reports whether a manager drops an event of this location silently.
func DroppedLocation[text string | []byte](location text) bool {
	return len(location) >= len(keepalivePrefix) && string(location[:len(keepalivePrefix)]) == keepalivePrefix
}
