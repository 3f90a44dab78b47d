package listen

import (
	"sync/atomic"

	"github.com/vedette-hids/vedette/keys"
)

// Stats counts what a Server did. All counters only grow.
type Stats struct {
	packets, bytes, events, controls   atomic.Uint64
	refused, rejected, malformed       atomic.Uint64
	kernelLost, dropped, waits, unsent atomic.Uint64
	wrongKey, duplicate, notAllowed    atomic.Uint64
}

func (s *Stats) countCode(code int) {
	switch code {
	case keys.CodeWrongKey, keys.CodeChecksum, keys.CodeUncompress:
		s.wrongKey.Add(1)
	case keys.CodeDuplicate:
		s.duplicate.Add(1)
	case keys.CodeNotAllowed, keys.CodeInvalidID:
		s.notAllowed.Add(1)
	}
}

// Snapshot is the state of the counters of a Server at one moment.
type Snapshot struct {
	Packets, Bytes uint64 // received
	Events         uint64 // delivered
	Controls       uint64 // control messages
	Refused        uint64 // packets that were not accepted, all reasons below included
	WrongKey       uint64 // decryption, decompression or sum failed
	Duplicate      uint64 // counter seen before
	NotAllowed     uint64 // unknown id or address
	Rejected       uint64 // by crypto_accept
	Malformed      uint64 // accepted packets whose payload is no message (1106)
	KernelLost     uint64 // datagrams that the kernel threw away (Linux)
	Dropped        uint64 // packets in hand when the Server was stopped
	Waits          uint64 // times a reader waited for a worker
	Unsent         uint64 // messages to agents that could not be sent
}

// Stats gives the counters.
func (s *Server) Stats() Snapshot {
	t := &s.stats
	return Snapshot{
		Packets: t.packets.Load(), Bytes: t.bytes.Load(), Events: t.events.Load(), Controls: t.controls.Load(),
		Refused: t.refused.Load(), WrongKey: t.wrongKey.Load(), Duplicate: t.duplicate.Load(), NotAllowed: t.notAllowed.Load(),
		Rejected: t.rejected.Load(), Malformed: t.malformed.Load(), KernelLost: t.kernelLost.Load(), Dropped: t.dropped.Load(),
		Waits: t.waits.Load(), Unsent: t.unsent.Load(),
	}
}
