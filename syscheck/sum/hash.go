package sum

import (
	"context"
	"io"

	"github.com/vedette-hids/vedette/syscheck/sum/lanes"
)

// BufferSize is the size in bytes of one read of a Hasher: large enough that system calls do not matter, small enough that the bytes are
// still in the processor's cache when the second and third digest need them.
const BufferSize = 128 << 10

// Hasher computes the digests of one file after the other. It is meant to be reused; it is not safe for concurrent use.
type Hasher struct {
	one *Batch
}

// NewHasher makes a Hasher.
func NewHasher() *Hasher { return &Hasher{newBatch(lanes.None)} }

// Limits bounds one hashing.
type Limits struct {
	Bytes int64                                  // read at most this many bytes; below 0 = until the end
	Pace  func(ctx context.Context, n int) error // called after each read with the bytes that it gave; nil = never
	Keep  *[]byte                                // the content is appended here
}

// Read computes the digests in set of what r delivers, in one pass. It stops at the end of r, at limits.Bytes, or with ctx's
// error when ctx ends, which it checks before each read. The count of bytes is valid with an error too.
func (h *Hasher) Read(ctx context.Context, r io.Reader, set Set, limits Limits) (d Digests, n int64, err error) {
	h.one.Start(0, Source{Reader: r, Set: set, Limits: limits})
	for {
		for _, e := range h.one.Step(ctx) {
			return e.Digests, e.Bytes, e.Err
		}
	}
}
