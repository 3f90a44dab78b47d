package forward

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const specDir = "../../internal/testdata/spec/protocol/"

// vectorLines reads a file of recorded cases.
func vectorLines[T any](t testing.TB, name string) (out []T) {
	t.Helper()
	data, err := os.ReadFile(specDir + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out = append(out, v)
	}
	return out
}

func keyOf(t testing.TB, line string) *keys.Key {
	t.Helper()
	k := keys.Parse([]byte(line + "\n")).First()
	if k == nil {
		t.Fatalf("bad key line %q", line)
	}
	return k
}

// heard is a datagram that the agent sent.
type heard struct {
	at      time.Time
	server  string
	counter keys.Counter
	payload string
}

// fakeServer stands in for every server the agent is told of, over pipes: each write is one datagram.
type fakeServer struct {
	t    *testing.T
	key  *keys.Key
	with keys.Cipher
	// answer gives the payloads to send back, and how long to wait before; called for each datagram.
	answer func(h heard) (wait time.Duration, replies []string)

	mu   sync.Mutex
	log  []heard
	sent keys.Counter
	conn net.Conn
	wg   sync.WaitGroup
}

func (s *fakeServer) dial(_ context.Context, _, address string, _ netip.Addr) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	s.mu.Lock()
	s.conn = far
	s.mu.Unlock()
	s.wg.Go(func() { s.serve(far, host) })
	return near, nil
}

// listen opens the packets that come from an agent and calls each, until the agent hangs up.
func listen(t *testing.T, conn net.Conn, key *keys.Key, each func(codec *keys.Codec, o keys.Opened)) {
	defer conn.Close()
	buf := make([]byte, 8192)
	var codec keys.Codec
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		_, rest, err := keys.SplitID(buf[:n])
		if err != nil {
			t.Error(err)
			return
		}
		o, err := codec.Open(nil, key, rest)
		if err != nil {
			t.Error(err)
			return
		}
		each(&codec, o)
	}
}

func (s *fakeServer) serve(conn net.Conn, host string) {
	listen(s.t, conn, s.key, func(_ *keys.Codec, o keys.Opened) {
		h := heard{time.Now(), host, o.Counter, string(o.Payload)}
		s.mu.Lock()
		s.log = append(s.log, h)
		s.mu.Unlock()
		wait, replies := s.answer(h)
		if len(replies) > 0 {
			s.wg.Go(func() {
				time.Sleep(wait)
				for _, r := range replies {
					s.reply(conn, r)
				}
			})
		}
	})
}

func (s *fakeServer) reply(conn net.Conn, payload string) {
	s.mu.Lock()
	s.sent, _ = s.sent.Next()
	n := s.sent
	s.mu.Unlock()
	var codec keys.Codec
	p, err := codec.Seal(nil, s.key, s.with, false, n, []byte(payload))
	if err != nil {
		s.t.Error(err)
		return
	}
	conn.Write(p) //nolint:errcheck // the agent may have gone on to another server
}

// raw sends a packet as it is.
func (s *fakeServer) raw(packet []byte) {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if _, err := conn.Write(packet); err != nil {
		s.t.Error(err)
	}
}

func (s *fakeServer) takeHeard() []heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.log
	s.log = nil
	return out
}

// agentBench is a running Forwarder in front of a fakeServer.
type agentBench struct {
	f    *Forwarder
	root string
	stop func()

	mu       sync.Mutex
	lines    []string
	commands []event.Command
}

func startAgent(t *testing.T, s *fakeServer, client config.Client, tune func(*Options)) *agentBench {
	t.Helper()
	b := &agentBench{root: t.TempDir()}
	lg := olog.New("", nil)
	lg.Tap(func(line string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lines = append(b.lines, line[len("2026/11/24 10:00:00 "):])
	})
	rids := filepath.Join(b.root, "queue/rids")
	if err := os.MkdirAll(rids, 0o750); err != nil {
		t.Fatal(err)
	}
	counters, err := keys.OpenCounters(rids, keys.CountersOptions{FromStored: true})
	if err != nil {
		t.Fatal(err)
	}
	client.AES = s.with == keys.AES
	o := Options{Root: b.root, RootText: "/var/ossec", Client: client, Key: s.key, Counters: counters, Log: lg, Dial: s.dial,
		Names:  names{"a.invalid": true, "b.invalid": true},
		System: "Linux web-01 6.1.0-13-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.55-1 (2023-09-29) x86_64 - OSSEC HIDS v4.2.0",
		Timing: Timing{AckTimeout: -1, LogEvery: -1},
		Command: func(_ context.Context, c event.Command) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.commands = append(b.commands, c)
		}}
	if tune != nil {
		tune(&o)
	}
	if b.f, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	b.stop = func() {
		cancel()
		wg.Wait()
		s.wg.Wait()
	}
	return b
}

func (b *agentBench) take() (lines []string, commands []event.Command) {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines, commands = b.lines, b.commands
	b.lines, b.commands = nil, nil
	return lines, commands
}
