package listen

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/keys"
)

// link sends packets: a UDP socket, or a TCP connection, which ignores the address.
type link interface {
	send(to netip.AddrPort, packet []byte) error
}

// item is a packet on its way to its worker.
type item struct {
	key      *keys.Key
	from, to int // of the packet, without id prefix, in the batch's data
	src      netip.AddrPort
}

// batch is what one read brought for one worker.
type batch struct {
	items []item
	data  []byte
	link  link
	rule  accept
	at    time.Time
}

var batches = sync.Pool{New: func() any { return &batch{items: make([]item, 0, batchSize), data: make([]byte, 0, 16<<10)} }}

func (b *batch) release() {
	clear(b.items) // keys of removed agents must not stay alive
	b.items, b.data, b.link = b.items[:0], b.data[:0], nil
	batches.Put(b)
}

// dispatcher finds the key of each packet and sorts packets by worker. It belongs to one reader.
type dispatcher struct {
	s    *Server
	link link
	rule accept
	open []*batch // by shard
}

// add copies a packet into the batch of its worker.
func (d *dispatcher) add(packet []byte, src netip.AddrPort, now time.Time) {
	st := &d.s.stats
	st.packets.Add(1)
	st.bytes.Add(uint64(len(packet)))
	key, rest, err := d.s.o.Keys.Route(packet, src.Addr())
	if err != nil && unknown(err) && d.s.o.Refresh() {
		key, rest, err = d.s.o.Keys.Route(packet, src.Addr())
	}
	if err != nil {
		d.s.refused(err, src.Addr())
		return
	}
	i := shardOf(key, len(d.open))
	b := d.open[i]
	if b == nil {
		b = batches.Get().(*batch)
		b.link, b.rule, b.at = d.link, d.rule, now
		d.open[i] = b
	}
	from := len(b.data)
	b.data = append(b.data, rest...)
	b.items = append(b.items, item{key: key, from: from, to: len(b.data), src: src})
}

// unknown reports whether another look at the key file may help.
func unknown(err error) bool {
	var e *keys.Error
	return errors.As(err, &e) && (e.Code == keys.CodeInvalidID || e.Code == keys.CodeNotAllowed)
}

// flush hands the batches to the workers; it waits while a worker's queue is full.
func (d *dispatcher) flush(ctx context.Context) {
	for i, b := range d.open {
		if b == nil {
			continue
		}
		d.open[i] = nil
		select {
		case d.s.shards[i].in <- b:
			continue
		default:
		}
		d.s.stats.waits.Add(1)
		select {
		case d.s.shards[i].in <- b:
		case <-ctx.Done():
			d.s.stats.dropped.Add(uint64(len(b.items)))
			b.release()
		}
	}
}

// shardOf spreads agents over the workers by id (FNV-1a).
func shardOf(key *keys.Key, n int) int {
	h := uint32(2166136261)
	for i := 0; i < len(key.ID); i++ {
		h = (h ^ uint32(key.ID[i])) * 16777619
	}
	return int(h % uint32(n))
}

// refused counts and logs a packet that was not accepted, in OSSEC's words.
func (s *Server) refused(err error, src netip.Addr) {
	s.stats.refused.Add(1)
	var e *keys.Error
	if errors.As(err, &e) {
		s.stats.countCode(e)
	}
	s.lines.add(err, src, s.o.Now())
}
