package keys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
)

// deflater makes zlib streams of small texts.
type deflater struct {
	out bytes.Buffer
}

// zlib returns the stream of plain; it is valid until the next call.
func (d *deflater) zlib(plain []byte) []byte {
	d.out.Reset()
	d.out.Write([]byte{0x78, 0xda})
	if err := flate.StatelessDeflate(&d.out, plain, true, nil); err != nil {
		panic("keys: writing to memory: " + err.Error())
	}
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], adler32.Checksum(plain))
	d.out.Write(sum[:])
	return d.out.Bytes()
}

type inflater struct {
	src bytes.Reader
	z   io.ReadCloser
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

var errTooLarge = errors.New("inflates to more than 6144 bytes")

// inflate writes the text of the zlib stream z to out and returns its length; a text longer than out is an error. Bytes behind
// the end of the stream are ignored.
func inflate(out, z []byte) (int, error) {
	in := inflaters.Get().(*inflater)
	defer inflaters.Put(in)
	in.src.Reset(z)
	if in.z == nil {
		r, err := zlib.NewReader(&in.src)
		if err != nil {
			return 0, err
		}
		in.z = r
	} else if err := in.z.(zlib.Resetter).Reset(&in.src, nil); err != nil {
		return 0, err
	}
	n := 0
	for n < len(out) {
		m, err := in.z.Read(out[n:])
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	var more [1]byte
	if m, err := in.z.Read(more[:]); m > 0 {
		return n, errTooLarge
	} else if err != io.EOF {
		return n, err
	}
	return n, nil
}
