package listen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

const (
	aliceLine = "001 alice any 5c4f9d1b0a7e36d82c10b9f7e6a4d35281f0c9b8a7d6e5f4c3b2a19087f6e5d4\n"
	bobLine   = "002 bob 192.0.2.2/31 3caa85db42b2089e2bb7c45a02715df82dad80245ed663acf7e21956b4bcd10b\n"
)

// TestRefusedPacketsAreCountedAndTheirLinesBounded sends packets of every bad kind from many sources.
func TestRefusedPacketsAreCountedAndTheirLinesBounded(t *testing.T) {
	b := newBench(t, aliceLine+bobLine, accept{true, true}, false)
	now := time.Unix(1_800_000_000, 0)
	b.server.o.Now = func() time.Time { return now }
	b.server.lines.every = 10 * time.Second
	alice, bob := keyOf(t, strings.TrimSpace(aliceLine)), keyOf(t, strings.TrimSpace(bobLine))
	var codec keys.Codec
	seal := func(k *keys.Key, local uint16) []byte {
		p, err := codec.Seal(nil, k, keys.AES, true, keys.Counter{Global: 5, Local: local}, []byte("1:/log:x"))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	damaged := seal(alice, 1)
	damaged[len(damaged)-20] ^= 1
	once := seal(alice, 2)
	const n = 200
	flood := func() {
		for i := range n {
			src := fmt.Sprintf("198.51.100.%d", i)
			b.feed([]byte("no packet at all"), src, accept{true, true})       // neither id nor a known address
			b.feed(fmt.Appendf(nil, "!9%03d!:x", i), src, accept{true, true}) // unknown id
			b.feed(seal(bob, uint16(i+1)), src, accept{true, true})           // address that is not bob's
			b.feed([]byte("!001!garbage"), src, accept{true, true})           // no cipher mark
			b.feed([]byte("!001"), src, accept{true, true})                   // cut off
			b.feed(damaged, src, accept{true, true})                          // does not decrypt to anything
			b.feed(once, src, accept{true, true})                             // the first is good, the others are copies
			b.feed(bytes.Repeat([]byte{'!'}, 6144), src, accept{true, true})  // nonsense of full size
			b.feed(append([]byte("!001!#AES:"), make([]byte, 64)...), src, accept{true, true})
		}
	}
	flood()
	delivered, lines, _ := b.take(0)
	if len(delivered) != 1 {
		t.Errorf("delivered %q", delivered)
	}
	got := b.server.Stats()
	if got.Events != 1 || got.UnknownAgent != 2*n || got.WrongAddress != n || got.Format != 3*n || got.WrongKey != 2*n || got.Duplicate != n-1 || got.Refused != 9*n-1 {
		t.Errorf("%+v", got)
	}
	kinds := map[string]int{}
	for _, l := range lines {
		kind, _, _ := strings.Cut(l, ": ")
		kinds[kind]++
	}
	for _, code := range []string{"1213", "1408", "1403", "1404", "1407"} {
		if k := kinds["ossec-remoted("+code+")"]; k == 0 || k > maxRefusals {
			t.Errorf("%d lines of %s", k, code)
		}
	}
	if len(lines) > 6*maxRefusals {
		t.Errorf("%d lines for %d packets", len(lines), got.Packets)
	}

	now = now.Add(11 * time.Second)
	b.feed([]byte("!9000!:x"), "198.51.100.1", accept{true, true})
	_, lines, _ = b.take(0)
	want := []string{fmt.Sprintf("ossec-remoted: WARN: %d more packets were refused for the reason (1408) since the last line about it.", 2*n-maxRefusals),
		"ossec-remoted(1408): ERROR: Invalid ID 9000 for the source ip: '198.51.100.1'."}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("in the next period: %q, want %q", lines, want)
	}
}

// tcpServer is a running server on loopback with TCP.
type tcpServer struct {
	t      *testing.T
	server *Server
	store  *keys.Store
	events chan *event.Event
	mu     sync.Mutex
	lines  []string
}

func startTCP(t *testing.T, tune func(*Options)) *tcpServer {
	t.Helper()
	b := newBench(t, aliceLine+bobLine, accept{true, true}, false) // for its files, keys and counters
	s := &tcpServer{t: t, store: b.server.o.Keys, events: make(chan *event.Event, 100)}
	lg := olog.New("", nil)
	lg.Tap(func(line string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lines = append(s.lines, line)
	})
	o := Options{Keys: s.store, Counters: b.counters, Control: nothing{}, Log: lg.Prog("ossec-remoted"),
		Deliver: func(_ context.Context, ev *event.Event) { s.events <- ev },
		Remotes: []config.Remote{{Secure: true, TCP: true, LocalIP: netip.MustParseAddr("127.0.0.1"), AcceptAES: true}}}
	if tune != nil {
		tune(&o)
	}
	var err error
	if s.server, err = New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *tcpServer) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.server.Addrs()[0].String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // open
	return c
}

// say sends a payload of alice's.
func (s *tcpServer) say(c net.Conn, local uint16, payload string) {
	s.t.Helper()
	var codec keys.Codec
	p, err := codec.Seal(nil, s.store.ByID("001"), keys.AES, true, keys.Counter{Global: 1, Local: local}, []byte(payload))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := c.Write(agentwire.AppendFrame(nil, p)); err != nil {
		s.t.Fatal(err)
	}
}

// closed waits until the server has closed a connection.
func (s *tcpServer) closed(what string, c net.Conn) {
	s.t.Helper()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		s.t.Errorf("%s: the connection is still open", what)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func TestStrangersOverTCPLoseTheirConnections(t *testing.T) {
	s := startTCP(t, func(o *Options) { o.Prove, o.MaxStrangers = time.Second, 4 })
	agent := s.dial()
	s.say(agent, 1, agentwire.Header+agentwire.Startup)
	if _, err := agentwire.ReadFrame(agent, make([]byte, agentwire.MaxPacket)); err != nil {
		t.Fatal(err) // the acknowledgement
	}
	oversized := s.dial()
	oversized.Write([]byte{0xff, 0xff, 0xff, 0x7f}) //nolint:errcheck // may be closed already
	s.closed("frame of 2 GiB", oversized)
	empty := s.dial()
	empty.Write([]byte{0, 0, 0, 0}) //nolint:errcheck // may be closed already
	s.closed("empty frame", empty)
	silent, dripping, garbage := s.dial(), s.dial(), s.dial()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // frames of the right form, and a frame that never ends
		dripping.Write([]byte{0xff, 0, 0, 0}) //nolint:errcheck // may be closed already
		for i := 0; ; i++ {
			garbage.Write(agentwire.AppendFrame(nil, []byte("!001!#AES:not for long"))) //nolint:errcheck // may be closed already
			dripping.Write([]byte{'x'})                                                 //nolint:errcheck // may be closed already
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	s.closed("silent", silent)
	s.closed("a byte now and then", dripping)
	s.closed("frames that do not decrypt", garbage)
	close(stop)
	wg.Wait()
	s.say(agent, 2, "1:/log:still here")
	if ev := <-s.events; ev.Raw != "still here" {
		t.Errorf("%+v", ev)
	}
	for end := time.Now().Add(20 * time.Second); s.server.Stats().Unproved < 5 && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // the counter follows the close
	}
	if st := s.server.Stats(); st.Unproved != 5 || st.Format < 2 || st.WrongKey == 0 {
		t.Errorf("%+v", st)
	}
}

func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	s := startTCP(t, func(o *Options) { o.MaxStrangers = 4 })
	var first []net.Conn
	for range 4 {
		first = append(first, s.dial())
	}
	for range 50 {
		s.closed("one too many", s.dial())
	}
	if st := s.server.Stats(); st.Unproved != 50 {
		t.Errorf("%+v", st)
	}
	s.mu.Lock()
	lines := strings.Join(s.lines, "\n")
	s.mu.Unlock()
	if n := strings.Count(lines, "connection of '127.0.0.1' refused: on 4 of its connections no agent has proved itself"); n != 1 {
		t.Errorf("%d lines:\n%s", n, lines)
	}
	s.say(first[0], 1, agentwire.Header+agentwire.Startup) // proves itself, so there is room for another
	if _, err := agentwire.ReadFrame(first[0], make([]byte, agentwire.MaxPacket)); err != nil {
		t.Fatal(err)
	}
	c := s.dial()
	s.say(c, 2, "1:/log:let in")
	if ev := <-s.events; ev.Raw != "let in" {
		t.Errorf("%+v", ev)
	}
}

// TestPeerThatDoesNotReadLosesItsConnection fills the buffers of a connection: the manager gives it up and goes on.
func TestPeerThatDoesNotReadLosesItsConnection(t *testing.T) {
	s := startTCP(t, nil)
	c := s.dial()
	s.say(c, 1, agentwire.Header+agentwire.Startup)
	if _, err := agentwire.ReadFrame(c, make([]byte, agentwire.MaxPacket)); err != nil {
		t.Fatal(err)
	}
	key := s.store.ByID("001")
	noise := make([]byte, 6000)
	for i := range noise {
		noise[i] = byte(i * i * 7919 >> 3)
	}
	var err error
	for i := 0; err == nil; i++ {
		if err = s.server.Send(key, noise); i > 100000 {
			t.Fatal("a peer that does not read takes everything")
		}
	}
	for !errors.Is(err, ErrNotConnected) { // once the reader has noticed
		err = s.server.Send(key, []byte("x"))
	}
	again := s.dial()
	s.say(again, 2, "1:/log:others go on")
	if ev := <-s.events; ev.Raw != "others go on" {
		t.Errorf("%+v", ev)
	}
}
