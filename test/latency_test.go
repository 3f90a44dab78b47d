//go:build linux

package test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inside calls f on a thread that has moved to the host's network, so that the sockets it makes are there.
func (h host) inside(f func() error) {
	h.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- func() error {
			ns, err := os.Open("/run/netns/" + h.ns)
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	if err := <-done; err != nil {
		h.t.Fatalf("in the network of %s: %v", h.ns, err)
	}
}

// ear notes for each source when the latest packet that arrived was sent.
type ear struct {
	mu   sync.Mutex
	sent map[netip.Addr]time.Time
	seen map[netip.Addr]time.Time
}

func (e *ear) listen(c *net.UDPConn) {
	buf := make([]byte, 64)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if n == 8 {
			e.mu.Lock()
			e.sent[from.Addr().Unmap()] = time.Unix(0, int64(binary.BigEndian.Uint64(buf)))
			e.seen[from.Addr().Unmap()] = time.Now()
			e.mu.Unlock()
		}
	}
}

// last gives when the latest packet of a source was sent and how long ago it came.
func (e *ear) last(a netip.Addr) (sent time.Time, quiet time.Duration, heard bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	sent, heard = e.sent[a]
	return sent, time.Since(e.seen[a]), heard
}

const (
	beatEvery = time.Millisecond
	silence   = 50 * time.Millisecond // without a packet: it may be blocked
	rounds    = 100
)

// beat sends a packet with the time every millisecond until stop is closed.
func beat(c *net.UDPConn, stop <-chan struct{}) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			c.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))) //nolint:errcheck // a lost packet is what is waited for
		}
	}
}

// BenchmarkResponseLatency measures from the moment when a log line is written on an agent until the agent's kernel drops the packets of
// the address in it: through the agent, the manager's rules, the manager's answer and the firewall. One run is 100 addresses.
//
//	go test -run '^$' -bench ResponseLatency ./test
func BenchmarkResponseLatency(b *testing.B) {
	for _, program := range []string{"firewall-drop.sh", "nftables-drop.sh"} {
		b.Run(strings.TrimSuffix(program, ".sh"), func(b *testing.B) { responseLatency(b, program) })
	}
}

func responseLatency(b *testing.B, program string) {
	bound := bindings{{"cut", program, "srcip", "local", 600}}
	f := newFleet(b, bound, nil)
	one := f.agents[0]
	dev := strings.Fields(f.attacker.run("", "ip", "-o", "-4", "addr", "show", "to", fleetAttack1))[1]
	heard := &ear{sent: map[netip.Addr]time.Time{}, seen: map[netip.Addr]time.Time{}}
	var target *net.UDPConn
	one.inside(func() (err error) {
		target, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(fleetSide1)})
		return err
	})
	var wg sync.WaitGroup
	wg.Go(func() { heard.listen(target) })
	defer wg.Wait()
	defer target.Close()

	b.ResetTimer()
	var took []time.Duration
	for i := range rounds {
		addr := fmt.Sprintf("10.81.11.%d", 100+i)
		f.attacker.run("", "ip", "addr", "add", addr+"/24", "dev", dev)
		took = append(took, cutOff(b, f, heard, target.LocalAddr().(*net.UDPAddr), addr))
	}
	b.StopTimer()
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(took[len(took)/2]), "ms/median")
	b.ReportMetric(ms(took[len(took)*95/100]), "ms/p95")
	b.ReportMetric(ms(took[len(took)-1]), "ms/max")
}

// cutOff lets packets of an address arrive, writes the line about it, and gives the time from there to the sending of the last packet that
// came through.
func cutOff(b *testing.B, f *fleet, heard *ear, to *net.UDPAddr, addr string) time.Duration {
	var c *net.UDPConn
	f.attacker.inside(func() (err error) {
		c, err = net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(addr)}, to)
		return err
	})
	defer c.Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() { beat(c, stop) })
	from := netip.MustParseAddr(addr)
	one := f.agents[0].install
	one.eventually("packets of "+addr+" arrive", 10*time.Second, func() bool { _, _, ok := heard.last(from); return ok })
	written := time.Now()
	f.say(f.agents[0], "cut", addr, "root")
	var last time.Time
	one.eventually("packets of "+addr+" are dropped", 30*time.Second, func() bool {
		sent, quiet, _ := heard.last(from)
		last = sent
		return quiet > silence && f.block(one, addr) != nil
	})
	return max(last.Sub(written), 0)
}
