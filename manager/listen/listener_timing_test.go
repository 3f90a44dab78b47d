//go:build unix

package listen

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"testing"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/heap"
	"github.com/vedette-hids/vedette/keys"
)

// senderEnv makes the test binary a sender of packets: "<address> <file>". Its processor time does not count for the listener.
const senderEnv = "VEDETTE_BENCH_SENDER"

const (
	credit = 256 // packets that a sender may send for each byte on its standard input
	ahead  = 8   // such portions that may be under way
)

// benchSender sends the packets of a file.
func benchSender(args string) error {
	var to, path string
	if _, err := fmt.Sscan(args, &to, &path); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	conn, err := net.Dial("udp", to)
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := 0; len(data) > 0; i++ {
		if i%credit == 0 {
			if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
				return err
			}
		}
		n := binary.LittleEndian.Uint16(data)
		if _, err := conn.Write(data[2 : 2+n]); err != nil {
			return err
		}
		data = data[2+n:]
	}
	return nil
}

// BenchmarkListener measures the whole listener on a real socket, with a sender in another process: what one second of processor time of this
// process does from datagram to event, system calls included. One sender is slower than the listener, which therefore waits for packets and
// takes few at a time; with two, packets wait for the listener.
func BenchmarkListener(b *testing.B) {
	for _, with := range []keys.Cipher{keys.AES, keys.Blowfish} {
		for _, senders := range []int{1, 2} {
			b.Run(fmt.Sprintf("%v/senders=%d", with, senders), func(b *testing.B) { benchListener(b, with, senders) })
		}
	}
}

func benchListener(b *testing.B, with keys.Cipher, senders int) {
	_, store, counters := benchServer(b, 100, 1)
	packets := benchPackets(b, store, with, b.N)
	var paths []string
	need := 0
	for i := range senders { // each has agents of its own
		var file []byte
		n := 0
		for ; i < len(packets); i += senders {
			file = append(binary.LittleEndian.AppendUint16(file, uint16(len(packets[i]))), packets[i]...)
			n++
		}
		path := filepath.Join(b.TempDir(), fmt.Sprint("packets", len(paths)))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			b.Fatal(err)
		}
		paths = append(paths, path)
		need += (n + credit - 1) / credit
	}
	packets = nil

	tokens, more, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer more.Close()
	var count atomic.Int64
	given := min(need, ahead)
	done := make(chan struct{})
	deliver := func(context.Context, *event.Event) {
		n := count.Add(1)
		if n%credit == 0 && int64(given)+n/credit <= int64(need) {
			more.Write([]byte{1}) //nolint:errcheck // an early end of the sender shows in the count
		}
		if n == int64(b.N) {
			close(done)
		}
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	heap.Pace(ctx, heap.Goal) // as the manager does
	srv, err := New(ctx, Options{Remotes: []config.Remote{{Secure: true, LocalIP: netip.MustParseAddr("127.0.0.1")}}, Keys: store, Counters: counters,
		Control: nothing{}, Deliver: deliver})
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- srv.Run(ctx) }()
	var cmds []*exec.Cmd
	for _, path := range paths {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), senderEnv+"="+srv.Addrs()[0].String()+" "+path)
		cmd.Stdin, cmd.Stderr = tokens, os.Stderr
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	tokens.Close()
	debug.FreeOSMemory() // what the preparation left
	b.ResetTimer()
	began := cpuSeconds()
	more.Write(make([]byte, given)) //nolint:errcheck // the same
	<-done
	used := cpuSeconds() - began
	b.StopTimer()
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	if st := srv.Stats(); st.Events != uint64(b.N) || st.KernelLost != 0 {
		b.Fatalf("%+v", st)
	}
	b.ReportMetric(float64(b.N)/used, "events/cpu-s")
}
