package sum

import (
	"context"
	"crypto/md5"  //nolint:gosec // part of the wire format
	"crypto/sha1" //nolint:gosec // part of the wire format
	"crypto/sha256"
	"hash"
	"io"
)

// BufferSize is the size in bytes of one read of a Hasher: large enough that system calls do not matter, small enough that the bytes are
// still in the processor's cache when the second and third digest need them.
const BufferSize = 128 << 10

// Hasher computes digests. It holds one buffer and the digest states, and is meant to be reused; it is not safe for concurrent use.
type Hasher struct {
	buf    []byte
	md5    hash.Hash
	sha1   hash.Hash
	sha256 hash.Hash
}

// NewHasher makes a Hasher.
func NewHasher() *Hasher {
	return &Hasher{buf: make([]byte, BufferSize), md5: md5.New(), sha1: sha1.New(), sha256: sha256.New()} //nolint:gosec // see imports
}

// Limits bounds one hashing.
type Limits struct {
	Bytes int64                                  // read at most this many bytes; below 0 = until the end
	Pace  func(ctx context.Context, n int) error // called before each read with the bytes about to be read; nil = never
	Keep  *[]byte                                // the content is appended here
}

// Read computes the digests in set of what r delivers, in one pass. It stops at the end of r, at limits.Bytes, or with ctx's
// error when ctx ends, which it checks before each read. The count of bytes is valid with an error too.
func (h *Hasher) Read(ctx context.Context, r io.Reader, set Set, limits Limits) (d Digests, n int64, err error) {
	on := h.start(set)
	for limits.Bytes < 0 || n < limits.Bytes {
		if err := ctx.Err(); err != nil {
			return d, n, err
		}
		buf := h.buf
		if left := limits.Bytes - n; limits.Bytes >= 0 && left < int64(len(buf)) {
			buf = buf[:left]
		}
		if limits.Pace != nil {
			if err := limits.Pace(ctx, len(buf)); err != nil {
				return d, n, err
			}
		}
		k, err := r.Read(buf)
		n += int64(k)
		for _, one := range on {
			one.Write(buf[:k]) //nolint:errcheck // a hash never fails
		}
		if limits.Keep != nil {
			*limits.Keep = append(*limits.Keep, buf[:k]...)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return d, n, err
		}
	}
	h.finish(&d, set)
	return d, n, nil
}

// start resets the wanted digests and lists them.
func (h *Hasher) start(set Set) []hash.Hash {
	var list [3]hash.Hash
	on := list[:0]
	for _, c := range [...]struct {
		bit Set
		h   hash.Hash
	}{{MD5, h.md5}, {SHA1, h.sha1}, {SHA256, h.sha256}} {
		if set&c.bit != 0 {
			c.h.Reset()
			on = append(on, c.h)
		}
	}
	return on
}

func (h *Hasher) finish(d *Digests, set Set) {
	if set&MD5 != 0 {
		h.md5.Sum(d.MD5[:0])
	}
	if set&SHA1 != 0 {
		h.sha1.Sum(d.SHA1[:0])
	}
	if set&SHA256 != 0 {
		h.sha256.Sum(d.SHA256[:0])
	}
	d.Has = set & Hashes
}
