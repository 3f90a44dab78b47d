package listen

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestEveryLostDatagramIsCounted fills a small receive buffer while nobody reads. The last ones are lost too, so that no later datagram could tell.
func TestEveryLostDatagramIsCounted(t *testing.T) {
	sock, err := listenUDP(t.Context(), netip.MustParseAddr("127.0.0.1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sock.conn.Close()
	if err := sock.conn.SetReadBuffer(1); err != nil { // the smallest that there is
		t.Fatal(err)
	}
	c, err := net.Dial("udp", sock.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const sent = 500
	for range sent {
		if _, err := c.Write(make([]byte, 200)); err != nil {
			t.Fatal(err)
		}
	}
	rd, err := newBatchReader(sock.conn, 1000)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for got < sent {
		sock.conn.SetReadDeadline(time.Now().Add(time.Second)) //nolint:errcheck // open
		in, err := rd.read()
		if err != nil {
			break
		}
		got += len(in)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	lost := 0
	sock.watchLoss(ctx, func(more uint32) { lost += int(more) })
	if _, err := lostDatagrams(sock.conn); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this kernel does not tell what it lost")
	}
	if lost == 0 || got+lost != sent {
		t.Errorf("%d datagrams sent, %d received, %d counted as lost", sent, got, lost)
	}
}
