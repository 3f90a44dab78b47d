// Package agentlink tests manager and agent against each other in one process, over loopback.
package agentlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vedette-hids/vedette/agent/forward"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/manager/fleet"
	"github.com/vedette-hids/vedette/manager/listen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 3 * time.Minute

// logs collects the lines of one side.
type logs struct {
	mu    sync.Mutex
	lines []string
}

func newLogs() (*olog.Logger, *logs) {
	l := &logs{}
	lg := olog.New("", nil)
	lg.Tap(func(line string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, line[len("2026/11/24 10:00:00 "):])
	})
	return lg, l
}

func (l *logs) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

func (l *logs) count(part string) int { return strings.Count(l.all(), part) }

// eventually waits for a condition; there is no event to wait for where files and logs are concerned.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// collector takes the events that arrive.
type collector struct {
	mu     sync.Mutex
	events []*event.Event
}

func (c *collector) deliver(_ context.Context, ev *event.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, ev)
}

// texts lists "location: text" of the events from one source on the agents.
func (c *collector) texts(source string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, ev := range c.events {
		if ev.Source == source {
			out = append(out, ev.Raw)
		}
	}
	return out
}

func (c *collector) find(text string) *event.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ev := range c.events {
		if strings.Contains(ev.Raw, text) {
			return ev
		}
	}
	return nil
}

// managerSide is a manager without pipeline.
type managerSide struct {
	root   string
	logs   *logs
	server *listen.Server
	fleet  *fleet.Fleet
	got    *collector
	addr   netip.AddrPort
	stop   func()
	crash  func() // stops without storing anything

	counters *keys.Counters
}

type managerOptions struct {
	root string
	port int
	tcp  bool
	got  *collector
	tune func(*fleet.Options)
	// deliver, when set, replaces got.deliver.
	deliver listen.Deliver
}

func startManager(t *testing.T, o managerOptions) *managerSide {
	t.Helper()
	lg, lines := newLogs()
	m := &managerSide{root: o.root, logs: lines, got: o.got}
	if m.got == nil {
		m.got = &collector{}
	}
	if o.deliver == nil {
		o.deliver = m.got.deliver
	}
	store, err := keys.Open(filepath.Join(o.root, "etc/client.keys"))
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(o.root, "queue/rids"), 0o750))
	must(t, os.MkdirAll(filepath.Join(o.root, "queue/alerts"), 0o750))
	counters, err := keys.OpenCounters(filepath.Join(o.root, "queue/rids"), keys.CountersOptions{Manager: true})
	must(t, err)
	fo := fleet.Options{Root: o.root, Keys: store, Forget: counters.Forget, Deliver: o.deliver, Log: lg, ARQueue: true,
		Poll: 20 * time.Millisecond, Check: 20 * time.Millisecond, Pause: 10 * time.Millisecond, Knock: -1}
	if o.tune != nil {
		o.tune(&fo)
	}
	m.fleet, err = fleet.New(fo)
	must(t, err)
	remote := config.Remote{Secure: true, Port: o.port, TCP: o.tcp, LocalIP: netip.MustParseAddr("127.0.0.1"), AcceptAES: true, AcceptBlowfish: true}
	m.server, err = listen.New(t.Context(), listen.Options{Remotes: []config.Remote{remote}, Keys: store, Counters: counters, Deliver: o.deliver,
		Control: m.fleet, Refresh: m.fleet.Refresh, Log: lg.Prog("ossec-remoted"), LogEvery: -1, ReceiptDelay: 5 * time.Millisecond})
	must(t, err)
	m.fleet.Attach(m.server)
	m.addr = m.server.Addrs()[0]
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { check(t, m.server.Run(ctx)) })
	wg.Go(func() { check(t, m.fleet.Run(ctx)) })
	m.counters = counters
	var once sync.Once
	end := func(store bool) {
		once.Do(func() {
			cancel()
			wg.Wait()
			if store {
				check(t, counters.Close())
			}
		})
	}
	m.stop = func() { end(true) }
	m.crash = func() { end(false) }
	t.Cleanup(m.stop)
	return m
}

// agentSide is an agent without host component.
type agentSide struct {
	root     string
	logs     *logs
	fwd      *forward.Forwarder
	commands chan event.Command
	stop     func()
}

func startAgent(t *testing.T, root string, servers []netip.AddrPort, tune func(*forward.Options)) *agentSide {
	t.Helper()
	lg, lines := newLogs()
	a := &agentSide{root: root, logs: lines, commands: make(chan event.Command, 100)}
	store, err := keys.Open(filepath.Join(root, "etc/client.keys"))
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(root, "queue/rids"), 0o750))
	counters, err := keys.OpenCounters(filepath.Join(root, "queue/rids"), keys.CountersOptions{})
	must(t, err)
	client := config.Client{AES: true, NotifyTime: 600, TimeReconnect: 1800}
	for _, s := range servers {
		client.Servers = append(client.Servers, config.Server{Host: s.Addr().String(), Port: int(s.Port())})
	}
	o := forward.Options{Root: root, Client: client, Key: store.First(), Counters: counters, Log: lg, RootText: "/var/ossec",
		Command: func(_ context.Context, c event.Command) { a.commands <- c },
		Timing:  forward.Timing{Second: 20 * time.Millisecond, AckTimeout: 500 * time.Millisecond, Retransmit: 100 * time.Millisecond, Decide: 10 * time.Second}}
	if tune != nil {
		tune(&o)
	}
	a.fwd, err = forward.New(o)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { check(t, a.fwd.Run(ctx)) })
	a.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		check(t, counters.Close())
	})
	t.Cleanup(a.stop)
	return a
}

func (a *agentSide) send(t *testing.T, source, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, a.fwd.Send(ctx, event.Message{Kind: event.KindLog, Location: source, Text: text}))
}

func (a *agentSide) connected(t *testing.T) {
	t.Helper()
	eventually(t, "agent connects", func() bool { return a.fwd.State() == forward.Connected })
}

const keyLine = "007 web-01 any 5c4f9d1b0a7e36d82c10b9f7e6a4d35281f0c9b8a7d6e5f4c3b2a19087f6e5d4\n"

// newRoot makes an install root with a key file.
func newRoot(t *testing.T, keyLines string) string {
	t.Helper()
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, "etc/shared"), 0o750))
	must(t, os.WriteFile(filepath.Join(root, "etc/client.keys"), []byte(keyLines), 0o640))
	must(t, os.WriteFile(filepath.Join(root, "etc/ossec.conf"), []byte("<ossec_config>\n</ossec_config>\n"), 0o640))
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func numbered(n int) string { return fmt.Sprintf("line %06d", n) }
