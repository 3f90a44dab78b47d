package agentlink

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-hids/vedette/agent/forward"
	"github.com/vedette-hids/vedette/internal/atomicfile"
	"github.com/vedette-hids/vedette/manager/fleet"
)

// expect waits for the lines from..to and checks that each came once, in order.
func expect(t *testing.T, got *collector, from, to int, inOrder bool) {
	t.Helper()
	var want []string
	for i := from; i < to; i++ {
		want = append(want, numbered(i))
	}
	eventually(t, fmt.Sprintf("%d events (have %d)", len(want), len(got.texts("/log"))), func() bool { return len(got.texts("/log")) >= len(want) })
	have := got.texts("/log")
	if !inOrder {
		seen := map[string]int{}
		for _, h := range have {
			seen[h]++
		}
		for _, w := range want {
			if seen[w] != 1 {
				t.Errorf("%s came %d times", w, seen[w])
			}
		}
		if len(have) != len(want) {
			t.Errorf("%d events, want %d", len(have), len(want))
		}
		return
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestManagerRestart stops the manager cleanly and starts it again on the same port: no event is lost or doubled, those of the outage come
// in order.
func TestManagerRestart(t *testing.T) {
	mroot := newRoot(t, keyLine)
	got := &collector{}
	m := startManager(t, managerOptions{root: mroot, got: got})
	a := startAgent(t, newRoot(t, keyLine), []netip.AddrPort{m.addr}, nil)
	a.connected(t)
	for i := range 100 {
		a.send(t, "/log", numbered(i))
	}
	expect(t, got, 0, 100, true)
	m.stop()
	for i := 100; i < 3000; i++ {
		a.send(t, "/log", numbered(i))
	}
	eventually(t, "agent notices", func() bool { return a.fwd.State() == forward.Connecting })
	m2 := startManager(t, managerOptions{root: mroot, port: int(m.addr.Port()), got: got})
	expect(t, got, 0, 3000, true)
	if s := a.logs.all(); !strings.Contains(s, "ossec-agentd: WARN: Server unavailable. Setting lock.") || !strings.Contains(s, "ossec-agentd: INFO: Server responded. Releasing lock.") {
		t.Errorf("agent log:\n%s", s)
	}
	a.stop()
	m2.stop()
	if s := m2.logs.all(); strings.Contains(s, "ERROR") {
		t.Errorf("manager log:\n%s", s)
	}
}

// TestManagerCrash loses what the manager had not stored of its counters: no event is lost all the same.
func TestManagerCrash(t *testing.T) {
	mroot := newRoot(t, keyLine)
	got := &collector{}
	m := startManager(t, managerOptions{root: mroot, got: got})
	a := startAgent(t, newRoot(t, keyLine), []netip.AddrPort{m.addr}, nil)
	a.connected(t)
	for i := range 100 {
		a.send(t, "/log", numbered(i))
	}
	expect(t, got, 0, 100, true)
	must(t, m.counters.Flush()) // as a manager does each two seconds
	for i := 100; i < 3000; i++ {
		a.send(t, "/log", numbered(i))
	}
	m.crash()
	for i := 3000; i < 5000; i++ {
		a.send(t, "/log", numbered(i))
	}
	startManager(t, managerOptions{root: mroot, port: int(m.addr.Port()), got: got})
	seen := map[string]int{}
	eventually(t, "all events", func() bool {
		clear(seen)
		for _, s := range got.texts("/log") {
			seen[s]++
		}
		return len(seen) == 5000
	})
	twice := 0
	for i := range 5000 {
		if n := seen[numbered(i)]; n > 1 {
			twice++
		}
	}
	t.Logf("%d events came twice", twice)
	if twice > 100 {
		t.Errorf("%d events came twice", twice)
	}
}

// TestAgentRestartWhileAway keeps events over a restart of the agent.
func TestAgentRestartWhileAway(t *testing.T) {
	mroot, aroot := newRoot(t, keyLine), newRoot(t, keyLine)
	got := &collector{}
	m := startManager(t, managerOptions{root: mroot, got: got})
	m.stop()
	servers := []netip.AddrPort{m.addr}
	a := startAgent(t, aroot, servers, nil)
	for i := range 500 {
		a.send(t, "/log", numbered(i))
	}
	a.stop()
	a = startAgent(t, aroot, servers, nil)
	for i := 500; i < 1000; i++ {
		a.send(t, "/log", numbered(i))
	}
	startManager(t, managerOptions{root: mroot, port: int(m.addr.Port()), got: got})
	a.connected(t)
	for i := 1000; i < 1100; i++ {
		a.send(t, "/log", numbered(i))
	}
	expect(t, got, 0, 1100, true)
}

// TestFailover gives the agent two managers of which the first is dead, then swaps them.
func TestFailover(t *testing.T) {
	r1, r2 := newRoot(t, keyLine), newRoot(t, keyLine)
	m1 := startManager(t, managerOptions{root: r1})
	m1.stop()
	m2 := startManager(t, managerOptions{root: r2})
	a := startAgent(t, newRoot(t, keyLine), []netip.AddrPort{m1.addr, m2.addr}, nil)
	a.connected(t)
	a.send(t, "/log", "for the second")
	eventually(t, "event at the second manager", func() bool { return m2.got.find("for the second") != nil })
	for _, line := range []string{"(4101): WARN: Waiting for server reply (not started). Tried: '127.0.0.1'.", "INFO: Trying next server in the line: '127.0.0.1'."} {
		if a.logs.count(line) == 0 {
			t.Errorf("agent log lacks %q:\n%s", line, a.logs.all())
		}
	}
	m1 = startManager(t, managerOptions{root: r1, port: int(m1.addr.Port())})
	m2.stop()
	a.send(t, "/log", "for the first")
	eventually(t, "event at the first manager", func() bool { return m1.got.find("for the first") != nil })
}

// TestSpoolBound makes the spool overflow: the oldest events go, and the manager is told how many.
func TestSpoolBound(t *testing.T) {
	mroot := newRoot(t, keyLine)
	m := startManager(t, managerOptions{root: mroot})
	m.stop()
	a := startAgent(t, newRoot(t, keyLine), []netip.AddrPort{m.addr}, func(o *forward.Options) { o.Client.SpoolSize = 64 << 10 })
	const n = 5000
	for i := range n {
		a.send(t, "/log", numbered(i))
	}
	m = startManager(t, managerOptions{root: mroot, port: int(m.addr.Port())})
	eventually(t, "report of lost events", func() bool { return m.got.find("event spool was full") != nil })
	var lost int
	if _, err := fmt.Sscanf(m.got.find("event spool was full").Raw, "vedette: Agent event spool was full: %d events lost.", &lost); err != nil || lost == 0 {
		t.Fatalf("%q: %v", m.got.find("event spool was full").Raw, err)
	}
	expect(t, m.got, lost, n, true)
}

// proxy is a bad network: it loses, doubles and reorders datagrams in both directions.
type proxy struct {
	front *net.UDPConn
	addr  netip.AddrPort
	wg    sync.WaitGroup
	back  *net.UDPConn
}

func startProxy(t *testing.T, to netip.AddrPort, loss, double, late float64) *proxy {
	t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	back, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	must(t, err)
	p := &proxy{front: front, back: back, addr: front.LocalAddr().(*net.UDPAddr).AddrPort()}
	var mu sync.Mutex
	var client netip.AddrPort
	var timers sync.WaitGroup
	rnd := rand.New(rand.NewPCG(7, 7))
	send := func(b []byte, out func([]byte)) {
		mu.Lock()
		x, y, z := rnd.Float64(), rnd.Float64(), rnd.Float64()
		mu.Unlock()
		if x < loss {
			return
		}
		b = append([]byte(nil), b...)
		if z < late {
			timers.Add(1)
			time.AfterFunc(10*time.Millisecond, func() { defer timers.Done(); out(b) })
		} else {
			out(b)
		}
		if y < double {
			out(b)
		}
	}
	p.wg.Go(func() {
		buf := make([]byte, 8192)
		for {
			n, from, err := front.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			mu.Lock()
			client = from
			mu.Unlock()
			send(buf[:n], func(b []byte) { back.Write(b) }) //nolint:errcheck // a lossy network
		}
	})
	p.wg.Go(func() {
		buf := make([]byte, 8192)
		for {
			n, err := back.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			to := client
			mu.Unlock()
			send(buf[:n], func(b []byte) { front.WriteToUDPAddrPort(b, to) }) //nolint:errcheck // a lossy network
		}
	})
	t.Cleanup(func() {
		front.Close()
		back.Close()
		p.wg.Wait()
		timers.Wait()
	})
	return p
}

// TestLossyNetwork loses a tenth of all datagrams, doubles a tenth and delays a fifth: every event arrives exactly once.
func TestLossyNetwork(t *testing.T) {
	m := startManager(t, managerOptions{root: newRoot(t, keyLine)})
	p := startProxy(t, m.addr, 0.1, 0.1, 0.2)
	a := startAgent(t, newRoot(t, keyLine), []netip.AddrPort{p.addr}, func(o *forward.Options) { o.Timing.Decide = 5 * time.Second })
	a.connected(t)
	const n = 3000
	for i := range n {
		a.send(t, "/log", numbered(i))
	}
	expect(t, m.got, 0, n, false)
	eventually(t, "everything is confirmed", func() bool { s := a.fwd.Stats(); return s.Confirmed >= n && s.SpoolLen == 0 })
	a.stop()
	m.stop()
	expect(t, m.got, 0, n, false)
	if s := m.logs.all(); strings.Contains(s, "(1404)") { // a doubled keepalive is a 1407, as with OSSEC
		t.Errorf("manager log:\n%s", s)
	}
	t.Logf("agent %+v", a.fwd.Stats())
}

// TestDisconnectIsReported moves the manager's clock: an agent that was silent for three intervals and half a minute is reported once, and
// again when it came back and left again; a manager that was down meanwhile reports it as well.
func TestDisconnectIsReported(t *testing.T) {
	root := newRoot(t, keyLine)
	var ahead atomic.Int64
	tune := func(o *fleet.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}
	m := startManager(t, managerOptions{root: root, tune: tune})
	a := startAgent(t, newRoot(t, keyLine), []netip.AddrPort{m.addr}, nil)
	active := func() bool { st, _ := m.fleet.Agent("007"); return st.Connected }
	eventually(t, "connected", active)
	ahead.Store(int64(1825 * time.Second))
	a.send(t, "/log", "x")
	eventually(t, "event", func() bool { return m.got.find("x") != nil })
	if !active() {
		t.Error("counted as gone too early")
	}
	ahead.Store(int64(1835 * time.Second))
	eventually(t, "gone", func() bool { return m.got.find("Agent disconnected") != nil })
	ev := m.got.find("Agent disconnected")
	if ev.Raw != "ossec: Agent disconnected: 'web-01-any'." || ev.Location != "web-01-any->ossec-monitord" || ev.Agent != nil {
		t.Errorf("event %+v", ev)
	}
	if err := m.fleet.Rescan("007"); !errors.Is(err, fleet.ErrNotConnected) {
		t.Errorf("command to a silent agent: %v", err)
	}
	a.stop()
	m.stop()
	ahead.Store(0) // the agent-info file is fresh again: it left while nobody looked
	m = startManager(t, managerOptions{root: root, tune: tune})
	if !active() {
		t.Error("state was not taken over")
	}
	ahead.Store(int64(1835 * time.Second))
	eventually(t, "gone", func() bool { return m.got.find("Agent disconnected") != nil })
	if n := len(m.got.texts("web-01-any->ossec-monitord")); n != 1 {
		t.Errorf("reported %d times", n)
	}
}

// TestKeyReload adds an agent to a running manager, and removes it.
func TestKeyReload(t *testing.T) {
	mroot := newRoot(t, keyLine)
	m := startManager(t, managerOptions{root: mroot})
	late := "020 late any 3caa85db42b2089e2bb7c45a02715df82dad80245ed663acf7e21956b4bcd10b\n"
	must(t, os.WriteFile(filepath.Join(mroot, "etc/client.keys"), []byte(keyLine+late), 0o640))
	a := startAgent(t, newRoot(t, late), []netip.AddrPort{m.addr}, nil)
	a.connected(t)
	a.send(t, "/log", "from the late one")
	eventually(t, "event", func() bool { return m.got.find("from the late one") != nil })
	for line, n := range map[string]int{"(1409): INFO: Authentication file changed. Updating.": 1, "(1410): INFO: Reading authentication keys file.": 2} {
		if m.logs.count(line) != n {
			t.Errorf("log lacks %q:\n%s", line, m.logs.all())
		}
	}
	must(t, os.WriteFile(filepath.Join(mroot, "etc/client.keys"), []byte(keyLine), 0o640))
	eventually(t, "the key is gone", func() bool { _, ok := m.fleet.Agent("020"); return !ok })
	a.send(t, "/log", "after removal")
	eventually(t, "refusal", func() bool { return m.logs.count("(1408): ERROR: Invalid ID 020 for the source ip: '127.0.0.1'.") > 0 })
	if m.got.find("after removal") != nil {
		t.Error("event of a removed agent")
	}
}

// TestKeyReloadUnderLoad changes client.keys all the time while three agents talk: other agents come and go, lines are damaged and mended. The
// three lose nothing and are never refused.
func TestKeyReloadUnderLoad(t *testing.T) {
	const each = 1500
	mroot := newRoot(t, "")
	var own []string
	for i := range 3 {
		own = append(own, fmt.Sprintf("%03d agent-%d any 5c4f9d1b0a7e36d82c10b9f7e6a4d35281f0c9b8a7d6e5f4c3b2a19087f6e%03d\n", i+1, i+1, i))
	}
	lines := strings.Join(own, "")
	path := filepath.Join(mroot, "etc/client.keys")
	must(t, os.WriteFile(path, []byte(lines), 0o640))
	m := startManager(t, managerOptions{root: mroot, tune: func(o *fleet.Options) { o.Poll = time.Millisecond }})
	var agents []*agentSide
	for i := range 3 {
		a := startAgent(t, newRoot(t, own[i]), []netip.AddrPort{m.addr}, func(o *forward.Options) { o.Client.AES = i != 1 })
		a.connected(t)
		agents = append(agents, a)
	}
	stop := make(chan struct{})
	var editor, senders sync.WaitGroup
	var done atomic.Int64 // edits
	editor.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
			edits := int(done.Load()) + 1
			var b strings.Builder
			for j := range 50 {
				fmt.Fprintf(&b, "%d other-%d any %064x\n", 1000+j*(edits%3+1), edits, edits*j)
			}
			text := lines + b.String() + "099 damaged 10.0.0.999 abc\n"
			if edits%2 == 0 {
				text = b.String() + "no key at all\n\n" + lines // the same lines at other places
			}
			check(t, atomicfile.Write(path, []byte(text), 0o640))
			done.Add(1)
		}
	})
	var sent [3]int
	for n, a := range agents {
		senders.Go(func() {
			for i := 0; i < each || done.Load() < 10; i++ {
				sent[n] = i + 1
				a.send(t, fmt.Sprintf("/log%d", n), numbered(i))
				if i%100 == 99 {
					time.Sleep(10 * time.Millisecond) // spreads the events over many reloads
				}
			}
		})
	}
	senders.Wait()
	for n := range agents {
		source := fmt.Sprintf("/log%d", n)
		eventually(t, "all events of "+source, func() bool { return len(m.got.texts(source)) >= sent[n] })
	}
	close(stop)
	editor.Wait()
	for n := range agents {
		var want []string
		for i := range sent[n] {
			want = append(want, numbered(i))
		}
		if diff := cmp.Diff(want, m.got.texts(fmt.Sprintf("/log%d", n))); diff != "" {
			t.Errorf("events of agent %d (-want +got):\n%s", n+1, diff)
		}
	}
	if st := m.server.Stats(); st.Refused != 0 {
		t.Errorf("%+v", st)
	}
	log := m.logs.all()
	reloads := strings.Count(log, "(1409): INFO: Authentication file changed. Updating.")
	if reloads < 5 || !strings.Contains(log, "(1237): ERROR: Invalid ip address: '10.0.0.999'. (line 54 of ") {
		t.Errorf("%d edits, %d reloads; log:\n%.3000s", done.Load(), reloads, log)
	}
	t.Logf("%d edits, %d reloads", done.Load(), reloads)
}
