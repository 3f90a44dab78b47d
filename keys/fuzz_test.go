package keys

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// FuzzOpen feeds datagrams to the whole receiving path. Beside the recorded packets it mutates the decrypted inner text, which a fuzzer would
// never reach through the cipher.
func FuzzOpen(f *testing.F) {
	k := lineKey(f, "007 web-01 any 5c4f9d1b0a7e36d82c10b9f7e6a4d35281f0c9b8a7d6e5f4c3b2a19087f6e5d4")
	for i, v := range packetVectors(f) {
		if i%8 == 0 {
			f.Add(unhex(f, v.PacketHex), unhex(f, v.InnerHex))
		}
	}
	for _, v := range receiveVectors(f) {
		if v.PacketHex != nil {
			f.Add(unhex(f, *v.PacketHex), []byte(":"+strings.Repeat("0", 60)))
		}
	}
	set := Parse([]byte(k.KeyLine() + "\n"))
	src := netip.MustParseAddr("127.0.0.1")
	f.Fuzz(func(t *testing.T, packet, inner []byte) {
		var c Codec
		if key, rest, err := set.Route(packet, src); err == nil {
			checkOpened(t, key, rest, &c)
		} else {
			checkRefusal(t, err)
		}
		if len(inner) == 0 {
			return
		}
		// The fuzzed inner text under both ciphers, and the fuzzed text as a plain text with a right sum.
		checkOpened(t, k, sealInner(k, AES, inner), &c)
		checkOpened(t, k, sealInner(k, Blowfish, inner), &c)
		sum := hexSum(inner)
		var d deflater
		o := checkOpened(t, k, encrypt(nil, k, AES, nil, make([]byte, 16), d.zlib(append(sum[:], inner...))), &c)
		if len(inner) >= sealedPre && o != nil && !bytes.Equal(o.Payload, inner[sealedPre:]) {
			t.Errorf("payload %q of %q", o.Payload, inner)
		}
	})
}

// sealInner encrypts any inner text.
func sealInner(k *Key, with Cipher, inner []byte) []byte {
	if with == Blowfish {
		p := append([]byte(":"), inner...)
		for (len(p)-1)%bfBlock != 0 {
			p = append(p, ' ')
		}
		sealBlowfish(k.blowfish(), p[1:])
		return p
	}
	p := append([]byte("#AES:"), make([]byte, 16)...)
	p = append(p, inner...)
	pad := 16 - (len(p)-5)%16
	p = append(p, bytes.Repeat([]byte{byte(pad)}, pad)...)
	sealAES(k.aes(), p[5:])
	return p
}

func checkOpened(t *testing.T, k *Key, packet []byte, c *Codec) *Opened {
	t.Helper()
	dst := make([]byte, 3, 10)
	copy(dst, "abc")
	o, err := c.Open(dst, k, packet)
	if string(dst) != "abc" {
		t.Errorf("dst was overwritten: %q", dst)
	}
	if err != nil {
		checkRefusal(t, err)
		return nil
	}
	if len(o.Payload) > MaxPlain-plainHead || o.Counter.Local > 9999 {
		t.Errorf("%d bytes, counter %v", len(o.Payload), o.Counter)
	}
	return &o
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code == 0 || e.Text("src") == "" {
		t.Errorf("refused with %#v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("001 alpha any k1\n002 b 10.0.0.0/8 k\n005 #*#*#*#*#*#*#*#*#*#*#x\n# c\n 3 lead any k\n004 six !2001:db8::/32 a b c\r\n"))
	f.Add([]byte("001\n001 a\n001 a b\n001 a b \n001 a 1 k\n\n001  a any k"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := Parse(data)
		for _, k := range s.All() {
			if s.ByID(k.ID) == nil || s.ByIP(k.IP) == nil || s.ByName(k.Name) == nil {
				t.Errorf("%q cannot be found", k.KeyLine())
			}
			if again, err := NewKey(k.ID, k.Name, k.IPField, k.Secret()); err != nil || again.Net != k.Net {
				t.Errorf("%q: %v", k.KeyLine(), err)
			}
		}
		file := ParseFile(data)
		if next := file.NextID(); file.HasID(next) && ValidID(next) && len(next) < 5 {
			t.Errorf("proposed id %s is taken", next)
		}
		for _, e := range file.Entries() {
			if _, err := file.Remove(e.ID); err != nil {
				t.Errorf("removing %q: %v", e, err)
			}
		}
		if left := ParseFile(file.Bytes()).Entries(); len(left) != 0 {
			t.Errorf("left after removing all: %q", left)
		}
	})
}

func FuzzParseText(f *testing.F) {
	f.Add("MDAxIGFscGhhIDEwLjEuMS4xIGsx")
	f.Add("eHl6IG5hO21lIG5vdGFuaXAgc2hvcnRrZXkgZXh0cmEgd29yZHM=")
	f.Add("not a key")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseText(text)
		if err != nil {
			if !errors.Is(err, ErrText) {
				t.Errorf("%v", err)
			}
			return
		}
		if e.Check() != nil {
			return
		}
		if again, err := ParseText(ExportText(e.String())); err != nil || again != e {
			t.Errorf("%q comes back as %q, %v", e, again, err)
		}
		if k := Parse([]byte(e.String() + "\n")).First(); k == nil || k.KeyLine() != e.String() && len(e.Key) <= maxField && len(e.Name) <= maxField {
			t.Errorf("%q cannot be read as a key line", e)
		}
	})
}
