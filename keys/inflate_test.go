package keys

import (
	"bytes"
	"compress/flate"
	stdzlib "compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// reference inflates with the standard library; more than limit bytes are errTooLarge.
func reference(z []byte, limit int) ([]byte, error) {
	r, err := stdzlib.NewReader(bytes.NewReader(z))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if len(b) > limit {
		return nil, errTooLarge
	}
	return b, err
}

// compareInflate expects what the standard library makes of a stream.
func compareInflate(t *testing.T, z []byte) {
	t.Helper()
	out := make([]byte, MaxPlain)
	n, err := inflate(out, z)
	want, werr := reference(z, MaxPlain)
	switch {
	case (err == nil) != (werr == nil):
		t.Fatalf("%x: error %v, the standard library: %v", z, err, werr)
	case err == nil && !bytes.Equal(out[:n], want):
		t.Fatalf("%x: %q, the standard library: %q", z, out[:n], want)
	}
}

// texts of many kinds: few and many symbols, long runs, long codes, no pattern at all.
func inflateTexts() [][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	texts := [][]byte{nil, []byte("a"), []byte(logLine), bytes.Repeat([]byte("x"), MaxPlain), []byte(strings.Repeat(logLine+"\n", 50))}
	for _, alphabet := range []int{2, 20, 256} {
		for _, size := range []int{1, 30, 300, 3000, MaxPlain} {
			b := make([]byte, size)
			for i := range b {
				b[i] = byte(rnd.IntN(alphabet))
			}
			texts = append(texts, b)
		}
	}
	skewed := make([]byte, MaxPlain) // frequencies by powers of two make codes of all lengths
	for i := range skewed {
		c := 0
		for c < 40 && rnd.IntN(2) == 0 {
			c++
		}
		skewed[i] = byte(c * 5)
	}
	return append(texts, skewed)
}

func TestInflateAgreesWithTheStandardLibrary(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, text := range inflateTexts() {
		for _, level := range []int{flate.NoCompression, flate.BestSpeed, flate.DefaultCompression, flate.BestCompression, flate.HuffmanOnly} {
			var b bytes.Buffer
			w, err := stdzlib.NewWriterLevel(&b, level)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(text); i += 2000 { // several blocks
				w.Write(text[i:min(i+2000, len(text))]) //nolint:errcheck // memory
				w.Flush()                               //nolint:errcheck // memory
			}
			w.Close()
			z := b.Bytes()
			compareInflate(t, z)
			compareInflate(t, append(bytes.Clone(z), "behind"...))
			for range 20 {
				compareInflate(t, z[:rnd.IntN(len(z))])
				bad := bytes.Clone(z)
				bad[rnd.IntN(len(bad))] ^= 1 << rnd.IntN(8)
				compareInflate(t, bad)
			}
		}
	}
	compareInflate(t, unhex(t, logZlib))
}

func TestInflateIsBounded(t *testing.T) {
	var b bytes.Buffer
	w := stdzlib.NewWriter(&b)
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := inflate(make([]byte, MaxPlain), b.Bytes()); !errors.Is(err, errTooLarge) {
		t.Error(err)
	}
}

// FuzzInflate compares with the standard library on any input, with and without a right sum.
func FuzzInflate(f *testing.F) {
	f.Add(unhex(f, logZlib))
	for _, text := range inflateTexts() {
		var d deflater
		f.Add(bytes.Clone(d.zlib(text)))
	}
	f.Fuzz(func(t *testing.T, z []byte) {
		compareInflate(t, z)
		compareRaw(t, z)
	})
}

// compareRaw takes the input as blocks without header and sum, so that the fuzzer gets past those.
func compareRaw(t *testing.T, deflated []byte) {
	want, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(deflated)), MaxPlain+1))
	if len(want) > MaxPlain {
		err = errTooLarge
	}
	out := make([]byte, MaxPlain)
	n, got := 0, error(nil)
	in, r := new(inflater), bitReader{src: deflated}
	for final := false; !final && got == nil; {
		n, final, got = in.block(&r, out, n)
	}
	if (err == nil) != (got == nil) {
		t.Fatalf("%x: error %v, the standard library: %v", deflated, got, err)
	}
	if err == nil && !bytes.Equal(out[:n], want) {
		t.Fatalf("%x: %q, the standard library: %q", deflated, out[:n], want)
	}
}

func BenchmarkInflate(b *testing.B) {
	z := unhex(b, logZlib)
	out := make([]byte, MaxPlain)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := inflate(out, z); err != nil {
			b.Fatal(err)
		}
	}
}
