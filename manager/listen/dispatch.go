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

var batches = sync.Pool{New: func() any { return &batch{items: make([]item, 0, batchSize), data: make([]byte, 0, maxData)} }}

func (b *batch) release() {
	clear(b.items) // keys of removed agents must not stay alive
	b.items, b.data, b.link = b.items[:0], b.data[:0], nil
	batches.Put(b)
}

// dispatcher finds the key of each packet and sorts packets by worker. It belongs to one reader.
type dispatcher struct {
	s              *Server
	link           link
	rule           accept
	open           []*batch // by shard
	packets, bytes uint64   // since the last flush
	full           int      // reads in a row that came back full
	leave          int      // batches that are left to the workers before the reader works itself again
}

// add copies a packet into the batch of its worker.
func (d *dispatcher) add(ctx context.Context, packet []byte, src netip.AddrPort, now time.Time) {
	d.packets++
	d.bytes += uint64(len(packet))
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
	if b != nil && len(b.data)+len(rest) > maxData {
		d.hand(ctx, i, b)
		b = nil
	}
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

// Packets that wait in the socket's buffer, of which there is only so much, are in danger; those in the workers' queues are not. So the reader
// leaves the next batches (leaveNext) to the workers when its own work took longer than heldUp, as the analysis does not keep up, and a few
// (burstNext) when burst reads in a row came back full.
const (
	heldUp    = 2 * time.Millisecond
	leaveNext = 256
	burst     = 4
	burstNext = 8
)

// maxData is the size from which a batch is handed over before the read is sorted: large packets must not make the queues large.
const maxData = 16 << 10

// flush sees to the work of the open batches. Waking a worker costs more than a few packets do, so the reader does what it can itself: all
// when few packets came, and one worker's share when many came and more are likely to wait. What a worker gets waits while its queue is full.
func (d *dispatcher) flush(ctx context.Context, many bool) {
	d.s.stats.packets.Add(d.packets)
	d.s.stats.bytes.Add(d.bytes)
	d.packets, d.bytes = 0, 0
	if !many {
		d.full = 0
	} else if d.full++; d.full >= burst {
		d.leave = max(d.leave, burstNext)
	}
	left := 0
	for _, b := range d.open {
		if b != nil {
			left++
		}
	}
	for i, b := range d.open {
		if b == nil {
			continue
		}
		d.open[i] = nil
		left--
		if many && left > 0 || !d.try(ctx, i, b) {
			d.hand(ctx, i, b)
		}
	}
}

// try does the work of a batch here, if that is sensible and its worker is idle.
func (d *dispatcher) try(ctx context.Context, i int, b *batch) bool {
	if d.leave > 0 {
		d.leave--
		return false
	}
	began := time.Now()
	if !d.s.shards[i].try(ctx, b) {
		return false
	}
	if time.Since(began) > heldUp {
		d.leave = leaveNext
	}
	return true
}

// hand gives a batch to its worker.
func (d *dispatcher) hand(ctx context.Context, i int, b *batch) {
	sh := d.s.shards[i]
	sh.waiting.Add(1)
	select {
	case sh.in <- b:
		return
	default:
	}
	d.s.stats.waits.Add(1)
	select {
	case sh.in <- b:
	case <-ctx.Done():
		sh.waiting.Add(-1)
		d.s.stats.dropped.Add(uint64(len(b.items)))
		b.release()
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
