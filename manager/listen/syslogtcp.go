package listen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// serveTCP accepts clients until the listener is closed.
func (s *Syslog) serveTCP(ctx, work context.Context, tl net.Listener, wg *sync.WaitGroup) {
	for {
		conn, err := tl.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			s.o.Log.Every("syslog accept", time.Minute).Error("Accepting syslog clients: %v", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		src := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
		if !s.admit(src) || !s.register(ctx, conn, src) {
			conn.Close()
			continue
		}
		wg.Go(func() { s.readClient(work, conn, src) })
	}
}

func (s *Syslog) register(ctx context.Context, conn net.Conn, src netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	if len(s.conns) >= s.o.MaxClients {
		s.refused.Add(1)
		s.o.Log.Every("pool full", s.o.LogEvery).Warn("Syslog TCP worker pool full, dropping connection from %s", src)
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

// readClient delivers the lines of one client. A rest without line end is delivered when the client closes.
func (s *Syslog) readClient(work context.Context, conn net.Conn, src netip.Addr) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	sp := lineSplitter{r: bufio.NewReaderSize(idleConn{conn, s.o.IdleTimeout}, maxLine)}
	for {
		line, err := sp.next()
		if errors.Is(err, errLineTooLong) {
			s.tooLong.Add(1)
			s.o.Log.Every("full "+src.String(), s.o.LogEvery).Text("Full buffer receiving from: '%s'.", src)
			continue
		}
		if i := bytes.IndexByte(line, '\r'); i >= 0 {
			line = line[:i]
		}
		if len(line) > 0 {
			s.deliver(work, src, stripPriority(line), time.Now())
		}
		if err != nil {
			return
		}
	}
}

// idleConn ends reads of a silent client.
type idleConn struct {
	net.Conn
	idle time.Duration
}

func (c idleConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

var errLineTooLong = errors.New("line too long")

// lineSplitter takes a byte stream apart: lines that end with LF, or messages with the octet count of RFC 6587 in front ("12 <34>text").
type lineSplitter struct{ r *bufio.Reader }

// next returns one line without its end, valid until the next call. At the end of the stream it returns the rest and the error.
// A line longer than the reader's buffer is skipped and reported as errLineTooLong.
func (l *lineSplitter) next() ([]byte, error) {
	if n := l.octetCount(); n > 0 {
		msg, err := l.r.Peek(n)
		l.r.Discard(len(msg)) //nolint:errcheck // they were peeked
		return bytes.TrimSuffix(msg, []byte{'\n'}), err
	}
	line, err := l.r.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = l.r.ReadSlice('\n')
	}
	return nil, errLineTooLong
}

// octetCount reads "<digits> " when "<" follows, and returns the count; 0 = the next line is not counted. It waits for no more bytes than an
// uncounted line certainly has.
func (l *lineSplitter) octetCount() int {
	n := 0
	for i := range 6 {
		b, err := l.r.Peek(i + 1)
		if err != nil {
			return 0
		}
		switch c := b[i]; {
		case c >= '1' && c <= '9' || c == '0' && i > 0:
			n = n*10 + int(c-'0')
			continue
		case c == ' ' && i > 0 && n <= maxLine:
			b, err := l.r.Peek(i + 2)
			if err != nil || b[i+1] != '<' {
				return 0
			}
			l.r.Discard(i + 1) //nolint:errcheck // they were peeked
			return n
		}
		return 0
	}
	return 0
}

var _ io.Reader = idleConn{}
