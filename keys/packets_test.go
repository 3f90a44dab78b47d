package keys

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/vedette-hids/vedette/internal/vectors"
)

type packetVector struct {
	Scenario  string `json:"scenario"`
	Seq       int    `json:"seq"`
	Direction string `json:"direction"`
	KeysLine  string `json:"keys_line"`
	PacketHex string `json:"packet_hex"`
	IDPrefix  string `json:"id_prefix"`
	Cipher    string `json:"cipher"`
	IVHex     string `json:"iv_hex"`
	InnerHex  string `json:"inner_hex"`
	Bangs     int    `json:"bangs"`
	PlainHex  string `json:"plain_hex"`
	Random    string `json:"random"`
	Global    uint32 `json:"global"`
	Local     uint16 `json:"local"`
	Payload   string `json:"payload"`
}

func packetVectors(t testing.TB) []packetVector {
	vs := vectors.Read[packetVector](t, "protocol/packets.jsonl")
	if len(vs) != 132 {
		t.Fatalf("%d packets, want 132", len(vs))
	}
	return vs
}

func TestOpenDecodesEveryRecordedPacket(t *testing.T) {
	var c Codec
	for i, v := range packetVectors(t) {
		t.Run(fmt.Sprintf("%d-%s", i, v.Scenario), func(t *testing.T) {
			k := lineKey(t, v.KeysLine)
			id, rest, err := SplitID(unhex(t, v.PacketHex))
			if err != nil || string(id) != v.IDPrefix {
				t.Fatalf("prefix %q, %v; want %q", id, err, v.IDPrefix)
			}
			o, err := c.Open(nil, k, rest)
			if err != nil {
				t.Fatal(err)
			}
			want := Counter{v.Global, v.Local}
			if o.Cipher.String() != v.Cipher || o.Counter != want || string(o.Payload) != v.Payload || string(o.Random[:]) != v.Random || o.Legacy {
				t.Errorf("got %v %v %q %q, want %v %v %q %q", o.Cipher, o.Counter, o.Random, o.Payload, v.Cipher, want, v.Random, v.Payload)
			}
		})
	}
}

// Everything that is deterministic given the compressed text is byte-exact: prefix, marker, vector, bangs, padding, encryption. The plain text
// is compared as text, because another deflate encoder gives other bytes of the same meaning (vectors/protocol/README.md).
func TestEncodingRebuildsEveryRecordedPacket(t *testing.T) {
	for i, v := range packetVectors(t) {
		t.Run(fmt.Sprintf("%d-%s", i, v.Scenario), func(t *testing.T) {
			k := lineKey(t, v.KeysLine)
			cipher, err := ParseCipher(v.Cipher)
			if err != nil {
				t.Fatal(err)
			}
			plain, inner := unhex(t, v.PlainHex), unhex(t, v.InnerHex)
			z := bytes.TrimLeft(inner, "!")
			if text := inflateStd(t, z); !bytes.Equal(text, plain) {
				t.Fatalf("recorded stream inflates to %q", text)
			}

			var s scratch
			s.buf = make([]byte, MaxPacket)
			s.rnd[0], s.rnd[1] = randomField(t, v.Random)
			if got := s.plain(Counter{v.Global, v.Local}, []byte(v.Payload)); !bytes.Equal(got, plain) {
				t.Errorf("plain\n%q, want\n%q", got, plain)
			}
			if got := appendInner(nil, z); !bytes.Equal(got, inner) {
				t.Errorf("inner %x, want %x", got, inner)
			}
			id := []byte(nil)
			if v.IDPrefix != "" {
				id = []byte(v.IDPrefix)
			}
			if got := encrypt(nil, k, cipher, id, unhex(t, v.IVHex), z); hex.EncodeToString(got) != v.PacketHex {
				t.Errorf("packet\n%x, want\n%s", got, v.PacketHex)
			}

			// The whole way with our own deflate encoder.
			c := Codec{Rand: bytes.NewReader(append(append([]byte{}, s.rnd[:2]...), append(unhex(t, v.IVHex), make([]byte, 16)...)...))}
			ours, err := c.Seal(nil, k, cipher, v.IDPrefix != "", Counter{v.Global, v.Local}, []byte(v.Payload))
			if err != nil {
				t.Fatal(err)
			}
			_, rest, err := SplitID(ours)
			if err != nil {
				t.Fatal(err)
			}
			o, err := new(Codec).Open(nil, k, rest)
			if err != nil || string(o.Payload) != v.Payload || o.Counter != (Counter{v.Global, v.Local}) || string(o.Random[:]) != v.Random {
				t.Errorf("own packet opens to %+v, %v", o, err)
			}
		})
	}
}

func randomField(t *testing.T, digits string) (lo, hi byte) {
	t.Helper()
	var n int
	if _, err := fmt.Sscanf(digits, "%d", &n); err != nil {
		t.Fatal(err)
	}
	return byte(n), byte(n >> 8)
}

func inflateStd(t *testing.T, z []byte) []byte {
	t.Helper()
	r, err := zlib.NewReader(bytes.NewReader(z))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOwnPacketsAreReadByTheStandardLibrary(t *testing.T) {
	var d deflater
	for _, v := range packetVectors(t) {
		plain := unhex(t, v.PlainHex)
		z := d.zlib(plain)
		if z[0] != 0x78 || z[1] != 0xda {
			t.Fatalf("zlib header %x", z[:2])
		}
		if got := inflateStd(t, z); !bytes.Equal(got, plain) {
			t.Errorf("%q, want %q", got, plain)
		}
	}
}

func TestKeyDerivationAndExport(t *testing.T) {
	type vector struct {
		Kind, ID, Name, IP, Key string
		KeysLine                string `json:"keys_line"`
		ExportText              string `json:"export_text"`
		Blowfish                string `json:"blowfish_key_ascii"`
		AES                     string `json:"aes_key_ascii"`
	}
	n := 0
	for _, v := range vectors.Read[vector](t, "protocol/keys.jsonl") {
		if v.Blowfish == "" {
			continue
		}
		n++
		k := DeriveKey(v.ID, v.Name, v.Key)
		if string(k[:]) != v.Blowfish || string(k[:32]) != v.AES {
			t.Errorf("%s: %s, want %s", v.KeysLine, k, v.Blowfish)
		}
		key := lineKey(t, v.KeysLine)
		if key.KeyLine() != v.KeysLine {
			t.Errorf("key line %q, want %q", key.KeyLine(), v.KeysLine)
		}
	}
	if n == 0 {
		t.Fatal("no derivation vectors")
	}
}

func TestSealRefusesSizes(t *testing.T) {
	k := lineKey(t, "007 web-01 any secret")
	var c Codec
	for _, n := range []int{0, MaxPayload + 1} {
		if _, err := c.Seal(nil, k, AES, true, Counter{}, make([]byte, n)); !errors.Is(err, ErrSize) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := c.Seal(nil, k, AES, true, Counter{}, bytes.Repeat([]byte("a"), MaxPayload)); err != nil {
		t.Error(err)
	}
}

// A manager must keep what it sends to agents within 1024 bytes; 900 arbitrary bytes fit (spec protocol.md, section 8).
func TestFileChunkFitsAgentBuffer(t *testing.T) {
	k := lineKey(t, "12345678 web-01 any secret")
	var c Codec
	noise := make([]byte, 900)
	if err := c.random(noise); err != nil {
		t.Fatal(err)
	}
	for _, with := range []Cipher{AES, Blowfish} {
		p, err := c.Seal(nil, k, with, false, Counter{1 << 31, 9997}, noise)
		if err != nil || len(p) > 1010 {
			t.Errorf("%v: %d bytes, %v", with, len(p), err)
		}
	}
}
