package keys

import (
	"encoding/hex"
	"strings"
	"testing"
)

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

const logLine = "1:/var/log/auth.log:Nov 24 19:58:13 web-01 sshd[12345]: Failed password for root from 203.0.113.77 port 50514 ssh2"

// logZlib is what zlib makes at level 9 of the plain text with logLine, random field 34987 and counter 3:17.
const logZlib = "78da35cc411282300c40d1abe40296246d0df4002ebd80e3a2b4459cc109d3225c5f5df8576ff5531491842c98623a8b1dd9b18b691853292e73b16ee805ffd980481228747b" +
	"acdda28f2ebeb7d97c11aeba033ba021f83e9085a38c2724686dce3762ebfc3dc0253e9792618dad1d5a334c5aa1aa6e30557d01a3356888ac118155eb061e3db9df823f58d82fb7"

// logPacket gives a packet of an agent of the reference with one log line.
func logPacket(b testing.TB, with Cipher) (*Key, []byte) {
	k := lineKey(b, "007 web-01 127.0.0.1 5c4f9d1b0a7e36d82c10b9f7e6a4d35281f0c9b8a7d6e5f4c3b2a19087f6e5d4")
	return k, encrypt(nil, k, with, nil, make([]byte, 16), unhex(b, logZlib))
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

// BenchmarkOpenRecorded opens packets as the reference makes them, all sizes mixed.
func BenchmarkOpenRecorded(b *testing.B) {
	for _, with := range []Cipher{AES, Blowfish} {
		b.Run(with.String(), func(b *testing.B) {
			var packets [][]byte
			var keys []*Key
			known := map[string]*Key{}
			size := 0
			for _, v := range packetVectors(b) {
				if v.Cipher != with.String() || v.Direction != "agent->manager" {
					continue
				}
				_, rest, err := SplitID(unhex(b, v.PacketHex))
				if err != nil {
					b.Fatal(err)
				}
				if known[v.KeysLine] == nil {
					known[v.KeysLine] = lineKey(b, v.KeysLine)
				}
				packets, keys, size = append(packets, rest), append(keys, known[v.KeysLine]), size+len(v.Payload)
			}
			var c Codec
			buf := make([]byte, 0, MaxPlain)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := c.Open(buf, keys[i], packets[i]); err != nil {
					b.Fatal(err)
				}
				i = (i + 1) % len(packets)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
			b.ReportMetric(float64(size/len(packets)), "payload-B")
		})
	}
}

func BenchmarkBlowfishSchedule(b *testing.B) {
	k, _ := logPacket(b, Blowfish)
	for b.Loop() {
		k.bfCipher.Store(nil)
		k.blowfish()
	}
}

func benchSeal(b *testing.B, with Cipher) {
	k, _ := logPacket(b, with)
	line := []byte(logLine)
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
