package rootcheck

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vedette-hids/vedette/config"
)

var storms = flag.Int("storms", 3, "scans for hidden processes in a storm of short-lived ones")

// TestShortLivedProcessesAreNotHidden scans while processes start and end as fast as the machine can.
func TestShortLivedProcessesAreNotHidden(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, args := range [][]string{
		{"/bin/sh", "-c", "while :; do (:); done"},                         // forks
		{"/bin/sh", "-c", "while :; do (:)& (:)& (:)& wait; done"},         // several at once
		{"/bin/sh", "-c", "while :; do /bin/true; done"},                   // runs programs
		{"/bin/sh", "-c", "while :; do (/bin/true & /bin/true & :); done"}, // leaves orphans behind
	} {
		wg.Go(func() { _ = exec.CommandContext(ctx, args[0], args[1:]...).Run() }) // is killed
	}
	begin := forks(t)
	for range *storms {
		if got, lines := scan(t, &config.Rootcheck{CheckPids: true}, Options{}); len(got) > 0 {
			t.Errorf("%q, log %q", got, lines)
		}
	}
	t.Logf("%d scans, %d processes were started meanwhile", *storms, forks(t)-begin)
	stop()
	wg.Wait()
}

// forks is the number of processes and threads that were started since the system is up.
func forks(t *testing.T) (n int) {
	t.Helper()
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), "\nprocesses ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// inNamespaces runs f on a thread of its own in new namespaces; the thread ends with it. It is not the process's first thread, which
// cannot end and whose namespaces /proc/self shows.
func inNamespaces(t *testing.T, flags int, f func()) {
	t.Helper()
	needRoot(t)
	done := make(chan error)
	go onThread(done, func() error {
		if err := unix.Unshare(flags); err != nil {
			return err
		}
		f()
		return nil
	})
	if err := <-done; err != nil {
		t.Skipf("no namespaces: %v", err)
	}
}

func onThread(done chan<- error, f func() error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		other := make(chan error)
		go onThread(other, f) // gets another thread, as this one is taken
		err := <-other
		runtime.UnlockOSThread()
		done <- err
		return
	}
	done <- f() // never unlocked: the runtime throws the thread away
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// outputs answers for programs: netstat and ifconfig.
func outputs(texts map[string]string) func(context.Context, string, ...string) (string, error) {
	return func(_ context.Context, program string, _ ...string) (string, error) {
		if text, ok := texts[program]; ok {
			return text, nil
		}
		return "", exec.ErrNotFound
	}
}

func TestHiddenPorts(t *testing.T) {
	var got map[string][]string
	var failure error
	inNamespaces(t, unix.CLONE_NEWNET, func() {
		if failure = loopbackUp(); failure != nil {
			return
		}
		l, err := net.Listen("tcp4", "0.0.0.0:31337")
		if err != nil {
			failure = err
			return
		}
		defer l.Close()
		u, err := net.ListenPacket("udp4", "127.0.0.1:5353")
		if err != nil {
			failure = err
			return
		}
		defer u.Close()
		proc := emptyProcNet(t)
		cfg := &config.Rootcheck{CheckPorts: true}
		got = make(map[string][]string)
		for name, o := range map[string]Options{
			"nothing hidden":           {run: outputs(nil), proc: "/proc/thread-self"},
			"hidden by the kernel":     {run: outputs(nil), proc: proc},
			"netstat hides":            {run: outputs(map[string]string{"netstat": "Active Internet connections\n"}), proc: "/proc/thread-self"},
			"netstat shows":            {run: outputs(map[string]string{"netstat": netstatOutput}), proc: "/proc/thread-self"},
			"netstat shows other port": {run: outputs(map[string]string{"netstat": strings.ReplaceAll(netstatOutput, "31337", "1337")}), proc: "/proc/thread-self"},
		} {
			o.top = 32000
			got[name], _ = scan(t, cfg, o)
		}
	})
	if failure != nil {
		t.Fatal(failure)
	}
	const tcp, udp = "Port '31337'(tcp) hidden. Kernel-level rootkit or trojaned version of netstat.",
		"Port '5353'(udp) hidden. Kernel-level rootkit or trojaned version of netstat."
	for name, want := range map[string][]string{
		"nothing hidden": nil, "hidden by the kernel": {tcp, udp}, "netstat hides": {tcp, udp}, "netstat shows": nil,
		"netstat shows other port": {tcp},
	} {
		if !slices.Equal(got[name], want) {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

const netstatOutput = `Active Internet connections (servers and established)
Proto Recv-Q Send-Q Local Address           Foreign Address         State
tcp        0      0 0.0.0.0:31337           0.0.0.0:*               LISTEN
udp        0      0 127.0.0.1:5353          0.0.0.0:*
Active UNIX domain sockets (servers and established)
unix  2      [ ACC ]     STREAM     LISTENING     12345    /run/x:5353 y
`

// emptyProcNet is a /proc as a rootkit that hides all sockets shows it.
func emptyProcNet(t *testing.T) string {
	proc := t.TempDir()
	if err := os.Mkdir(filepath.Join(proc, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"tcp", "udp"} {
		if err := os.WriteFile(filepath.Join(proc, "net", f), []byte("  sl  local_address rem_address\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return proc
}

func TestTooManyHiddenPorts(t *testing.T) {
	view := &fakePorts{used: map[string][]int{"tcp": make([]int, 25)}}
	for i := range view.used["tcp"] {
		view.used["tcp"][i] = 40000 + i
	}
	got, _ := scan(t, &config.Rootcheck{CheckPorts: true}, Options{run: outputs(nil), ports: view})
	if len(got) != 21 || got[20] != "Excessive number of 'tcp' ports hidden. It maybe a false-positive or something really bad is going on." {
		t.Errorf("%d findings: %q", len(got), got)
	}
}

func TestPortThatIsFreeAgainIsNotHidden(t *testing.T) {
	view := &fakePorts{used: map[string][]int{"tcp": {4000, 5000}}, asks: 1}
	if got, _ := scan(t, &config.Rootcheck{CheckPorts: true}, Options{run: outputs(nil), ports: view}); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// fakePorts lists nothing and has ports in use, the first few times it is asked (0: always).
type fakePorts struct {
	used map[string][]int
	asks int
	seen map[string]int
}

func (f *fakePorts) listed(string) (*portSet, error) { return &portSet{}, nil }

func (f *fakePorts) inUse(proto string, port int) (bool, error) {
	if !slices.Contains(f.used[proto], port) {
		return false, nil
	}
	if f.seen == nil {
		f.seen = make(map[string]int)
	}
	key := fmt.Sprint(proto, port)
	f.seen[key]++
	return f.asks == 0 || f.seen[key] <= f.asks, nil
}

func TestPromiscuousInterfaces(t *testing.T) {
	var got map[string][]string
	var failure error
	inNamespaces(t, unix.CLONE_NEWNET, func() {
		cfg := &config.Rootcheck{CheckIf: true}
		got = make(map[string][]string)
		run := func(name string, texts map[string]string) {
			got[name], _ = scan(t, cfg, Options{run: outputs(texts)})
		}
		if failure = loopbackUp(); failure != nil {
			return
		}
		run("quiet", nil)
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.SetPromiscOn(lo)
		}
		if failure = err; err != nil {
			return
		}
		run("no ifconfig", nil)
		run("ifconfig shows", map[string]string{"ifconfig": "lo: flags=329<UP,LOOPBACK,RUNNING,PROMISC>  mtu 65536\n"})
		run("ifconfig hides", map[string]string{"ifconfig": ""})
		if failure = netlink.SetPromiscOff(lo); failure != nil {
			return
		}
		fd, err := sniff(lo.Attrs().Index)
		if failure = err; err != nil {
			return
		}
		run("sniffer", map[string]string{"ifconfig": "lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536\n"})
		unix.Close(fd)
	})
	if failure != nil {
		t.Fatal(failure)
	}
	const plain = "Interface 'lo' in promiscuous mode."
	for name, want := range map[string][]string{
		"quiet": nil, "no ifconfig": {plain}, "ifconfig shows": {plain}, "sniffer": {plain},
		"ifconfig hides": {"Interface 'lo' in promiscuous mode, but ifconfig is not showing it(probably trojaned)."},
	} {
		if !slices.Equal(got[name], want) {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
}

// sniff opens a packet socket as tcpdump does.
func sniff(index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	mreq := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// TestRealDev is the vector dev_real_root: /dev itself, replaced by a private one.
func TestRealDev(t *testing.T) {
	var got []string
	var failure error
	inNamespaces(t, unix.CLONE_NEWNS, func() {
		failure = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		if failure == nil {
			failure = unix.Mount("tmpfs", "/dev", "tmpfs", 0, "")
		}
		if failure != nil {
			return
		}
		for _, f := range []string{"shm/a", "planted", ".d/b", "gpmctl"} {
			op{Op: "write", Path: "/dev/" + f}.run(t, func(s string) string { return s })
		}
		op{Op: "chardev", Path: "/dev/null"}.run(t, func(s string) string { return s })
		got, _ = scan(t, &config.Rootcheck{CheckDev: true, BaseDirectory: "/"}, Options{})
	})
	if failure != nil {
		t.Skipf("no mounts: %v", failure)
	}
	compare(t, got, []string{
		"File '/dev/.d/b' present on /dev. Possible hidden file.", "File '/dev/planted' present on /dev. Possible hidden file.",
	}, func(s string) string { return s })
}

// TestOwnHostIsQuiet runs the process, port and interface checks on the machine of the test, on which nothing is hidden.
func TestOwnHostIsQuiet(t *testing.T) {
	got, lines := scan(t, &config.Rootcheck{CheckPids: true, CheckPorts: true}, Options{})
	if len(got) > 0 {
		t.Errorf("%q, log %q", got, lines)
	}
}
