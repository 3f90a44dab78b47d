//go:build linux

package syscheck

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

// benchTree makes files of 8 KiB in directories of 100.
func benchTree(b *testing.B, files int) string {
	b.Helper()
	dir := b.TempDir()
	text := make([]byte, 8<<10)
	for i := range files {
		path := filepath.Join(dir, fmt.Sprint(i/100), fmt.Sprint(i))
		mustWrite(b, path, text)
	}
	time.Sleep(2 * settled) // change times have to age: fresh files are read again
	return dir
}

// BenchmarkFirstScan reads everything, with three digests each.
func BenchmarkFirstScan(b *testing.B) {
	const files = 5000
	dir := benchTree(b, files)
	b.SetBytes(files * 8 << 10)
	b.ReportAllocs()
	for b.Loop() {
		m, err := New(&config.Syscheck{Directories: []config.Directory{everything(dir)}}, newCollector(), nil, Options{Root: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Scan(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(files*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

// BenchmarkUnchangedScan looks at everything and reads nothing.
func BenchmarkUnchangedScan(b *testing.B) {
	const files = 20000
	dir := benchTree(b, files)
	m, err := New(&config.Syscheck{Directories: []config.Directory{everything(dir)}}, newCollector(), nil, Options{Root: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	if err := m.Scan(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Scan(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(files*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkMessage(b *testing.B) {
	e := entry{set: 0xff, file: sum.File{Size: 12345, Mode: 0o100644, Digests: sum.Digests{Has: sum.Hashes}}}
	b.ReportAllocs()
	for b.Loop() {
		message(e.text(), "/usr/share/doc/some/file", "")
	}
}
