package listen

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// TestSeveralAddressesEachWithItsRule has three secure addresses of both families; the last takes TCP and only Blowfish. Each answers from where it was
// asked, in the cipher it was asked in.
func TestSeveralAddressesEachWithItsRule(t *testing.T) {
	s, store, _ := benchServer(t, 2, 2)
	remotes := []config.Remote{
		{Secure: true, LocalIP: netip.MustParseAddr("127.0.0.1")},
		{Secure: true, LocalIP: netip.MustParseAddr("::1")},
		{Secure: true, LocalIP: netip.MustParseAddr("127.0.0.1"), TCP: true, AcceptBlowfish: true},
	}
	if c, err := net.ListenPacket("udp", "[::1]:0"); err != nil {
		t.Logf("no IPv6 here: %v", err)
		remotes[1].LocalIP = netip.MustParseAddr("127.0.0.1")
	} else {
		c.Close()
	}
	srv, err := New(t.Context(), Options{Remotes: remotes, Keys: store, Counters: s.o.Counters, Deliver: func(context.Context, *event.Event) {}, Control: nothing{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- srv.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	key := store.All()[0]
	var n keys.Counter
	var rejected uint64
	for i, addr := range srv.Addrs() {
		for _, with := range []keys.Cipher{keys.AES, keys.Blowfish} {
			for _, network := range []string{"udp", "tcp"} {
				if network == "tcp" && i != 2 {
					continue
				}
				n, _ = n.Next()
				conn := ask(t, network, addr, key, with, n)
				if i == 2 && with == keys.AES { // no answer at all
					rejected++
					for end := time.Now().Add(time.Minute); srv.Stats().Rejected < rejected; time.Sleep(time.Millisecond) {
						if time.Now().After(end) {
							t.Fatal("not rejected")
						}
					}
					continue
				}
				got, err := answer(network, conn, key)
				if err != nil || got.Cipher != with || string(got.Payload) != agentwire.Header+agentwire.Ack {
					t.Errorf("address %d, %s, %v: %v %q, %v", i, network, with, got.Cipher, got.Payload, err)
				}
			}
		}
	}
	if c := srv.Stats().Controls; c != 6 {
		t.Errorf("%d startup messages were taken", c)
	}
}

// ask sends a startup message.
func ask(t *testing.T, network string, to netip.AddrPort, key *keys.Key, with keys.Cipher, n keys.Counter) net.Conn {
	t.Helper()
	var codec keys.Codec
	packet, err := codec.Seal(nil, key, with, true, n, []byte(agentwire.Header+agentwire.Startup))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial(network, to.String()) // a connected socket hears only the address it asked
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if network == "tcp" {
		packet = agentwire.AppendFrame(nil, packet)
	}
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	return conn
}

func answer(network string, conn net.Conn, key *keys.Key) (keys.Opened, error) {
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return keys.Opened{}, err
	}
	buf := make([]byte, agentwire.MaxPacket)
	var err error
	if network == "tcp" {
		buf, err = agentwire.ReadFrame(conn, buf)
	} else {
		var k int
		k, err = conn.Read(buf)
		buf = buf[:k]
	}
	if err != nil {
		return keys.Opened{}, err
	}
	var codec keys.Codec
	return codec.Open(nil, key, buf)
}
