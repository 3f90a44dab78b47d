package forward

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// connection is the way to one server, with the goroutine that reads from it.
type connection struct {
	conn   net.Conn
	tcp    bool
	server string // for log lines
	stop   chan struct{}
	wg     sync.WaitGroup
	frame  []byte
}

// inbound is what a reader hands to Run: a payload, or the error that ended or disturbed the connection.
type inbound struct {
	from    *connection
	payload []byte
	stale   bool // an authentic acknowledgement, but with an old number: a recording, or a manager that lost its counter
	err     error
}

func dial(ctx context.Context, network, address string, local netip.Addr) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	if local.IsValid() {
		if network == "tcp" {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
		} else {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
		}
	}
	return d.DialContext(ctx, network, address)
}

// open connects to the current server.
func (f *Forwarder) open(ctx context.Context) error {
	f.disconnect()
	s := f.o.Client.Servers[f.server]
	f.log.Info("Trying to connect to server %s, port %d.", s.Host, s.Port)
	network := "udp"
	if s.TCP {
		network = "tcp"
	}
	c, err := f.o.Dial(ctx, network, net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), f.o.Client.LocalIP)
	if err != nil {
		f.log.Code(1216, "ERROR", "Unable to connect to '%s'.", s.Host)
		return fmt.Errorf("connecting to %s: %w", s.Host, err)
	}
	f.conn = &connection{conn: c, tcp: s.TCP, server: s.Host, stop: make(chan struct{})}
	f.conn.wg.Go(func() { f.read(f.conn) })
	return nil
}

// disconnect closes the connection and waits for its reader.
func (f *Forwarder) disconnect() {
	if f.conn == nil {
		return
	}
	close(f.conn.stop)
	f.conn.conn.Close()
	f.conn.wg.Wait()
	f.conn = nil
}

// read opens what the server sends and hands it to Run, in order.
func (f *Forwarder) read(c *connection) {
	buf := make([]byte, agentwire.MaxPacket)
	var r *bufio.Reader
	if c.tcp {
		r = bufio.NewReader(c.conn)
	}
	for {
		packet, err := c.next(r, buf)
		msg := inbound{from: c, err: err}
		if err == nil {
			if msg.payload, msg.stale, err = f.openPacket(packet); err != nil {
				f.refused(c, err)
				if !msg.stale {
					continue
				}
			}
		}
		select {
		case f.received <- msg:
		case <-c.stop:
			return
		}
		if msg.err != nil && (c.tcp || !passing(msg.err)) {
			return
		}
	}
}

// next reads one packet.
func (c *connection) next(r *bufio.Reader, buf []byte) ([]byte, error) {
	if c.tcp {
		return agentwire.ReadFrame(r, buf)
	}
	n, err := c.conn.Read(buf)
	return buf[:n], err
}

// passing reports whether a UDP socket is usable after an error: the peer's "port unreachable" says only that nobody listens now.
func passing(err error) bool {
	return !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe)
}

// openPacket checks a packet (spec protocol.md, section 6.2) and returns a copy of its payload. stale tells that it was refused for its number
// only, and is an acknowledgement.
func (f *Forwarder) openPacket(packet []byte) (payload []byte, stale bool, err error) {
	probe := f.probe.Load()
	wrong := f.checkCipher(packet)
	if wrong != nil && !probe {
		return nil, false, wrong
	}
	o, err := f.codec.Open(nil, f.o.Key, packet)
	if err != nil {
		return nil, false, err
	}
	ack := string(o.Payload) == agentwire.Header+agentwire.Ack
	if wrong != nil && !ack {
		return nil, false, wrong
	}
	err = f.o.Counters.Accept(f.o.Key, o)
	switch {
	case err == nil:
		return o.Payload, false, nil
	case wrong == nil:
		return nil, ack, err
	}
	if err := f.o.Counters.Resync(f.o.Key, o); err != nil {
		return nil, false, err
	}
	f.log.Warn("The message counter of the manager went back to %v; it is taken back, as it answers a question that no recording answers.", o.Counter)
	return o.Payload, false, nil
}

// checkCipher refuses packets of the cipher that is not configured. OSSEC finds that out at different places, hence the two names.
func (f *Forwarder) checkCipher(packet []byte) error {
	marked := len(packet) >= 4 && string(packet[:4]) == "#AES"
	if len(packet) == 0 || packet[0] == '!' || marked == (f.with == keys.AES) {
		return nil
	}
	e := &keys.Error{Code: keys.CodeWrongKey, Detail: "cipher other than the configured one"}
	if !marked {
		e.Who = f.o.Key.IP
	}
	return e
}

func (f *Forwarder) refused(c *connection, err error) {
	f.stats.refused.Add(1)
	f.log.Every("refused detail", f.logEvery()).Debug("Packet of '%s' refused: %v", c.server, err)
	var e *keys.Error
	if errors.As(err, &e) {
		f.log.Every(strconv.Itoa(e.Code), f.logEvery()).Code(e.Code, e.Level(), "%s", e.Text(c.server))
	} else {
		f.log.Every("refused", f.logEvery()).Error("%v", err)
	}
	f.log.Every("1214", f.logEvery()).Code(1214, "WARN", "Problem receiving message from '%s'.", c.server)
}

// logEvery bounds lines about bad packets: anybody can send those.
func (f *Forwarder) logEvery() time.Duration { return f.o.Timing.LogEvery }

// transmit seals and sends a payload. The packet is valid until the next call.
func (f *Forwarder) transmit(payload []byte) (packet []byte, n keys.Counter, err error) {
	return f.transmitWith(f.with, payload)
}

func (f *Forwarder) transmitWith(with keys.Cipher, payload []byte) (packet []byte, n keys.Counter, err error) {
	n, err = f.o.Counters.Next()
	if err != nil {
		return nil, n, err
	}
	f.packet, err = f.codec.Seal(f.packet[:0], f.o.Key, with, f.o.Key.Dynamic(), n, payload)
	if err != nil {
		f.log.Text("Incorrect message size: %d", len(payload))
		f.log.Code(keys.CodeNotEncrypted, "ERROR", "Error creating encrypted message.")
		return nil, n, err
	}
	return f.packet, n, f.write(f.packet)
}

const writeTimeout = 10 * time.Second

// maxBusy is how often a packet is tried while the system has no buffer for it.
const maxBusy = 5

// write sends a packet. While the system is short of buffers it waits, longer each time, as OSSEC's agents do (spec protocol.md,
// section 8).
func (f *Forwarder) write(packet []byte) error {
	err := f.writeOnce(packet)
	for n := 1; n <= maxBusy && errors.Is(err, syscall.ENOBUFS); n++ {
		f.log.Info("Remote socket busy, waiting %d s.", n)
		select {
		case <-time.After(time.Duration(n) * f.o.Timing.Second):
		case <-f.ending:
			return err
		}
		err = f.writeOnce(packet)
	}
	return err
}

func (f *Forwarder) writeOnce(packet []byte) error {
	c := f.conn
	if c == nil {
		return net.ErrClosed
	}
	if c.tcp {
		c.frame = agentwire.AppendFrame(c.frame[:0], packet)
		packet = c.frame
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(packet)
	return err
}
