package listen

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

type syslogVector struct {
	Name  string   `json:"name"`
	Src   string   `json:"src"`
	Sent  []string `json:"sent"`
	Queue []string `json:"queue"`
	Log   []string `json:"manager_log"`
}

// syslogDeviations are the cases over TCP in which OSSEC joins, keeps back or loses lines (spec protocol.md, section 18, "Improve"): what a
// receiver that splits lines properly queues.
var syslogDeviations = map[string][]string{
	"syslog-tcp/one":                  {"2:127.0.0.1:tcp line 1"},                             // line end removed
	"syslog-tcp/two-in-one-segment":   {"2:127.0.0.1:l1", "2:127.0.0.1:l2"},                   // second line not kept back
	"syslog-tcp/three-in-one-segment": {"2:127.0.0.1:l1", "2:127.0.0.1:l2", "2:127.0.0.1:l3"}, // the same
	"syslog-tcp/split":                {"2:127.0.0.1:partial"},                                // line end removed
	"syslog-tcp/line-and-half":        {"2:127.0.0.1:full", "2:127.0.0.1:half"},               // line end removed
	"syslog-tcp/no-newline":           {"2:127.0.0.1:never ended"},                            // rest delivered at the end
	"syslog-tcp/octet-counted":        {"2:127.0.0.1:counted!"},                               // RFC 6587 framing
	"syslog-tcp/bsd-two-then-one":     {"2:127.0.0.1:a1", "2:127.0.0.1:a2", "2:127.0.0.1:a3"}, // lines not joined
	"syslog-tcp/long-7000":            {"2:127.0.0.1:after"},                                  // line end removed
}

// syslogBench is a running receiver with what it delivered.
type syslogBench struct {
	s     *Syslog
	mu    sync.Mutex
	queue []string
	lines []string
}

func startSyslog(t *testing.T, tcp bool) *syslogBench {
	t.Helper()
	b := &syslogBench{}
	lg := olog.New("", nil)
	lg.Tap(func(line string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lines = append(b.lines, line[len("2026/11/24 10:00:00 "):])
	})
	spec := func(s string, neg bool) config.AddressSpec {
		return config.AddressSpec{Text: s, Prefix: netip.MustParsePrefix(s), Negate: neg}
	}
	var err error
	b.s, err = NewSyslog(t.Context(), SyslogOptions{
		Remotes: []config.Remote{{Port: 0, TCP: tcp, LocalIP: netip.MustParseAddr("127.0.0.1"),
			Allowed: []config.AddressSpec{spec("127.0.0.0/29", false)}, Denied: []config.AddressSpec{spec("127.0.0.3/32", false)}}},
		Log: lg.Prog("ossec-remoted"), LogEvery: -1,
		Deliver: func(_ context.Context, ev *event.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if ev.Agent != nil {
				t.Errorf("event of agent %v", ev.Agent)
			}
			b.queue = append(b.queue, string(rune(ev.Kind))+":"+ev.Location+":"+ev.Raw)
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

// take waits until the given numbers of messages and lines are there.
func (b *syslogBench) take(messages, lines int) (queue, log []string) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		if len(b.queue) >= messages && len(b.lines) >= lines || time.Now().After(deadline) {
			queue, log = b.queue, b.lines
			b.queue, b.lines = nil, nil
			b.mu.Unlock()
			return queue, log
		}
		b.mu.Unlock()
	}
}

// send writes the segments of a case from its source address and, over TCP, waits until the receiver has read to the end.
func (b *syslogBench) send(t *testing.T, network, src string, segments []string) {
	t.Helper()
	local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(src), 0))
	d := net.Dialer{LocalAddr: local}
	if network == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(local.AddrPort())
	}
	c, err := d.Dial(network, b.s.Addrs()[0].String())
	if err != nil {
		t.Skipf("no address %s here: %v", src, err)
	}
	defer c.Close()
	// A receiver that refuses a connection may be faster than its client; what is missing shows when queue and log are compared.
	for _, s := range segments {
		if _, err := c.Write([]byte(s)); err != nil {
			t.Logf("writing: %v", err)
			break
		}
	}
	if tc, ok := c.(*net.TCPConn); ok {
		if err := tc.CloseWrite(); err != nil {
			t.Logf("closing: %v", err)
		}
		io.Copy(io.Discard, c) //nolint:errcheck // ends when the receiver closes
	}
}

func TestSyslogInput(t *testing.T) {
	udp, tcp := startSyslog(t, false), startSyslog(t, true)
	seen := 0
	for _, v := range vectorLines[syslogVector](t, "syslog_input.jsonl") {
		t.Run(v.Name, func(t *testing.T) {
			b, network := udp, "udp"
			if strings.HasPrefix(v.Name, "syslog-tcp/") {
				b, network = tcp, "tcp"
			}
			for i := range v.Sent {
				v.Sent[i] = expand(v.Sent[i], "bytes")
			}
			if d, ok := syslogDeviations[v.Name]; ok {
				v.Queue = d
				seen++
			}
			b.send(t, network, v.Src, v.Sent)
			if len(v.Queue)+len(v.Log) == 0 {
				b.send(t, network, "127.0.0.1", []string{"barrier\n"})
				v.Queue = []string{"2:127.0.0.1:barrier"}
			}
			queue, log := b.take(len(v.Queue), len(v.Log))
			for i := range v.Queue {
				v.Queue[i] = expand(v.Queue[i], "bytes")
			}
			if diff := cmp.Diff(v.Queue, queue, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("queue (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(important(v.Log), important(log)); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
		})
	}
	if seen != len(syslogDeviations) {
		t.Errorf("%d of %d deviations are in the vectors", seen, len(syslogDeviations))
	}
}

// expand fills the elided texts of the vectors ("<13>aaaa...(1023 bytes)"): the last character is repeated up to the length.
func expand(s, unit string) string {
	head, tail, ok := strings.Cut(s, "...(")
	if !ok {
		return s
	}
	var n int
	if _, err := fmt.Sscanf(tail, "%d "+unit+")", &n); err != nil {
		return s
	}
	end := ""
	if strings.HasPrefix(s, "<34>dddd") { // the one line of these that has an end
		end = "\n"
	}
	return head + strings.Repeat(head[len(head)-1:], n-len(head)-len(end)) + end
}

func TestAccessList(t *testing.T) {
	spec := func(s string, neg bool) config.AddressSpec {
		return config.AddressSpec{Text: s, Prefix: netip.MustParsePrefix(s), Negate: neg}
	}
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.9.0.1")
	for _, c := range []struct {
		list []config.AddressSpec
		a, b bool
	}{
		{nil, false, false},
		{[]config.AddressSpec{spec("10.0.0.0/24", false)}, true, false},
		{[]config.AddressSpec{spec("10.0.0.0/24", true)}, false, true},
		{[]config.AddressSpec{spec("10.0.0.0/24", true), spec("10.0.0.0/8", false)}, false, true},
		{[]config.AddressSpec{spec("10.0.0.0/8", false), spec("10.0.0.0/24", true)}, true, true},
		{[]config.AddressSpec{{Text: "any", Any: true}}, true, true},
	} {
		if ga, gb := listed(c.list, a), listed(c.list, b); ga != c.a || gb != c.b {
			t.Errorf("%v: %v, %v; want %v, %v", c.list, ga, gb, c.a, c.b)
		}
	}
}

// TestSyslogTCPKeepsClientsApart has many clients send at once, in pieces.
func TestSyslogTCPKeepsClientsApart(t *testing.T) {
	b := startSyslog(t, true)
	const clients, lines = 20, 50
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			var all string
			for i := range lines {
				all += fmt.Sprintf("<13>client %d line %d\n", c, i)
			}
			var parts []string
			for len(all) > 7 {
				parts, all = append(parts, all[:7]), all[7:]
			}
			b.send(t, "tcp", "127.0.0.1", append(parts, all))
		})
	}
	wg.Wait()
	queue, _ := b.take(clients*lines, 0)
	for c := range clients {
		var got []string
		for _, q := range queue {
			if strings.HasPrefix(q, fmt.Sprintf("2:127.0.0.1:client %d ", c)) {
				got = append(got, q)
			}
		}
		if len(got) != lines || !slices.IsSortedFunc(got, func(x, y string) int { return number(x) - number(y) }) {
			t.Errorf("client %d: %d lines: %q", c, len(got), got)
		}
	}
}

func number(s string) (n int) {
	fmt.Sscanf(s[strings.LastIndexByte(s, ' ')+1:], "%d", &n) //nolint:errcheck // 0 then
	return n
}

func FuzzSyslogStream(f *testing.F) {
	for _, s := range []string{"<34>a\n<34>b\n", "12 <34>counted!\n", "3 <1>", "x\r\ny", "6145 <", "\n\n", "00001 <"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sp := lineSplitter{r: newReader(s)}
		total := 0
		for {
			line, err := sp.next()
			total += len(line)
			if len(line) > maxLine {
				t.Fatalf("line of %d bytes", len(line))
			}
			if err != nil && err != errLineTooLong {
				break
			}
		}
		if total > len(s) {
			t.Fatalf("%d bytes out of %d", total, len(s))
		}
	})
}
