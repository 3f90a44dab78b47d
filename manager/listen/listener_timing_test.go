//go:build unix

package listen

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/keys"
)

// senderEnv makes the test binary a sender of packets: "<address> <file>". Its processor time does not count for the listener.
const senderEnv = "VEDETTE_BENCH_SENDER"

// credit is the number of packets that a sender may have under way per byte on its standard input.
const credit = 256

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
	in := bufio.NewReader(os.Stdin)
	for i := 0; len(data) > 0; i++ {
		if i%credit == 0 {
			if _, err := in.ReadByte(); err != nil {
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
// process does from datagram to event, system calls included.
func BenchmarkListener(b *testing.B) {
	for _, with := range []keys.Cipher{keys.AES, keys.Blowfish} {
		b.Run(with.String(), func(b *testing.B) { benchListener(b, with) })
	}
}

func benchListener(b *testing.B, with keys.Cipher) {
	_, store, counters := benchServer(b, 100, 1)
	var file []byte
	for _, p := range benchPackets(b, store, with, b.N) {
		file = append(binary.LittleEndian.AppendUint16(file, uint16(len(p))), p...)
	}
	path := filepath.Join(b.TempDir(), "packets")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		b.Fatal(err)
	}
	file = nil

	tokens, more := io.Pipe()
	done := make(chan struct{})
	got := make(chan struct{}, 1<<16)
	srv, err := New(b.Context(), Options{Remotes: []config.Remote{{Secure: true, LocalIP: netip.MustParseAddr("127.0.0.1")}}, Keys: store, Counters: counters,
		Control: nothing{}, Deliver: func(context.Context, *event.Event) { got <- struct{}{} }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- srv.Run(ctx) }()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), senderEnv+"="+srv.Addrs()[0].String()+" "+path)
	cmd.Stdin, cmd.Stderr = tokens, os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	go func() {
		defer close(done)
		need := (b.N + credit - 1) / credit
		given := min(need, 8)
		more.Write(make([]byte, given)) //nolint:errcheck // an early end of the sender shows in the count
		for i := 1; i <= b.N; i++ {
			<-got
			if i%credit == 0 && given < need {
				given++
				more.Write([]byte{1}) //nolint:errcheck // the same
			}
		}
	}()
	b.ResetTimer()
	began := cpuSeconds()
	<-done
	used := cpuSeconds() - began
	b.StopTimer()
	more.Close()
	if err := cmd.Wait(); err != nil {
		b.Error(err)
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
