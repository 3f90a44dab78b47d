package sum

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/vedette-hids/vedette/syscheck/sum/lanes"
)

// eachKind runs a test for every way of hashing that this processor has.
func eachKind(t *testing.T, f func(t *testing.T, kind lanes.Kind)) {
	for _, k := range lanes.Kinds() {
		t.Run(k.String(), func(t *testing.T) { f(t, k) })
	}
}

// text is random bytes of a length that lies near a multiple of the size of a block, or is small, or large.
func text(r *rand.Rand) []byte {
	var n int
	switch r.IntN(10) {
	case 0, 1, 2:
		n = r.IntN(300)
	case 3, 4, 5:
		n = 64*r.IntN(40) + r.IntN(5) - 2
	case 6, 7, 8:
		n = r.IntN(5000)
	case 9:
		n = r.IntN(4 * pieceSize)
	}
	b := make([]byte, max(n, 0))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// want is what the standard library says.
func want(content []byte, set Set) (d Digests) {
	d.Has = set & Hashes
	if set&MD5 != 0 {
		d.MD5 = md5.Sum(content)
	}
	if set&SHA1 != 0 {
		d.SHA1 = sha1.Sum(content)
	}
	if set&SHA256 != 0 {
		d.SHA256 = sha256.Sum256(content)
	}
	return d
}

// slow delivers what r has in small pieces of random size, sometimes nothing.
type slow struct {
	r    io.Reader
	rand *rand.Rand
}

func (s slow) Read(b []byte) (int, error) { return s.r.Read(b[:min(len(b), s.rand.IntN(200))]) }

// TestBatchEqualsStandardLibrary keeps a random number of places filled with random files.
func TestBatchEqualsStandardLibrary(t *testing.T) {
	eachKind(t, func(t *testing.T, kind lanes.Kind) {
		r := rand.New(rand.NewPCG(7, uint64(kind)))
		b := newBatch(kind)
		type file struct {
			content []byte
			set     Set
			keep    []byte
		}
		files := make([]*file, b.Places())
		for started, ended, fill := 0, 0, 1; ended < 1200; {
			if r.IntN(50) == 0 {
				fill = 1 + r.IntN(b.Places())
			}
			for started < 1200 && b.Active() < fill {
				f := &file{content: text(r), set: Set(r.IntN(8)) << 4}
				place := b.Free()
				files[place] = f
				src := Source{Reader: bytes.NewReader(f.content), Set: f.set | Size, Limits: Limits{Bytes: -1, Keep: &f.keep}}
				switch r.IntN(5) {
				case 0:
					src.Reader = slow{src.Reader, r}
				case 1:
					src.Reader = iotest.DataErrReader(src.Reader)
				case 2: // the file grows meanwhile
					src.Reader = io.MultiReader(src.Reader, bytes.NewReader(make([]byte, 100)))
					src.Limits.Bytes = int64(len(f.content))
				}
				b.Start(place, src)
				started++
			}
			for _, e := range b.Step(t.Context()) {
				ended++
				f := files[e.Place]
				if e.Err != nil || e.Bytes != int64(len(f.content)) || !bytes.Equal(f.keep, f.content) {
					t.Fatalf("%d bytes of %d, error %v", e.Bytes, len(f.content), e.Err)
				}
				if e.Digests != want(f.content, f.set) {
					t.Fatalf("digests %b of %d bytes: %x", f.set, len(f.content), e.Digests)
				}
			}
		}
		if b.Active() != 0 {
			t.Errorf("%d files are left", b.Active())
		}
	})
}

// TestBatchErrorConcernsOneFile: what is beside it is hashed as if nothing had happened.
func TestBatchErrorConcernsOneFile(t *testing.T) {
	eachKind(t, func(t *testing.T, kind lanes.Kind) {
		b := newBatch(kind)
		broken := errors.New("broken")
		content := bytes.Repeat([]byte("0123456789"), 10000)
		for i := range b.Places() {
			src := Source{Reader: bytes.NewReader(content[i:]), Set: Hashes, Limits: Limits{Bytes: -1}}
			if i == b.Places()/2 {
				src.Reader = io.MultiReader(bytes.NewReader(content[:50000]), iotest.ErrReader(broken))
			}
			b.Start(i, src)
		}
		for b.Active() > 0 {
			for _, e := range b.Step(t.Context()) {
				if e.Place == b.Places()/2 {
					if !errors.Is(e.Err, broken) || e.Bytes != 50000 || e.Digests.Has != 0 {
						t.Errorf("%d bytes, %v, error %v", e.Bytes, e.Digests.Has, e.Err)
					}
					continue
				}
				if e.Err != nil || e.Digests != want(content[e.Place:], Hashes) {
					t.Errorf("place %d: error %v", e.Place, e.Err)
				}
			}
		}
	})
}

// TestBatchStopsWithItsContext: every file ends with the error, the endless one too.
func TestBatchStopsWithItsContext(t *testing.T) {
	eachKind(t, func(t *testing.T, kind lanes.Kind) {
		b := newBatch(kind)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		paced := 0
		for i := range b.Places() {
			b.Start(i, Source{Reader: endless{}, Set: Hashes, Limits: Limits{Bytes: -1, Pace: func(context.Context, int) error {
				if paced++; paced == 3*b.Places() {
					cancel()
				}
				return nil
			}}})
		}
		for b.Active() > 0 {
			for _, e := range b.Step(ctx) {
				if !errors.Is(e.Err, context.Canceled) {
					t.Errorf("error %v", e.Err)
				}
			}
		}
	})
}

func FuzzBatch(f *testing.F) {
	f.Add([]byte("abc"), uint16(1), uint8(3))
	f.Add(make([]byte, 1000), uint16(64), uint8(16))
	f.Add(bytes.Repeat([]byte("x"), 200), uint16(65), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, cut uint16, count uint8) {
		for _, kind := range lanes.Kinds() {
			b := newBatch(kind)
			var contents [][]byte
			for i := range int(count%40) + 1 {
				contents = append(contents, in[min(i*int(cut), len(in)):])
			}
			at := make([][]byte, b.Places())
			for next, left := 0, len(contents); left > 0; {
				for next < len(contents) && b.Active() < b.Places() {
					place := b.Free()
					at[place] = contents[next]
					b.Start(place, Source{Reader: bytes.NewReader(contents[next]), Set: Hashes, Limits: Limits{Bytes: -1}})
					next++
				}
				for _, e := range b.Step(t.Context()) {
					left--
					if e.Err != nil || e.Digests != want(at[e.Place], Hashes) {
						t.Fatalf("%v: %d bytes: %x, error %v", kind, len(at[e.Place]), e.Digests, e.Err)
					}
				}
			}
		}
	})
}

// BenchmarkBatch hashes files of the sizes of a system's /usr, and files of one size, in a number of places.
func BenchmarkBatch(b *testing.B) {
	const total = 16 << 20
	content := make([]byte, 4<<20)
	sizes := map[string][]int{
		"mixed": {300, 700, 1200, 1800, 2500, 3500, 5000, 8000, 12000, 20000, 40000, 150000, 1000000},
		"2KiB":  {2 << 10},
		"1MiB":  {1 << 20},
	}
	for _, name := range []string{"mixed", "2KiB", "1MiB"} {
		for _, kind := range lanes.Kinds() {
			for _, places := range slices.Compact([]int{1, 2, 3, 4, 8, 16}) {
				if places > max(kind.Width(), 1) || name == "2KiB" && places > 1 && places < kind.Width() {
					continue
				}
				b.Run(fmt.Sprintf("%s/%v/%d", name, kind, places), func(b *testing.B) {
					g := newBatch(kind)
					r := rand.New(rand.NewPCG(1, 2))
					b.SetBytes(total)
					b.ReportAllocs()
					for b.Loop() {
						for left := total; left > 0 || g.Active() > 0; {
							for left > 0 && g.Active() < places {
								n := min(sizes[name][r.IntN(len(sizes[name]))], left)
								left -= n
								g.Start(g.Free(), Source{Reader: bytes.NewReader(content[:n]), Set: Hashes, Limits: Limits{Bytes: int64(n)}})
							}
							g.Step(b.Context())
						}
					}
				})
			}
		}
	}
}
