package keys

import (
	"bytes"
	stdzlib "compress/zlib"
	"math/rand/v2"
	"testing"
)

// backAndForth compresses and lets the standard library and the own reader read it.
func backAndForth(t *testing.T, d *deflater, text []byte) int {
	t.Helper()
	z := d.zlib(text)
	if got := inflateStd(t, z); !bytes.Equal(got, text) {
		t.Fatalf("%d bytes: the standard library reads %.100q", len(text), got)
	}
	out := make([]byte, len(text))
	if n, err := inflate(out, z); err != nil || !bytes.Equal(out[:n], text) {
		t.Fatalf("%d bytes: %v, %.100q", len(text), err, out[:n])
	}
	return len(z)
}

func TestDeflatedTextsAreReadByTheStandardLibrary(t *testing.T) {
	var d deflater
	for _, text := range inflateTexts() {
		backAndForth(t, &d, text)
	}
	rnd := rand.New(rand.NewPCG(9, 9))
	for range 300 { // pieces of earlier text, at all distances, with noise
		text := make([]byte, 0, 100000)
		for size := rnd.IntN(100000) >> rnd.IntN(10); len(text) < size; {
			if n := len(text); n > 10 && rnd.IntN(3) > 0 {
				from := rnd.IntN(n)
				text = append(text, text[from:min(n, from+rnd.IntN(400))]...)
			} else {
				text = append(text, byte(rnd.IntN(256)>>rnd.IntN(8)))
			}
		}
		backAndForth(t, &d, text)
	}
}

func TestEveryLengthAndDistanceHasItsSymbol(t *testing.T) {
	for length := minMatch; length <= maxMatch; length++ {
		sym, extra, n := lengthSymbol(length)
		if sym -= 257; int(lengthBase[sym])+int(extra) != length || uint(lengthBits[sym]) != n {
			t.Errorf("length %d: symbol %d, %d in %d bits", length, sym, extra, n)
		}
	}
	for dist := 1; dist <= maxDist; dist++ {
		sym, extra, n := distSymbol(dist)
		if int(distBase[sym])+int(extra) != dist || uint(distBits[sym]) != n {
			t.Errorf("distance %d: symbol %d, %d in %d bits", dist, sym, extra, n)
		}
	}
}

// TestLongCodesAreShortened makes trees deeper than a code may be.
func TestLongCodesAreShortened(t *testing.T) {
	var c codeMaker
	for _, limit := range []int{7, maxCodeLen} {
		c.reset(19)
		a, b := uint32(1), uint32(1)
		for i := range 19 {
			c.freq[i] = a
			a, b = b, a+b
		}
		c.make(limit)
		space := 0
		for _, s := range c.sizes[:19] {
			if s == 0 || int(s) > limit {
				t.Fatalf("lengths %v", c.sizes[:19])
			}
			space += 1 << (limit - int(s))
		}
		if space != 1<<limit {
			t.Errorf("limit %d: lengths %v fill %d of %d", limit, c.sizes[:19], space, 1<<limit)
		}
	}
}

// TestPacketsAreAsSmallAsTheReferences compares the sizes over all recorded packets.
func TestPacketsAreAsSmallAsTheReferences(t *testing.T) {
	var d deflater
	own, theirs := 0, 0
	for _, v := range packetVectors(t) {
		plain := unhex(t, v.PlainHex)
		own += backAndForth(t, &d, plain)
		var b bytes.Buffer
		w, err := stdzlib.NewWriterLevel(&b, stdzlib.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(plain) //nolint:errcheck // memory
		w.Close()
		theirs += b.Len()
	}
	t.Logf("%d bytes, the standard library makes %d", own, theirs)
	if own > theirs+theirs/100 {
		t.Errorf("%d bytes, the standard library makes %d", own, theirs)
	}
}

// FuzzDeflate compresses any text.
func FuzzDeflate(f *testing.F) {
	for _, text := range inflateTexts() {
		f.Add(text)
	}
	var d deflater
	f.Fuzz(func(t *testing.T, text []byte) { backAndForth(t, &d, text) })
}

func BenchmarkDeflate(b *testing.B) {
	text := []byte("0123456789abcdef0123456789abcdef123450000000003:0017:" + logLine)
	var d deflater
	b.ReportAllocs()
	for b.Loop() {
		d.zlib(text)
	}
}
