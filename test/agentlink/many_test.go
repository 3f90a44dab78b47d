package agentlink

import (
	"crypto/md5"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/manager/fleet"
)

// manyKeys makes key lines with random-looking texts.
func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d host-%05d any 5c4f9d1b0a7e36d82c10b9f7e6a4d35281f0c9b8a7d6e5f4c3b2a190%08x\n", 10000+i, i, i)
	}
	return b.String()
}

// simulated is one agent of a crowd: it starts, sends keepalives and events, and checks the answers, but has no forwarder behind it.
type simulated struct {
	conn  *net.UDPConn
	to    netip.AddrPort
	key   *keys.Key
	with  keys.Cipher
	next  keys.Counter
	codec keys.Codec
	buf   []byte
}

// ask sends a payload until the manager's answer satisfies done; datagrams may be lost when the machine is busy.
func (s *simulated) ask(payload string, done func(answer string) bool) error {
	for range 100 {
		if err := s.say(payload); err != nil {
			return err
		}
		if err := s.listen(done); err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return fmt.Errorf("agent %s: no answer to %.40q", s.key.ID, payload)
}

func (s *simulated) say(payload string) error {
	var err error
	if s.next, err = s.next.Next(); err != nil {
		return err
	}
	packet, err := s.codec.Seal(nil, s.key, s.with, true, s.next, []byte(payload))
	if err != nil {
		return err
	}
	_, err = s.conn.WriteToUDPAddrPort(packet, s.to)
	return err
}

// listen reads until done says so.
func (s *simulated) listen(done func(answer string) bool) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	for {
		n, err := s.conn.Read(s.buf)
		if err != nil {
			return err
		}
		o, err := s.codec.Open(nil, s.key, s.buf[:n])
		if err != nil {
			continue // for the agent that used this socket before
		}
		if done(string(o.Payload)) {
			return nil
		}
	}
}

const ackText = agentwire.Header + agentwire.Ack

// TestTenThousandAgents lets ten thousand agents start, send keepalives, half of them as Vedette's, and an event each. The manager answers all,
// knows all, has every event and needs little memory.
func TestTenThousandAgents(t *testing.T) {
	const agents, sockets = 10000, 100
	if testing.Short() {
		t.Skip("takes seconds, a minute under the race detector")
	}
	before := liveHeap()
	root := newRoot(t, manyKeys(agents))
	must(t, os.WriteFile(filepath.Join(root, "etc/shared/agent.conf"), []byte("<agent_config>\n</agent_config>\n"), 0o640))
	m := startManager(t, managerOptions{root: root, tune: func(o *fleet.Options) { o.Poll, o.Check, o.Knock = 0, 0, 0 }})
	sum := mergedSum(t, root)
	all := keys.Parse([]byte(manyKeys(agents))).All()
	var next, received atomic.Int64
	var peak atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range sockets {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		must(t, err)
		wg.Go(func() {
			defer conn.Close()
			buf := make([]byte, 8192)
			for {
				i := int(next.Add(1)) - 1
				if i >= agents || t.Failed() {
					return
				}
				if i%2000 == 1999 {
					peak.Store(max(peak.Load(), heapNow()))
				}
				s := &simulated{conn: conn, to: m.addr, key: all[i], with: keys.Cipher(i % 2), buf: buf}
				files, err := s.live(i, sum)
				if err != nil {
					t.Error(err)
				}
				received.Add(int64(files))
			}
		})
	}
	wg.Wait()
	t.Logf("%d agents in %v", agents, time.Since(began).Round(time.Millisecond))
	eventually(t, "every event", func() bool { return len(unique(m.got.texts("/log"))) == agents })
	if n := received.Load(); n != agents/100 {
		t.Errorf("%d agents received the shared files, %d should have", n, agents/100)
	}
	st := m.fleet.Stats()
	if st.Active != agents || m.server.Stats().Refused != 0 {
		t.Errorf("fleet %+v, server %+v", st, m.server.Stats())
	}
	eventually(t, "an agent-info file for each agent", func() bool {
		files, _ := os.ReadDir(filepath.Join(root, "queue/agent-info"))
		return len(files) == agents && m.fleet.Stats().Pending == 0
	})
	got := m.got
	got.mu.Lock()
	got.events = nil
	got.mu.Unlock()
	all = nil
	m.fleet.Agents() // still works, and keeps the manager alive
	after := liveHeap()
	t.Logf("%d bytes an agent, %d MiB at most while they came", (after-before)/agents, (peak.Load()-before)>>20)
	if per := (after - before) / agents; per > 6<<10 {
		t.Errorf("%d bytes an agent", per)
	}
	if p := peak.Load() - before; p > 256<<20 {
		t.Errorf("%d MiB at the peak", p>>20)
	}
	runtime.KeepAlive(m)
}

// live is what one agent of the crowd does. Each hundredth one has no shared files yet and must get them.
func (s *simulated) live(i int, sum string) (files int, err error) {
	parts := agentwire.KeepaliveParts{System: "Linux host 6.1 x86_64 - OSSEC HIDS v4.2.0", MergedMD5: sum, Vedette: i%2 == 0}
	if i%100 == 0 {
		parts.MergedMD5 = "x"
	}
	isAck := func(answer string) bool { return answer == ackText }
	if err := s.ask(agentwire.Header+agentwire.Startup, isAck); err != nil {
		return 0, err
	}
	for beat := range 2 {
		parts.Random = fmt.Sprint(beat)
		want := isAck
		if i%100 == 0 && beat == 0 {
			var begun, ended bool
			want = func(answer string) bool {
				begun = begun || strings.HasPrefix(answer, agentwire.Header+agentwire.FileBegin)
				ended = ended || begun && answer == agentwire.Header+agentwire.FileEnd
				return ended
			}
			files++
		}
		if err := s.ask(agentwire.BuildKeepalive(parts), want); err != nil {
			return 0, err
		}
	}
	if i%2 == 0 { // wait for the receipt, and send again when it does not come
		event := "1:/log:" + numbered(i)
		return files, s.ask(event, func(answer string) bool {
			r, ok := agentwire.ParseReceipt([]byte(strings.TrimPrefix(answer, agentwire.Header)))
			return ok && r.Has(agentwire.Index(s.next.Global, s.next.Local))
		})
	}
	return files, s.say("1:/log:" + numbered(i))
}

func mergedSum(t *testing.T, root string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "etc/shared/merged.mg"))
	must(t, err)
	return fmt.Sprintf("%x", md5.Sum(data))
}

func unique(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

// liveHeap is what is in use after a collection, heapNow what is in use or waits for one.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	return heapNow()
}

func heapNow() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
