//go:build linux

package test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// faults tell what a wire does to packets. All are probabilities.
type faults struct {
	loss, double, late float64
	delay              time.Duration // of late packets, at most
}

// wire joins two hosts through a tunnel device on each, and this process between them: a network whose faults do not depend on what the
// kernel can simulate (tc netem), and whose every loss is known.
type wire struct {
	dev   string // of both ends, each in its namespace
	hosts [2]host

	ends [2]*os.File
	wg   sync.WaitGroup

	mu     sync.Mutex
	rnd    *rand.Rand
	faults faults
	seen   func(packet []byte, copies int) // told of each packet, and how often it was handed on
	count  wireCount
	late   sync.WaitGroup
	closed bool
}

type wireCount struct{ packets, lost, doubled, delayed int }

// wire joins two hosts in a network of its own.
func (n *network) wire(a host, addrA string, b host, addrB string, seed uint64) *wire {
	n.t.Helper()
	w := &wire{rnd: rand.New(rand.NewPCG(seed, 1))}
	n.links++
	dev := fmt.Sprintf("wire%d", n.links)
	w.dev, w.hosts = dev, [2]host{a, b}
	for i, end := range []struct {
		h    host
		addr string
	}{{a, addrA}, {b, addrB}} {
		var err error
		if w.ends[i], err = openTunnel(end.h.ns, dev); err != nil {
			for _, f := range w.ends[:i] {
				f.Close()
			}
			n.t.Skipf("test over a bad network skipped: no tunnel devices here: %v", err)
		}
		n.ip("-n", end.h.ns, "addr", "add", end.addr+"/24", "dev", dev)
		n.ip("-n", end.h.ns, "link", "set", dev, "up")
	}
	w.wg.Go(func() { w.carry(w.ends[0], w.ends[1]) })
	w.wg.Go(func() { w.carry(w.ends[1], w.ends[0]) })
	n.t.Cleanup(w.close)
	return w
}

// netem lets the kernel lose, double and delay what enters the wire, at both ends, and reports whether it can: many kernels have no sch_netem.
func (w *wire) netem(args ...string) bool {
	for i, h := range w.hosts {
		if out, err := h.try("", "tc", append([]string{"qdisc", "add", "dev", w.dev, "root", "netem"}, args...)...); err != nil {
			h.t.Logf("no netem here: %s", out)
			if i > 0 {
				h.t.Fatal("one end of the wire has netem, the other has not")
			}
			return false
		}
	}
	return true
}

// set changes what the wire does from now on.
func (w *wire) set(f faults, seen func(packet []byte, copies int)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults, w.seen = f, seen
}

func (w *wire) counts() wireCount {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

func (w *wire) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	for _, f := range w.ends {
		f.Close()
	}
	w.wg.Wait()
	w.late.Wait()
}

// carry takes packets from one end to the other until the wire is closed.
func (w *wire) carry(from, to *os.File) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		w.packet(append([]byte(nil), buf[:n]...), to)
	}
}

// packet decides what becomes of one packet.
func (w *wire) packet(p []byte, to *os.File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	f := w.faults
	copies := 1
	switch x := w.rnd.Float64(); {
	case x < f.loss:
		copies = 0
		w.count.lost++
	case x < f.loss+f.double:
		copies = 2
		w.count.doubled++
	}
	w.count.packets++
	if w.seen != nil {
		w.seen(p, copies)
	}
	for range copies {
		if w.rnd.Float64() >= f.late {
			to.Write(p) //nolint:errcheck // a network
			continue
		}
		w.count.delayed++
		w.late.Add(1)
		time.AfterFunc(time.Duration(w.rnd.Int64N(int64(f.delay))), func() {
			defer w.late.Done()
			to.Write(p) //nolint:errcheck // a network
		})
	}
}

// openTunnel makes a tunnel device on a host; what the host sends through it can be read from the file, and the other way round.
func openTunnel(ns, dev string) (f *os.File, err error) {
	err = onHost(ns, func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return &fs.PathError{Op: "open", Path: "/dev/net/tun", Err: err}
		}
		req, err := unix.NewIfreq(dev)
		if err == nil {
			req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
		}
		if err != nil {
			unix.Close(fd)
			return fmt.Errorf("tunnel device: %w", err)
		}
		f = os.NewFile(uintptr(fd), dev)
		return nil
	})
	return f, err
}

// onHost runs f on a thread that lives in a host's namespace: sockets and devices made there stay there.
func onHost(ns string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		dir, err := os.Open("/run/netns/" + ns)
		if err == nil {
			defer dir.Close()
			if err = unix.Setns(int(dir.Fd()), unix.CLONE_NEWNET); err == nil {
				err = f()
			}
		}
		done <- err
	}()
	return <-done
}

// TestWireKeepsItsPromise checks the instrument itself: datagrams over a wire arrive as often as it says.
func TestWireKeepsItsPromise(t *testing.T) {
	n := newNetwork(t)
	a, b := n.host("wa"), n.host("wb")
	w := n.wire(a, "10.78.9.1", b, "10.78.9.2", 5)
	c, err := listenOn(a, "10.78.9.1:4000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, err := listenOn(b, "10.78.9.2:4000")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	want := map[string]int{}
	w.set(faults{loss: 0.2, double: 0.2, late: 0.3, delay: 5 * time.Millisecond}, func(p []byte, copies int) {
		if text, ok := udpPayload(p, 4000); ok {
			want[text] = copies
		}
	})
	got := map[string]int{}
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 100)
		for {
			k, _, err := d.ReadFrom(buf)
			if err != nil || string(buf[:k]) == "end" {
				done <- err
				return
			}
			got[string(buf[:k])]++
		}
	}()
	for i := range 300 {
		if _, err := c.WriteTo([]byte(fmt.Sprintf("packet %d", i)), d.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	w.waitForPackets(t, 300)
	w.set(faults{}, nil)
	w.late.Wait()
	d.SetReadDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // open
	if _, err := c.WriteTo([]byte("end"), d.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for text, copies := range want {
		if got[text] != copies {
			t.Errorf("%q came %d times, not %d", text, got[text], copies)
		}
	}
	if s := w.counts(); s.lost < 30 || s.doubled < 30 || s.delayed < 30 || len(want) != 300 {
		t.Errorf("%+v, %d packets seen", s, len(want))
	}
}

// waitForPackets waits until the wire has had n packets.
func (w *wire) waitForPackets(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); w.counts().packets < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v, want %d packets", w.counts(), n)
		}
	}
}
