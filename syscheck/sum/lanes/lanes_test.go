package lanes

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // a digest to compare with
	"crypto/sha1" //nolint:gosec // a digest to compare with
	"crypto/sha256"
	"fmt"
	"hash"
	"math/rand/v2"
	"testing"
)

// hashes are the digests of the standard library.
var hashes = []struct {
	alg  Set
	name string
	make func() hash.Hash
}{{MD5, "md5", md5.New}, {SHA1, "sha1", sha1.New}, {SHA256, "sha256", sha256.New}}

// eachKind runs a test for every kind with lanes that this processor has.
func eachKind(t *testing.T, f func(t *testing.T, k Kind)) {
	for _, k := range Kinds()[1:] {
		t.Run(k.String(), func(t *testing.T) { f(t, k) })
	}
}

func newState(tb testing.TB, k Kind) *State {
	tb.Helper()
	s, err := New(k)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestLanesEqualStandardLibrary hashes random contents of random lengths, in random steps and lanes, and with the way there and back
// into a hash of the standard library in between.
func TestLanesEqualStandardLibrary(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		r := rand.New(rand.NewPCG(1, uint64(k)))
		for range 200 {
			checkRound(t, k, r)
		}
	})
}

// checkRound fills some lanes and takes all through the same number of blocks.
func checkRound(t *testing.T, k Kind, r *rand.Rand) {
	t.Helper()
	s := newState(t, k)
	blocks := r.IntN(40)
	tail := r.IntN(BlockSize)
	var content [Max][]byte
	var data [Max]*byte
	for lane := range k.Width() {
		content[lane] = noise(r, blocks*BlockSize+tail+1)
		s.Start(lane)
	}
	set := Set(1+r.IntN(7)) & k.Set()
	for done := 0; done < blocks; {
		n := 1 + r.IntN(blocks-done)
		for lane := range k.Width() {
			data[lane] = &content[lane][done*BlockSize]
		}
		s.Blocks(set, &data, n)
		done += n
		for _, h := range hashes {
			lane := r.IntN(k.Width())
			if h.alg&set == 0 || r.IntN(2) == 0 {
				continue
			}
			x := h.make() // out of the lane, and back
			s.Save(lane, h.alg, int64(done*BlockSize), x)
			s.Start(lane)
			for _, other := range hashes {
				if other.alg != h.alg && other.alg&set != 0 {
					y := other.make()
					y.Write(content[lane][:done*BlockSize])
					s.Load(lane, other.alg, y)
				}
			}
			s.Load(lane, h.alg, x)
		}
	}
	for _, h := range hashes {
		if h.alg&set == 0 {
			continue
		}
		for lane := range k.Width() {
			x := h.make()
			s.Save(lane, h.alg, int64(blocks*BlockSize), x)
			x.Write(content[lane][blocks*BlockSize : blocks*BlockSize+tail])
			want := h.make()
			want.Write(content[lane][:blocks*BlockSize+tail])
			if got := x.Sum(nil); !bytes.Equal(got, want.Sum(nil)) {
				t.Fatalf("%s of %d blocks and %d bytes in lane %d: %x, want %x", h.name, blocks, tail, lane, got, want.Sum(nil))
			}
		}
	}
}

// FuzzLanes gives every lane another part of the input.
func FuzzLanes(f *testing.F) {
	f.Add([]byte("abc"), uint8(0))
	f.Add(bytes.Repeat([]byte{0x80, 0, 0xff, 7}, 200), uint8(3))
	f.Add(make([]byte, 10*BlockSize), uint8(255))
	f.Fuzz(func(t *testing.T, in []byte, shift uint8) {
		for _, k := range Kinds()[1:] {
			blocks := len(in) / BlockSize
			s := newState(t, k)
			var data [Max]*byte
			var content [Max][]byte
			for lane := range k.Width() {
				c := bytes.Clone(in)
				for i := range c {
					c[i] += byte(lane) * shift
				}
				content[lane] = append(c, 0)
				data[lane] = &content[lane][0]
				s.Start(lane)
			}
			s.Blocks(k.Set(), &data, blocks)
			for _, h := range hashes {
				for lane := range k.Width() {
					if k.Set()&h.alg == 0 {
						continue
					}
					got, want := h.make(), h.make()
					s.Save(lane, h.alg, int64(blocks*BlockSize), got)
					c := content[lane][:len(in)]
					got.Write(c[blocks*BlockSize:])
					want.Write(c)
					if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
						t.Fatalf("%v: %s in lane %d: %x, want %x", k, h.name, lane, got.Sum(nil), want.Sum(nil))
					}
				}
			}
		}
	})
}

// BenchmarkBlocks is the rate of all lanes together, with the data in the second cache.
func BenchmarkBlocks(b *testing.B) {
	const n = 256
	for _, k := range Kinds()[1:] {
		for _, h := range append(hashes, struct {
			alg  Set
			name string
			make func() hash.Hash
		}{k.Set(), "all", nil}, struct {
			alg  Set
			name string
			make func() hash.Hash
		}{MD5 | SHA1, "md5+sha1", nil}) {
			if h.alg&k.Set() == 0 {
				continue
			}
			b.Run(fmt.Sprintf("%v/%s", k, h.name), func(b *testing.B) {
				s := newState(b, k)
				var data [Max]*byte
				for lane := range k.Width() {
					data[lane] = &make([]byte, n*BlockSize)[0]
				}
				b.SetBytes(int64(k.Width() * n * BlockSize))
				for b.Loop() {
					s.Blocks(h.alg, &data, n)
				}
			})
		}
	}
	for _, h := range hashes {
		b.Run("one/"+h.name, func(b *testing.B) {
			x, data := h.make(), make([]byte, n*BlockSize)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				x.Write(data)
			}
		})
	}
}
