package logcollector

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
)

// counter is a Sink that only counts.
type counter struct{ n atomic.Int64 }

func (c *counter) Send(context.Context, event.Message) error {
	c.n.Add(1)
	return nil
}

// logLine is a line of 150 bytes.
var logLine = []byte("Nov 24 10:00:00 web1 sshd[12345]: Failed password for invalid user admin from 192.0.2.17 port 50022 ssh2 " + strings.Repeat("x", 43) + "\n")

// quietFiles makes n empty logs and a collector that follows them.
func quietFiles(b *testing.B, n int, format string, sink event.Sink) (*Collector, []string) {
	b.Helper()
	dir := b.TempDir()
	var cfg []config.Localfile
	var paths []string
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("app%d.log", i))
		if err := os.WriteFile(path, nil, 0o640); err != nil {
			b.Fatal(err)
		}
		paths = append(paths, path)
		cfg = append(cfg, config.Localfile{Location: path, Format: format})
	}
	c, err := New(cfg, sink, nil, Options{PositionFile: filepath.Join(dir, "positions")})
	if err != nil {
		b.Fatal(err)
	}
	c.ctx = b.Context()
	c.begin()
	b.Cleanup(func() { c.end() }) //nolint:errcheck // a test directory
	return c, paths
}

// BenchmarkLines reads b.N lines of 150 bytes from a file into a sink, on one core.
func BenchmarkLines(b *testing.B) {
	for _, format := range []string{"syslog", "json", "multi-line_indented"} {
		b.Run(format, func(b *testing.B) {
			sink := &counter{}
			c, paths := quietFiles(b, 1, format, sink)
			f, err := os.OpenFile(paths[0], os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			block := bytes.Repeat(logLine, 1000)
			for left := b.N; left > 0; left -= 1000 {
				if _, err := f.Write(block[:min(left, 1000)*len(logLine)]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(logLine)))
			b.ResetTimer()
			if err := c.pass(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
			if got := sink.n.Load(); got < int64(b.N)-1 {
				b.Fatalf("%d of %d lines", got, b.N)
			}
		})
	}
}

// BenchmarkIdlePass looks at 5,000 files of which none has changed.
func BenchmarkIdlePass(b *testing.B) {
	c, _ := quietFiles(b, 5000, "syslog", &counter{})
	old := time.Now().Add(-time.Hour)
	for _, w := range c.order {
		os.Chtimes(w.path, old, old) //nolint:errcheck // only slower then
	}
	c.pass() //nolint:errcheck // cannot fail
	b.ReportAllocs()
	for b.Loop() {
		c.pass() //nolint:errcheck // as above
	}
}

// BenchmarkMemory reports what following 100 files, and 5,000, costs after lines have come from each, in live heap and in growth of the
// resident set.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{100, 5000} {
		b.Run(fmt.Sprintf("%d files", n), func(b *testing.B) {
			for b.Loop() {
				before, resident := heap(), residentSet()
				c, paths := quietFiles(b, n, "syslog", &counter{})
				for _, p := range paths {
					if err := os.WriteFile(p, bytes.Repeat(logLine, 200), 0o640); err != nil {
						b.Fatal(err)
					}
				}
				c.pass() //nolint:errcheck // cannot fail
				c.save() //nolint:errcheck // a test directory
				b.ReportMetric(float64(residentSet()-resident)/1e6, "residentMB")
				b.ReportMetric(float64(heap()-before)/1e6, "heapMB")
				runtime.KeepAlive(c)
				c.end() //nolint:errcheck // a test directory
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // it fits
}

// residentSet is the memory of this process in bytes; 0 where /proc has no word on it.
func residentSet() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	fmt.Sscan(string(data), &size, &resident) //nolint:errcheck // then it is 0
	return resident * int64(os.Getpagesize())
}

// BenchmarkLatency measures the time from the write of a line to the sink, through file events.
func BenchmarkLatency(b *testing.B) {
	for _, n := range []int{100, 5000} {
		b.Run(fmt.Sprintf("%d files", n), func(b *testing.B) { latency(b, n) })
	}
}

func latency(b *testing.B, n int) {
	arrived := make(chan time.Time, 1)
	sink := event.SinkFunc(func(_ context.Context, m event.Message) error {
		if m.Location != "ossec-keepalive" {
			arrived <- time.Now()
		}
		return nil
	})
	c, paths := quietFiles(b, n, "syslog", sink)
	c.end() //nolint:errcheck // a test directory
	started := make(chan struct{})
	c.opts.Started = func() { close(started) }
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx) //nolint:errcheck // ends by cancel
	}()
	<-started
	f, err := os.OpenFile(paths[n/2], os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		b.Fatal(err)
	}
	var all []time.Duration
	for b.Loop() {
		at := time.Now()
		f.Write(logLine) //nolint:errcheck // then nothing arrives
		all = append(all, (<-arrived).Sub(at))
	}
	f.Close()
	cancel()
	<-done
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms-median")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms-p99")
}

// BenchmarkSave stores 5,000 positions that have all moved.
func BenchmarkSave(b *testing.B) {
	c, _ := quietFiles(b, 5000, "syslog", &counter{})
	b.ReportAllocs()
	for b.Loop() {
		for _, w := range c.order {
			w.safe++
		}
		if _, err := c.save(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(c.store.size)/1e6, "fileMB")
}
