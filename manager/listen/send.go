package listen

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vedette-hids/vedette/keys"
)

// ErrNotConnected is returned by Send for an agent that has sent no control message since the manager started.
var ErrNotConnected = errors.New("agent is not connected")

// Send seals a payload (1 to 6016 bytes) with the cipher that the agent used last and sends it to where its last control message came
// from. Nothing tells whether it arrives.
func (s *Server) Send(key *keys.Key, payload []byte) error {
	sh := s.shards[shardOf(key, len(s.shards))]
	sh.mu.Lock()
	p := sh.peers[key]
	if p == nil || p.link == nil {
		sh.mu.Unlock()
		return fmt.Errorf("sending to agent %s: %w", key.ID, ErrNotConnected)
	}
	to, l, with := p.addr, p.link, p.cipher
	sh.mu.Unlock()
	err := s.seal(key, with, payload, func(packet []byte) error { return l.send(to, packet) })
	if err != nil {
		s.stats.unsent.Add(1)
		return fmt.Errorf("sending to agent %s: %w", key.ID, err)
	}
	return nil
}

// answer acknowledges a startup message of which nobody knows yet who sent it; the agent's route stays.
func (s *Server) answer(key *keys.Key, with keys.Cipher, l link, to netip.AddrPort) {
	if err := s.seal(key, with, ackPayload, func(packet []byte) error { return l.send(to, packet) }); err != nil {
		s.stats.unsent.Add(1)
	}
}

func (s *Server) seal(key *keys.Key, with keys.Cipher, payload []byte, send func([]byte) error) error {
	n, err := s.o.Counters.Next()
	if err != nil {
		return err
	}
	b := batches.Get().(*batch)
	defer b.release()
	b.data, err = s.codec.Seal(b.data[:0], key, with, false, n, payload)
	if err != nil {
		return err
	}
	return send(b.data)
}

// Forget drops what is kept of agents whose keys are gone.
func (s *Server) Forget(gone []*keys.Key) {
	for _, key := range gone {
		sh := s.shards[shardOf(key, len(s.shards))]
		sh.mu.Lock()
		delete(sh.peers, key)
		sh.mu.Unlock()
	}
}
