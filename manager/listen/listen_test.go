package listen

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/manager/fleet"
)

func TestMain(m *testing.M) {
	if args := os.Getenv("VEDETTE_BENCH_SENDER"); args != "" {
		if err := benchSender(args); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func newReader(s string) *bufio.Reader { return bufio.NewReaderSize(strings.NewReader(s), maxLine) }

func TestLocalQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue")
	events := make(chan *event.Event, 10)
	q, err := NewLocalQueue(LocalOptions{Path: path, Deliver: func(_ context.Context, ev *event.Event) { events <- ev }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	c, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, s := range []string{"1:/var/log/x:hello\x00", "no message", "1:../../etc/x:climbs", "8:(web) 10.0.0.1->syscheck:1:2 /etc/x"} {
		if _, err := c.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if ev := <-events; ev.Raw != "hello" || ev.Location != "/var/log/x" || ev.Agent != nil {
		t.Errorf("%+v", ev)
	}
	if ev := <-events; ev.Raw != "1:2 /etc/x" || ev.Agent == nil || ev.Agent.Name != "web" || ev.Source != "syscheck" {
		t.Errorf("%+v", ev)
	}
	if received, malformed := q.Counts(); received != 4 || malformed != 2 {
		t.Errorf("%d received, %d malformed", received, malformed)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("socket is left: %v", err)
	}
}

func TestBindFailureNamesThePort(t *testing.T) {
	l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.LocalAddr().(*net.UDPAddr).Port
	store, _ := keys.Open(filepath.Join(t.TempDir(), "client.keys"))
	_, err = New(t.Context(), Options{Keys: store, Remotes: []config.Remote{
		{Secure: true, Port: 0, LocalIP: netip.MustParseAddr("127.0.0.1")}, {Secure: true, Port: port, LocalIP: netip.MustParseAddr("127.0.0.1")}}})
	if err == nil {
		t.Fatal("bound a port twice")
	}
	if _, err := New(t.Context(), Options{Keys: store, Remotes: []config.Remote{{Port: 514}}}); err != ErrNoRemote {
		t.Fatal(err)
	}
}

// TestDualStack binds all addresses and reaches the server over both families; IPv4 peers count as IPv4.
func TestDualStack(t *testing.T) {
	sock, err := listenUDP(t.Context(), netip.Addr{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sock.conn.Close()
	rd, err := newBatchReader(sock.conn, agentwire.MaxPacket)
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(ip), sock.addr.Port()).String())
		if err != nil {
			t.Logf("no %s here: %v", ip, err)
			continue
		}
		defer c.Close()
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		sock.conn.SetReadDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // open
		got, err := rd.read()
		if err != nil || len(got) != 1 || string(got[0].data) != "hello" || got[0].src.Addr().String() != ip {
			t.Fatalf("%v, %v", got, err)
		}
	}
}

func FuzzNewEvent(f *testing.F) {
	for _, s := range []string{"1:/var/log/x:text", "1:", "x", "1:keepalive:x", "1:(a) b->c:d", "8:../x:y", "1:a\x00:b", "::::"} {
		f.Add([]byte(s))
	}
	agent := &event.Agent{ID: "001", Name: "web", IP: "any"}
	f.Fuzz(func(t *testing.T, b []byte) {
		ev, ok := newEvent(agent, b, time.Time{})
		if ev == nil {
			return
		}
		if !ok || ev.Agent != agent || !strings.HasPrefix(ev.Location, "(web) any->") || strings.Contains(ev.Raw, "\x00") {
			t.Fatalf("%+v", ev)
		}
		if n := len(ev.Location) + len(ev.Raw) + 3; n > event.MaxMessage && len(ev.Raw) > 0 {
			t.Fatalf("%d bytes", n)
		}
	})
}

type discard struct{}

func (discard) send(netip.AddrPort, []byte) error { return nil }

// benchServer makes a server without sockets.
func benchServer(tb testing.TB, agents, workers int) (*Server, *keys.Store, *keys.Counters) {
	tb.Helper()
	dir := tb.TempDir()
	var lines strings.Builder
	for i := range agents {
		id := string([]byte{byte('0' + i/10000%10), byte('0' + i/1000%10), byte('0' + i/100%10), byte('0' + i/10%10), byte('0' + i%10)})
		lines.WriteString(id + " agent-" + id + " any 5c4f9d1b0a7e36d82c10b9f7e6a4d35281f0c9b8a7d6e5f4c3b2a19087f" + id + "\n")
	}
	path := filepath.Join(dir, "client.keys")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	store, err := keys.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	counters, err := keys.OpenCounters(dir, keys.CountersOptions{Manager: true})
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{o: Options{Keys: store, Counters: counters, Deliver: func(context.Context, *event.Event) {}, Control: nothing{}, Workers: workers}}
	s.o.defaults()
	for range workers {
		s.shards = append(s.shards, newShard(s))
	}
	return s, store, counters
}

type nothing struct{}

func (nothing) Control(*keys.Key, keys.Cipher, []byte, time.Time) {}

// TestIdleAgentsCostLittle bounds what 50,000 agents need that were heard once.
func TestIdleAgentsCostLittle(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("takes seconds, a minute under the race detector")
	}
	const limit = 2048
	per := idleAgents(t, 50000)
	t.Logf("%d bytes per idle agent", per)
	if per > limit {
		t.Errorf("%d bytes per idle agent, want at most %d", per, limit)
	}
}

// BenchmarkIdleAgent reports the memory of one agent among many: key, counters, peer and session.
func BenchmarkIdleAgent(b *testing.B) {
	const agents = 20000
	var per int64
	for b.Loop() {
		per = idleAgents(b, agents)
	}
	b.ReportMetric(float64(per), "bytes/agent")
	b.ReportMetric(0, "ns/op")
}

// idleAgents hears agents, half with each cipher, and measures what stays of each after a while of silence.
func idleAgents(tb testing.TB, agents int) int64 {
	tb.Helper()
	before := heapInUse()
	s, store, _ := benchServer(tb, agents, 2)
	fl, err := fleet.New(fleet.Options{Root: filepath.Dir(store.Path()), Keys: store})
	if err != nil {
		tb.Fatal(err)
	}
	fl.Attach(s)
	s.o.Control = fl
	var codec keys.Codec
	src := netip.MustParseAddrPort("127.0.0.1:4000")
	d := dispatcher{s: s, link: discard{}, rule: accept{true, true}, open: make([]*batch, 2)}
	text := agentwire.BuildKeepalive(agentwire.KeepaliveParts{System: "Linux x", Vedette: true})
	for n, k := range store.All() {
		p, err := codec.Seal(nil, k, keys.Cipher(n%2), true, keys.Counter{Global: 1, Local: 1}, []byte(text))
		if err != nil {
			tb.Fatal(err)
		}
		d.add(context.Background(), p, src, time.Now())
		for i, x := range d.open {
			if x != nil {
				d.open[i] = nil
				s.shards[i].handle(context.Background(), x)
				x.release()
			}
		}
	}
	for _, sh := range s.shards {
		sh.settle()
	}
	store.ReleaseIdle() // marks
	store.ReleaseIdle() // drops cipher schedules that were not used since
	if got := fl.Stats(); got.Keepalives != uint64(agents) || got.Active != agents {
		tb.Fatalf("agents heard: %+v, %+v", got, s.Stats())
	}
	per := (heapInUse() - before) / int64(agents)
	runtime.KeepAlive(s)
	runtime.KeepAlive(fl)
	return per
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
