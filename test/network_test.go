//go:build linux

package test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// host is one network namespace.
type host struct {
	t  testing.TB
	ns string
}

// command prepares a program that runs on the host.
func (h host) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.ns, name}, args...)...)
}

// run runs a program on the host with stdin and returns what it printed; a failure fails the test unless mayFail.
func (h host) run(stdin, name string, args ...string) string {
	h.t.Helper()
	out, err := h.try(stdin, name, args...)
	if err != nil {
		h.t.Fatalf("%s %s on %s: %v\n%s", name, strings.Join(args, " "), h.ns, err, out)
	}
	return out
}

func (h host) try(stdin, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), 100*time.Second)
	defer cancel()
	cmd := h.command(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// network makes namespaces and links, and takes them away at the end of the test.
type network struct {
	t     testing.TB
	tag   string
	links int
}

// networks numbers the networks of this process, which may exist at the same time.
var networks atomic.Int32

func newNetwork(t testing.TB) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("end-to-end test skipped: it needs root to make network namespaces")
	}
	for _, program := range []string{"ip", "iptables", "make"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("end-to-end test skipped: %s is not installed", program)
		}
	}
	n := &network{t: t, tag: fmt.Sprintf("v%d%c", os.Getpid()%100000, 'a'+networks.Add(1)-1)}
	if out, err := exec.Command("ip", "netns", "add", n.tag+"-probe").CombinedOutput(); err != nil {
		t.Skipf("end-to-end test skipped: network namespaces cannot be made here: %s", out)
	}
	exec.Command("ip", "netns", "del", n.tag+"-probe").Run()
	return n
}

func (n *network) ip(args ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (n *network) host(name string) host {
	n.t.Helper()
	ns := n.tag + "-" + name
	n.ip("netns", "add", ns)
	n.t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
	n.ip("-n", ns, "link", "set", "lo", "up")
	return host{n.t, ns}
}

// link joins two hosts with a veth pair in a network of its own.
func (n *network) link(a host, addrA string, b host, addrB string) {
	n.t.Helper()
	n.links++
	left, right := fmt.Sprintf("%sa%d", n.tag, n.links), fmt.Sprintf("%sb%d", n.tag, n.links)
	n.ip("link", "add", left, "netns", a.ns, "type", "veth", "peer", "name", right, "netns", b.ns)
	for _, end := range []struct {
		h         host
		dev, addr string
	}{{a, left, addrA}, {b, right, addrB}} {
		n.ip("-n", end.h.ns, "addr", "add", end.addr+"/24", "dev", end.dev)
		n.ip("-n", end.h.ns, "link", "set", end.dev, "up")
	}
}

// The test binary plays small network programs when it is started inside a namespace with this variable set.
const roleEnv = "VEDETTE_E2E_ROLE"

func TestMain(m *testing.M) {
	role, addr, _ := strings.Cut(os.Getenv(roleEnv), " ")
	switch role {
	case "":
		flag.Set("test.parallel", "8") //nolint:errcheck // exists; tests that run side by side here wait for programs and use little processor time
		os.Exit(m.Run())
	case "serve": // answers every connection with a word
		l, err := net.Listen("tcp", addr)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("serving")
		for {
			c, err := l.Accept()
			if err != nil {
				os.Exit(1)
			}
			io.WriteString(c, "hello\n")
			c.Close()
		}
	case "dial": // succeeds when the server answers
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			os.Exit(1)
		}
		c.SetDeadline(time.Now().Add(time.Second))
		if _, err := io.ReadAtLeast(c, make([]byte, 6), 6); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	case "collect": // prints every UDP packet on a line of its own
		pc, err := net.ListenPacket("udp", addr)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		buf := make([]byte, 65536)
		for {
			k, _, err := pc.ReadFrom(buf)
			if err != nil {
				os.Exit(1)
			}
			fmt.Printf("%q\n", buf[:k])
		}
	}
	os.Exit(2)
}

// play starts the test binary in a role on the host; output goes to w.
func (h host) play(role, addr string, w io.Writer) *exec.Cmd {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := h.command(h.t.Context(), self)
	cmd.Env = append(os.Environ(), roleEnv+"="+role+" "+addr)
	cmd.Stdout, cmd.Stderr = w, w
	return cmd
}

// reaches tells whether a TCP connection from the host to addr gets an answer.
func (h host) reaches(addr string) bool {
	h.t.Helper()
	return h.play("dial", addr, io.Discard).Run() == nil
}
