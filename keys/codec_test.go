package keys

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vectorLines reads a JSON Lines file of the protocol vectors.
func vectorLines[T any](t testing.TB, name string) []T {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "internal", "testdata", "spec", "protocol", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<22)
	for sc.Scan() {
		var v T
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out = append(out, v)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func lineKey(t testing.TB, line string) *Key {
	t.Helper()
	f := strings.SplitN(line, " ", 4)
	if len(f) != 4 {
		t.Fatalf("key line %q", line)
	}
	k, err := NewKey(f[0], f[1], f[2], f[3])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func logPacket(b testing.TB, with Cipher) (*Key, []byte) {
	k := lineKey(b, "007 web-01 127.0.0.1 5c4f9d1b0a7e36d82c10b9f7e6a4d35281f0c9b8a7d6e5f4c3b2a19087f6e5d4")
	line := "1:/var/log/auth.log:Nov 24 19:58:13 web-01 sshd[12345]: Failed password for root from 203.0.113.77 port 50514 ssh2"
	var c Codec
	p, err := c.Seal(nil, k, with, false, Counter{3, 17}, []byte(line))
	if err != nil {
		b.Fatal(err)
	}
	return k, p
}

func benchOpen(b *testing.B, with Cipher) {
	k, p := logPacket(b, with)
	b.ReportAllocs()
	var c Codec
	buf := make([]byte, 0, MaxPlain)
	for b.Loop() {
		if _, err := c.Open(buf, k, p); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
}

func BenchmarkOpenAES(b *testing.B)      { benchOpen(b, AES) }
func BenchmarkOpenBlowfish(b *testing.B) { benchOpen(b, Blowfish) }

func benchSeal(b *testing.B, with Cipher) {
	k, _ := logPacket(b, with)
	line := []byte("1:/var/log/auth.log:Nov 24 19:58:13 web-01 sshd[12345]: Failed password for root from 203.0.113.77 port 50514 ssh2")
	b.ReportAllocs()
	var c Codec
	buf := make([]byte, 0, MaxPacket)
	for b.Loop() {
		if _, err := c.Seal(buf, k, with, true, Counter{3, 17}, line); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
}

func BenchmarkSealAES(b *testing.B)      { benchSeal(b, AES) }
func BenchmarkSealBlowfish(b *testing.B) { benchSeal(b, Blowfish) }
