package forward

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// mirrorServer is a manager of OSSEC that answers in the cipher of the agent's last packet, with its own numbers from 0:1.
type mirrorServer struct {
	t   *testing.T
	key *keys.Key

	mu    sync.Mutex
	mute  bool
	next  keys.Counter
	heard []string // "<cipher> <payload>"
	sent  [][]byte
	conn  net.Conn
	wg    sync.WaitGroup
}

func (m *mirrorServer) dial(context.Context, string, string, netip.Addr) (net.Conn, error) {
	near, far := net.Pipe()
	m.mu.Lock()
	m.conn = far
	m.mu.Unlock()
	m.wg.Go(func() { m.serve(far) })
	return near, nil
}

func (m *mirrorServer) serve(conn net.Conn) {
	listen(m.t, conn, m.key, func(codec *keys.Codec, o keys.Opened) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.heard = append(m.heard, o.Cipher.String()+" "+string(o.Payload))
		if m.mute || !strings.HasPrefix(string(o.Payload), agentwire.Header) {
			return
		}
		m.next, _ = m.next.Next()
		packet, err := codec.Seal(nil, m.key, o.Cipher, false, m.next, []byte(agentwire.Header+agentwire.Ack))
		if err != nil {
			m.t.Error(err)
			return
		}
		m.sent = append(m.sent, packet)
		m.wg.Go(func() { conn.Write(packet) }) //nolint:errcheck // the agent may have gone
	})
}

func (m *mirrorServer) write(packet []byte) {
	m.mu.Lock()
	conn := m.conn
	m.mu.Unlock()
	conn.Write(packet) //nolint:errcheck // the agent may have gone
}

// TestManagerThatLostItsCounter is taken back without anybody deleting files on the agent, but somebody with recordings of it is not.
func TestManagerThatLostItsCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{t: t, key: keyOf(t, recordedKey), with: keys.AES}
		m := &mirrorServer{t: t, key: s.key}
		var counters *keys.Counters
		b := startAgent(t, s, oneServer, func(o *Options) {
			o.Dial = m.dial
			if err := os.WriteFile(filepath.Join(o.Root, "queue/rids", s.key.ID), []byte("70:5:"), 0o640); err != nil {
				t.Fatal(err)
			}
			counters = o.Counters.(*keys.Counters)
		})
		time.Sleep(10 * time.Second)
		if b.f.State() != Connected {
			t.Error("not connected")
		}
		lines, _ := b.take()
		if all := strings.Join(lines, "\n"); !strings.Contains(all, "ossec-agentd(1404): ERROR") || !strings.Contains(all, "The message counter of the manager went back to 0:2:") {
			t.Error(all)
		}
		m.mu.Lock()
		if len(m.heard) < 4 || m.heard[0] != "aes #!-agent startup " || m.heard[1] != "blowfish #!-agent startup " {
			t.Errorf("%q", m.heard)
		}
		for _, h := range m.heard[2:] {
			if !strings.HasPrefix(h, "aes ") {
				t.Errorf("the wrong cipher after the start: %q", h)
			}
		}
		recorded := slices.Clone(m.sent)
		m.mute, m.heard = true, nil
		m.mu.Unlock()
		b.stop()
		m.wg.Wait()

		// The same agent starts again. Its manager is down, and somebody plays back all that the manager ever sent.
		b = startAgent(t, s, oneServer, func(o *Options) { o.Dial, o.Counters = m.dial, counters })
		for range 60 {
			for _, p := range recorded {
				m.write(p)
			}
			time.Sleep(time.Second)
		}
		if n := b.f.Stats().Connects; n != 0 || b.f.State() != Connecting {
			t.Error("connected to a recording")
		}
		m.mu.Lock()
		m.mute = false
		m.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if b.f.State() != Connected {
			t.Error("not connected to the manager when it is back")
		}
		b.stop()
		m.wg.Wait()
	})
}

// TestFailoverBetweenManagersThatCountForThemselves goes from a manager of OSSEC to one with lower numbers, and back.
func TestFailoverBetweenManagersThatCountForThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{t: t, key: keyOf(t, recordedKey), with: keys.Blowfish}
		first := &mirrorServer{t: t, key: s.key, next: keys.Counter{Global: 70, Local: 5000}}
		second := &mirrorServer{t: t, key: s.key, next: keys.Counter{Global: 2, Local: 10}}
		client := config.Client{Servers: []config.Server{{Host: "10.0.0.1", Port: 1514}, {Host: "10.0.0.2", Port: 1514}}}
		b := startAgent(t, s, client, func(o *Options) {
			o.Timing.AckTimeout = 0
			o.Dial = func(ctx context.Context, network, address string, local netip.Addr) (net.Conn, error) {
				if strings.HasPrefix(address, "10.0.0.1:") {
					return first.dial(ctx, network, address, local)
				}
				return second.dial(ctx, network, address, local)
			}
		})
		time.Sleep(10 * time.Second)
		for i, m := range []*mirrorServer{first, second, first} {
			if b.f.State() != Connected {
				t.Fatalf("step %d: not connected", i)
			}
			m.mu.Lock()
			if n := len(m.heard); n == 0 || !strings.HasPrefix(m.heard[n-1], "blowfish #!-Linux") {
				t.Errorf("step %d: the manager heard %q", i, m.heard)
			}
			m.mute, m.heard = true, nil
			m.mu.Unlock()
			other := map[*mirrorServer]*mirrorServer{first: second, second: first}[m]
			other.mu.Lock()
			other.mute = false
			other.mu.Unlock()
			time.Sleep(12 * time.Minute) // the next keepalive is not answered
		}
		b.stop()
		first.wg.Wait()
		second.wg.Wait()
	})
}
