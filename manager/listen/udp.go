package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// datagram is one packet of a batch.
type datagram struct {
	data []byte // shares memory with the batch
	src  netip.AddrPort
}

// batchReader receives datagrams many at a time. The result is valid until the next call.
type batchReader interface {
	read() ([]datagram, error)
}

const (
	batchSize  = 64
	recvBuffer = 32 << 20 // asked for; the kernel gives what its limit allows
)

// udpSocket is one bound address of the secure channel.
type udpSocket struct {
	conn *net.UDPConn
	addr netip.AddrPort
}

// listenUDP binds an address; an invalid ip means all addresses of both families where the host has IPv6.
func listenUDP(ctx context.Context, ip netip.Addr, port int) (*udpSocket, error) {
	network, host := "udp", ""
	if ip.IsValid() {
		host = ip.String()
		network = "udp6"
		if ip.Is4() || ip.Is4In6() {
			network = "udp4"
		}
	}
	pc, err := new(net.ListenConfig).ListenPacket(ctx, network, net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		return nil, err
	}
	conn := pc.(*net.UDPConn)
	growBuffer(conn)
	return &udpSocket{conn: conn, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()}, nil
}

// growBuffer asks for a large receive buffer, then for less: bursts of a fleet must fit while the pipeline is busy.
func growBuffer(conn *net.UDPConn) {
	if forceBuffer(conn, recvBuffer) == nil {
		return
	}
	for size := recvBuffer; size >= 256<<10; size /= 2 {
		if conn.SetReadBuffer(size) == nil {
			return
		}
	}
}

// send is the peer side of a route.
func (s *udpSocket) send(to netip.AddrPort, packet []byte) error {
	_, err := s.conn.WriteToUDPAddrPort(packet, to)
	return err
}

// lossCheck is how often somebody looks for lost datagrams.
const lossCheck = 2 * time.Second

// watchLoss tells how many datagrams more the kernel has thrown away because nobody took them in time, until ctx ends, where the system counts
// them (Linux).
func (s *udpSocket) watchLoss(ctx context.Context, tell func(more uint32)) {
	tick := time.NewTicker(lossCheck)
	defer tick.Stop()
	for known := uint32(0); ; {
		done := ctx.Err() != nil
		n, err := lostDatagrams(s.conn)
		if err != nil {
			return
		}
		if n != known {
			tell(n - known)
			known = n
		}
		if done {
			return
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func unmapPort(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// readLoop runs until the socket is closed; passing errors (a peer's ICMP message, a short lack of memory) are waited out.
func readLoop(ctx context.Context, r batchReader, failed func(error), got func([]datagram)) {
	for {
		batch, err := r.read()
		if err == nil {
			got(batch)
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		failed(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
