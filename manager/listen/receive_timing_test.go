//go:build unix

package listen

import (
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// cpuSeconds is the processor time that this process has used: on a busy machine the clock says little.
func cpuSeconds() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

// benchPackets makes packets of 110-byte lines from several agents, in the order of their counters.
func benchPackets(b *testing.B, store *keys.Store, with keys.Cipher, n int) [][]byte {
	b.Helper()
	var codec keys.Codec
	line := "1:/var/log/auth.log:Nov 23 02:00:00 web-01 sshd[99]: Failed password for root from 203.0.113.7 port 4242 ssh2 x"
	all := store.All()
	counter := make([]keys.Counter, len(all))
	out := make([][]byte, n)
	for i := range out {
		a := i % len(all)
		counter[a], _ = counter[a].Next()
		p, err := codec.Seal(nil, all[a], with, true, counter[a], []byte(line))
		if err != nil {
			b.Fatal(err)
		}
		out[i] = p
	}
	return out
}

// BenchmarkReceive measures what one CPU does from datagram to event, without the system calls: key look-up, copy, decryption, inflation,
// sum, counter, event.
func BenchmarkReceive(b *testing.B) {
	for _, with := range []keys.Cipher{keys.AES, keys.Blowfish} {
		b.Run(with.String(), func(b *testing.B) {
			s, store, _ := benchServer(b, 100, 1)
			const n = 1 << 14
			packets := benchPackets(b, store, with, n)
			d := dispatcher{s: s, link: discard{}, rule: accept{true, true}, open: make([]*batch, 1)}
			src := netip.MustParseAddrPort("127.0.0.1:4000")
			now := time.Now()
			b.ReportAllocs()
			b.ResetTimer()
			began := cpuSeconds()
			for i := range b.N {
				if i%n == 0 && i > 0 {
					b.StopTimer()
					for _, k := range store.All() {
						s.o.Counters.(*keys.Counters).Forget(k)
					}
					b.StartTimer()
				}
				d.add(context.Background(), packets[i%n], src, now)
				if i%batchSize == batchSize-1 || i == b.N-1 {
					x := d.open[0]
					d.open[0] = nil
					s.shards[0].handle(context.Background(), x)
					x.release()
				}
			}
			b.StopTimer()
			if got := s.stats.events.Load(); got != uint64(b.N) {
				b.Fatalf("%d of %d packets became events: %+v", got, b.N, s.Stats())
			}
			b.ReportMetric(float64(b.N)/(cpuSeconds()-began), "events/cpu-s")
		})
	}
}

// BenchmarkReceiveRecorded does the same with one packet of a real agent (zlib at level 9, 110 bytes of log line), over and over.
func BenchmarkReceiveRecorded(b *testing.B) {
	for _, scenario := range []string{"aes_any", "bf_cidr"} {
		b.Run(scenario, func(b *testing.B) {
			s, store, counters := benchServer(b, 1, 1)
			var packet []byte
			for _, v := range vectorLines[packetVector](b, "packets.jsonl") {
				if v.Scenario == scenario && strings.Contains(v.Payload, "Failed password") {
					packet, _ = hex.DecodeString(v.PacketHex)
					if err := os.WriteFile(store.Path(), []byte(v.KeysLine+"\n"), 0o600); err != nil {
						b.Fatal(err)
					}
				}
			}
			if _, err := store.Reload(); err != nil {
				b.Fatal(err)
			}
			counters.Close()
			again, err := keys.OpenCounters(filepath.Dir(store.Path()), keys.CountersOptions{Manager: true, NoVerify: true})
			if err != nil {
				b.Fatal(err)
			}
			s.o.Counters = again
			d := dispatcher{s: s, link: discard{}, rule: accept{true, true}, open: make([]*batch, 1)}
			src := netip.MustParseAddrPort("127.0.0.1:4000")
			b.ReportAllocs()
			b.ResetTimer()
			began := cpuSeconds()
			for i := range b.N {
				d.add(context.Background(), packet, src, time.Time{})
				if i%batchSize == batchSize-1 || i == b.N-1 {
					x := d.open[0]
					d.open[0] = nil
					s.shards[0].handle(context.Background(), x)
					x.release()
				}
			}
			if got := s.stats.events.Load(); got != uint64(b.N) {
				b.Fatalf("%d of %d packets became events: %+v", got, b.N, s.Stats())
			}
			b.ReportMetric(float64(b.N)/(cpuSeconds()-began), "events/cpu-s")
		})
	}
}

// BenchmarkBatchRead measures taking datagrams of 190 bytes from a socket, without sending them.
func BenchmarkBatchRead(b *testing.B) {
	sock, err := listenUDP(context.Background(), netip.MustParseAddr("127.0.0.1"), 0)
	if err != nil {
		b.Fatal(err)
	}
	defer sock.conn.Close()
	rd, err := newBatchReader(sock.conn, agentwire.MaxPacket)
	if err != nil {
		b.Fatal(err)
	}
	c, err := net.Dial("udp", sock.addr.String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	packet := make([]byte, 190)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batchSize {
		b.StopTimer()
		for range batchSize {
			if _, err := c.Write(packet); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		for got := 0; got < batchSize; {
			in, err := rd.read()
			if err != nil {
				b.Fatal(err)
			}
			got += len(in)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "datagrams/s")
}
