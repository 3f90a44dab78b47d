package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

const (
	tcpIdle  = 3 * time.Hour // a connection without any frame for this long is closed; keepalives come at most 3600 s apart
	tcpWrite = time.Second
)

// tcpConn is a connection of a Vedette agent; frames as agentwire describes.
type tcpConn struct {
	server *Server
	conn   net.Conn
	src    netip.AddrPort

	since time.Time   // when it was accepted
	ended atomic.Bool // reading shall stop
	known atomic.Bool // an agent proved itself over this connection

	mu    sync.Mutex // one frame at a time
	buf   []byte
	users []*keys.Key // agents whose last control message came over this connection
}

// stop ends reading; the connection stays open for writing.
func (c *tcpConn) stop() {
	c.ended.Store(true)
	c.conn.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // cannot fail on an open connection
}

// use enters an agent as a user of the connection.
func (c *tcpConn) use(key *keys.Key) {
	if !c.known.Swap(true) { // a read may be waiting with the short deadline of strangers
		c.conn.SetReadDeadline(time.Now().Add(tcpIdle)) //nolint:errcheck // if it fails, so does the read
		if c.ended.Load() {
			c.stop()
		}
		c.server.proved(c)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.users, key) {
		c.users = append(c.users, key)
	}
}

// send writes one frame. A peer that does not read loses its connection instead of holding up a worker.
func (c *tcpConn) send(_ netip.AddrPort, packet []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf = agentwire.AppendFrame(c.buf[:0], packet)
	if err := c.conn.SetWriteDeadline(time.Now().Add(tcpWrite)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.buf); err != nil {
		c.conn.Close()
		return err
	}
	return nil
}

// serveTCP accepts connections until the listener is closed.
func (s *Server) serveTCP(ctx, work context.Context, tl net.Listener, rule accept, readers *sync.WaitGroup) {
	for {
		conn, err := tl.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			s.o.Log.Every("accept", time.Minute).Error("Accepting agents: %v", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		c := &tcpConn{server: s, since: time.Now(), conn: conn, src: unmapPort(conn.RemoteAddr().(*net.TCPAddr).AddrPort())}
		if !s.register(ctx, c) {
			conn.Close()
			continue
		}
		readers.Go(func() { s.readTCP(work, c, rule) })
	}
}

// register enters a connection; false when there are too many, or the Server is stopping.
func (s *Server) register(ctx context.Context, c *tcpConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	if len(s.conns) >= s.o.MaxTCP {
		s.o.Log.Every("tcp full", time.Minute).Warn("Connection of '%s' refused: %d agents are connected over TCP.", c.src.Addr(), len(s.conns))
		return false
	}
	if addr := c.src.Addr(); s.strangers[addr] >= s.o.MaxStrangers {
		s.lines.add(fmt.Errorf("connection of '%s' refused: on %d of its connections no agent has proved itself", addr, s.strangers[addr]), addr, c.since)
		s.stats.unproved.Add(1)
		return false
	}
	s.strangers[c.src.Addr()]++
	s.conns[c] = struct{}{}
	return true
}

// proved takes a connection out of the count of those that are still to show a valid packet.
func (s *Server) proved(c *tcpConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noStranger(c.src.Addr())
}

// noStranger lowers a count. s.mu is held.
func (s *Server) noStranger(addr netip.Addr) {
	if s.strangers[addr]--; s.strangers[addr] <= 0 {
		delete(s.strangers, addr)
	}
}

// readTCP hands the frames of one connection to the workers, in order; a busy worker stops the reading, and so the sender.
func (s *Server) readTCP(work context.Context, c *tcpConn, rule accept) {
	defer func() {
		if c.ended.Load() {
			return // closed by Run, after the last receipts
		}
		c.conn.Close()
		s.mu.Lock()
		delete(s.conns, c)
		if !c.known.Swap(true) {
			s.noStranger(c.src.Addr())
			s.stats.unproved.Add(1)
		}
		s.mu.Unlock()
		s.unlink(c)
	}()
	d := dispatcher{s: s, link: c, rule: rule, open: make([]*batch, len(s.shards))}
	// The reader is small: an idle connection shall not cost a packet buffer. Frames go through a pooled one.
	r := bufio.NewReaderSize(c.conn, 512)
	for {
		// A stranger has a fixed time from the start, whatever it sends meanwhile.
		deadline, known := c.since.Add(s.o.Prove), c.known.Load()
		if known {
			deadline = time.Now().Add(tcpIdle)
		}
		if err := c.conn.SetReadDeadline(deadline); err != nil || c.ended.Load() {
			return
		}
		if !known && c.known.Load() {
			continue // a worker set the long deadline just before
		}
		if _, err := r.Peek(agentwire.FrameHeader); err != nil {
			return
		}
		buf := frames.Get().(*[agentwire.MaxPacket]byte)
		packet, err := agentwire.ReadFrame(r, buf[:])
		if err == nil {
			d.add(work, packet, c.src, s.o.Now())
		}
		frames.Put(buf)
		if errors.Is(err, agentwire.ErrFrame) {
			s.refused(&keys.Error{Code: keys.CodeFormat, Detail: err.Error()}, c.src.Addr())
		}
		if err != nil {
			return
		}
		d.flush(work, false)
	}
}

var frames = sync.Pool{New: func() any { return new([agentwire.MaxPacket]byte) }}

// unlink forgets the route of agents that used a closed connection.
func (s *Server) unlink(c *tcpConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range c.users {
		sh := s.shards[shardOf(key, len(s.shards))]
		sh.mu.Lock()
		if p := sh.peers[key]; p != nil && p.link == link(c) {
			p.link = nil
		}
		sh.mu.Unlock()
	}
}
