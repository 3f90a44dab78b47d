package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

var oneServer = config.Client{Servers: []config.Server{{Host: "127.0.0.1", Port: 1514}}}

// ossecManager acknowledges control messages between the given times, in seconds, and never anything else.
func ossecManager(t *testing.T, up func(at time.Duration) bool) *fakeServer {
	start := time.Now()
	s := &fakeServer{t: t, key: keyOf(t, recordedKey), with: keys.AES}
	s.answer = func(h heard) (time.Duration, []string) {
		if !strings.HasPrefix(h.payload, agentwire.Header) || !up(h.at.Sub(start)) {
			return 0, nil
		}
		return 0, []string{agentwire.Header + agentwire.Ack}
	}
	return s
}

func always(time.Duration) bool { return true }

func say(t *testing.T, b *agentBench, text string) {
	t.Helper()
	if err := b.f.Send(t.Context(), event.Message{Kind: event.KindLog, Location: "/log", Text: text}); err != nil {
		t.Fatal(err)
	}
}

// texts lists the events among what the server heard.
func texts(log []heard) (out []string) {
	for _, h := range log {
		if s, ok := strings.CutPrefix(h.payload, "1:/log:"); ok {
			out = append(out, s)
		}
	}
	return out
}

// TestSilenceIsNoticedLongBeforeOSSECWould has a manager of OSSEC's that stops answering: what is said after the first unanswered keepalive
// waits in the spool, and arrives when the manager is back.
func TestSilenceIsNoticedLongBeforeOSSECWould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ossecManager(t, func(at time.Duration) bool { return at < 500*time.Second || at > 1000*time.Second })
		b := startAgent(t, s, oneServer, func(o *Options) { o.Timing.AckTimeout = 0 })
		defer b.stop()
		time.Sleep(610 * time.Second) // keepalive at 600 s
		time.Sleep(5 * time.Second)
		s.takeHeard()
		say(t, b, "while in doubt")
		time.Sleep(15 * time.Second)
		if b.f.State() != Connecting {
			t.Error("still believes to be connected half a minute after the first unanswered keepalive")
		}
		say(t, b, "while away")
		time.Sleep(200 * time.Second)
		if got := texts(s.takeHeard()); got != nil {
			t.Errorf("sent %q while nobody answered", got)
		}
		time.Sleep(300 * time.Second)
		if diff := cmp.Diff([]string{"while in doubt", "while away"}, texts(s.takeHeard())); diff != "" {
			t.Error(diff)
		}
	})
}

// TestOneLostKeepaliveIsNoLoss loses a single acknowledgement.
func TestOneLostKeepaliveIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ossecManager(t, func(at time.Duration) bool { return at < 599*time.Second || at > 605*time.Second })
		b := startAgent(t, s, oneServer, func(o *Options) { o.Timing.AckTimeout = 0 })
		defer b.stop()
		time.Sleep(1000 * time.Second)
		if got := b.f.Stats(); got.Connects != 1 || b.f.State() != Connected {
			t.Errorf("%+v", got)
		}
		say(t, b, "x")
		synctest.Wait()
		if diff := cmp.Diff([]string{"x"}, texts(s.takeHeard())); diff != "" {
			t.Error(diff)
		}
	})
}

// TestReplayToOSSECIsPaced bounds the rate at which a manager without acknowledgements gets what was spooled.
func TestReplayToOSSECIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ossecManager(t, func(at time.Duration) bool { return at > 100*time.Second })
		b := startAgent(t, s, oneServer, nil)
		defer b.stop()
		var want []string
		for i := range 2000 {
			want = append(want, fmt.Sprint(i))
			say(t, b, want[i])
		}
		time.Sleep(200 * time.Second)
		log := s.takeHeard()
		if diff := cmp.Diff(want, texts(log)); diff != "" {
			t.Error(diff)
		}
		perTick := map[time.Time]int{}
		for _, h := range log {
			if perTick[h.at]++; perTick[h.at] > 30 {
				t.Fatalf("%d datagrams at one moment", perTick[h.at])
			}
		}
		if st := b.f.Stats(); st.SpoolLen != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestWithoutSpoolSendersWait pushes back instead of losing.
func TestWithoutSpoolSendersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ossecManager(t, func(at time.Duration) bool { return at > 100*time.Second })
		b := startAgent(t, s, oneServer, func(o *Options) { o.NoSpool = true })
		defer b.stop()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		sent := 0
		for b.f.Send(ctx, event.Message{Kind: event.KindLog, Location: "/log", Text: fmt.Sprint(sent)}) == nil {
			sent++
		}
		if sent != queueLength {
			t.Errorf("%d events were taken while nobody answered", sent)
		}
		say(t, b, "last") // waits until the manager is there
		time.Sleep(10 * time.Second)
		got := texts(s.takeHeard())
		if len(got) != sent+1 || got[0] != "0" || got[sent] != "last" {
			t.Errorf("%d events arrived", len(got))
		}
	})
}

func TestDisabledResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ossecManager(t, always)
		client := oneServer
		client.DisableAR = true
		b := startAgent(t, s, client, nil)
		defer b.stop()
		time.Sleep(time.Second)
		s.mu.Lock()
		conn := s.conn
		s.mu.Unlock()
		s.reply(conn, "#!-execd host-deny600 - 1.2.3.4 1.1 5 x -")
		s.reply(conn, "#!-execd "+"restart-ossec0 - null (from_the_server) (no_rule_id)")
		s.reply(conn, "#!-syscheck restart")
		time.Sleep(time.Second)
		if _, commands := b.take(); len(commands) != 1 || !commands[0].Rescan {
			t.Errorf("%+v", commands)
		}
	})
}

func TestSendAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startAgent(t, ossecManager(t, always), oneServer, nil)
		time.Sleep(time.Second)
		if _, err := os.Stat(filepath.Join(b.root, "queue/ossec/.wait")); !os.IsNotExist(err) {
			t.Errorf("lock while connected: %v", err)
		}
		b.stop()
		if err := b.f.Send(t.Context(), event.Message{Kind: event.KindLog, Location: "x", Text: "y"}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// TestUnreachableServers fails to connect at all: names that do not resolve, refused TCP connections.
func TestUnreachableServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := ossecManager(t, always)
		client := config.Client{Servers: []config.Server{{Host: "a.invalid", Port: 1514}, {Host: "b.invalid", Port: 1514}}}
		b := startAgent(t, s, client, func(o *Options) {
			good := o.Dial
			o.Dial = func(ctx context.Context, network, address string, local netip.Addr) (net.Conn, error) {
				if time.Since(start) < 50*time.Second || strings.HasPrefix(address, "a.") {
					return nil, errors.New("no such host")
				}
				return good(ctx, network, address, local)
			}
		})
		defer b.stop()
		time.Sleep(200 * time.Second)
		lines, _ := b.take()
		all := strings.Join(lines, "\n")
		for _, want := range []string{"ossec-agentd(1216): ERROR: Unable to connect to 'a.invalid'.", "ossec-agentd(1216): ERROR: Unable to connect to 'b.invalid'.",
			"ossec-agentd: ERROR: Unable to connect to any server.", "ossec-agentd(4102): INFO: Connected to server b.invalid, port 1514."} {
			if !strings.Contains(all, want) {
				t.Errorf("log lacks %q:\n%s", want, all)
			}
		}
		if n := strings.Count(all, "(1216)"); n > 12 {
			t.Errorf("%d attempts", n)
		}
	})
}

// TestLocalPrograms write to queue/ossec/queue of a running agent.
func TestLocalPrograms(t *testing.T) {
	s := ossecManager(t, always)
	b := startAgent(t, s, oneServer, func(o *Options) { o.LocalQueue = true })
	defer b.stop()
	var c net.Conn
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		var err error
		if c, err = net.Dial("unixgram", filepath.Join(b.root, "queue/ossec/queue")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer c.Close()
	for _, d := range []string{"1:/log:one\x00", "#!-agent startup ", "\x00", "1:/log:two\x00junk"} {
		if _, err := c.Write([]byte(d)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for deadline := time.Now().Add(10 * time.Second); len(got) < 2 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		got = append(got, texts(s.takeHeard())...)
	}
	if diff := cmp.Diff([]string{"one", "two"}, got); diff != "" {
		t.Error(diff)
	}
	lines, _ := b.take()
	if !strings.Contains(strings.Join(lines, "\n"), "tried to send a control message") {
		t.Errorf("log %q", lines)
	}
}

// TestBadFileLeavesTheOldOne keeps the working bundle when a transfer is damaged.
func TestBadFileLeavesTheOldOne(t *testing.T) {
	dir := t.TempDir()
	r := fileReceiver{dir: dir}
	receive := func(sum, name string, chunks ...string) {
		r.begin([]byte("up file " + sum + " " + name + "\n"))
		for _, c := range chunks {
			if r.isOpen() {
				r.data([]byte(c))
			}
		}
		r.end()
	}
	read := func(name string) string {
		data, _ := os.ReadFile(filepath.Join(dir, name))
		return string(data)
	}
	receive("8d3c7ef4e51de89bd81c33f6b1d0ab19", "merged.mg", "nothing of that sum")
	good := "!3 a\nabc!2 b\nde"
	receive(md5Of(t, good), "merged.mg", good[:5], good[5:])
	if read("merged.mg") != good || read("a") != "abc" || read("b") != "de" {
		t.Fatalf("%q %q %q", read("merged.mg"), read("a"), read("b"))
	}
	receive(md5Of(t, good), "merged.mg", good[:5])
	receive(md5Of(t, good), "merged.mg", good, "x")
	r.begin([]byte("up file " + md5Of(t, good) + " merged.mg\n"))
	r.data([]byte("half"))
	r.abort()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 || read("merged.mg") != good {
		t.Errorf("%v, %v, %q", entries, err, read("merged.mg"))
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	withDir := "!1 d\nx!1 a\ny"
	receive(md5Of(t, withDir), "merged.mg", withDir)
	if read("a") != "y" {
		t.Error("a bad entry kept the others from being unpacked")
	}
}

func md5Of(t *testing.T, s string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
	return fileMD5(path)
}

// busyConn has no buffer for the first packets.
type busyConn struct {
	net.Conn
	left *atomic.Int32
}

func (c *busyConn) Write(b []byte) (int, error) {
	if c.left.Add(-1) >= 0 {
		return 0, &net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.ENOBUFS)}
	}
	return c.Conn.Write(b)
}

// TestSystemShortOfBuffers waits and tries again instead of losing an event.
func TestSystemShortOfBuffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left atomic.Int32
		s := ossecManager(t, always)
		b := startAgent(t, s, oneServer, func(o *Options) {
			good := o.Dial
			o.Dial = func(ctx context.Context, network, address string, local netip.Addr) (net.Conn, error) {
				c, err := good(ctx, network, address, local)
				return &busyConn{c, &left}, err
			}
		})
		defer b.stop()
		time.Sleep(10 * time.Second)
		b.take()
		s.takeHeard()
		left.Store(3)
		start := time.Now()
		say(t, b, "in spite of all")
		time.Sleep(20 * time.Second)
		heard := s.takeHeard()
		if len(heard) != 1 || heard[0].at.Sub(start) != 6*time.Second {
			t.Fatalf("%+v after %v", heard, heard[0].at.Sub(start))
		}
		lines, _ := b.take()
		want := []string{"ossec-agentd: INFO: Remote socket busy, waiting 1 s.", "ossec-agentd: INFO: Remote socket busy, waiting 2 s.",
			"ossec-agentd: INFO: Remote socket busy, waiting 3 s."}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Error(diff)
		}
	})
}

// TestRefusedPacketsWriteFewLines floods the agent with packets that are not its manager's.
func TestRefusedPacketsWriteFewLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ossecManager(t, always)
		b := startAgent(t, s, oneServer, func(o *Options) { o.Timing.LogEvery = 0 })
		defer b.stop()
		time.Sleep(10 * time.Second)
		b.take()
		before := b.f.Stats().Refused
		for i := range 500 {
			s.raw([]byte("#AES:" + strings.Repeat("x", 32)))
			s.raw([]byte(fmt.Sprintf("nonsense %d", i)))
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		lines, _ := b.take()
		if n := b.f.Stats().Refused - before; n != 1000 || len(lines) > 4 {
			t.Errorf("%d packets refused, %d lines:\n%s", n, len(lines), strings.Join(lines, "\n"))
		}
	})
}

// names resolves some names only.
type names map[string]bool

func (n names) LookupHost(_ context.Context, host string) ([]string, error) {
	if n[host] {
		return []string{"192.0.2.1"}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// TestNamesThatDoNotResolveAreReported warns at the start, as operators of OSSEC know it, and goes on.
func TestNamesThatDoNotResolveAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ossecManager(t, always)
		client := config.Client{Servers: []config.Server{{Host: "good.example", Port: 1514}, {Host: "bad.example", Port: 1514}, {Host: "192.0.2.7", Port: 1514}}}
		b := startAgent(t, s, client, func(o *Options) { o.Names = names{"good.example": true} })
		defer b.stop()
		time.Sleep(time.Minute)
		lines, _ := b.take()
		all := strings.Join(lines, "\n")
		for _, want := range []string{"ossec-agentd: WARN: 'bad.example' does not resolve to an address.", "ossec-agentd(4104): ERROR: Invalid hostname: 'bad.example'."} {
			if strings.Count(all, want) != 1 {
				t.Errorf("log lacks %q:\n%s", want, all)
			}
		}
		if strings.Contains(all, "'good.example' does") || strings.Contains(all, "'192.0.2.7' does") || b.f.State() != Connected {
			t.Errorf("log:\n%s", all)
		}
	})
}
