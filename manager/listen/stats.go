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
	format, wrongKey, duplicate        atomic.Uint64
	unknownAgent, wrongAddress         atomic.Uint64
	unproved                           atomic.Uint64
}

func (s *Stats) countCode(e *keys.Error) {
	switch e.Code {
	case keys.CodeFormat:
		s.format.Add(1)
	case keys.CodeWrongKey, keys.CodeChecksum, keys.CodeUncompress:
		s.wrongKey.Add(1)
	case keys.CodeDuplicate:
		s.duplicate.Add(1)
	case keys.CodeNotAllowed:
		s.unknownAgent.Add(1)
	case keys.CodeInvalidID:
		if e.Known {
			s.wrongAddress.Add(1)
		} else {
			s.unknownAgent.Add(1)
		}
	}
}

// Snapshot is the state of the counters of a Server at one moment.
type Snapshot struct {
	Packets, Bytes uint64 // received
	Events         uint64 // delivered
	Controls       uint64 // control messages
	Refused        uint64 // packets that were not accepted, all reasons below included
	Format         uint64 // no packet of the protocol
	WrongKey       uint64 // decryption, decompression or sum failed
	Duplicate      uint64 // counter seen before
	UnknownAgent   uint64 // no key has the id, or without id the address
	WrongAddress   uint64 // a known id from an address that it may not have
	Rejected       uint64 // by crypto_accept
	Unproved       uint64 // TCP connections that ended, or were refused, without a valid packet
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
		Refused: t.refused.Load(), WrongKey: t.wrongKey.Load(), Duplicate: t.duplicate.Load(), Format: t.format.Load(),
		Unproved: t.unproved.Load(), UnknownAgent: t.unknownAgent.Load(), WrongAddress: t.wrongAddress.Load(),
		Rejected: t.rejected.Load(), Malformed: t.malformed.Load(), KernelLost: t.kernelLost.Load(), Dropped: t.dropped.Load(),
		Waits: t.waits.Load(), Unsent: t.unsent.Load(),
	}
}
