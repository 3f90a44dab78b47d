package keys

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/zlib"
)

// level is the least that compresses lines of a hundred bytes as well as the reference does; faster ones leave them as they are. Its
// header is that of level 9, "78 DA".
const level = 7

// deflater makes zlib streams of small texts. It takes about a megabyte, so there are only as many as packets are sealed at a time.
type deflater struct {
	out bytes.Buffer
	z   *zlib.Writer
}

var deflaters = sync.Pool{New: func() any { return new(deflater) }}

// zlib returns the stream of plain; it is valid until the next call.
func (d *deflater) zlib(plain []byte) []byte {
	d.out.Reset()
	if d.z == nil {
		var err error
		if d.z, err = zlib.NewWriterLevel(&d.out, level); err != nil {
			panic("keys: compression level: " + err.Error())
		}
	} else {
		d.z.Reset(&d.out)
	}
	_, err := d.z.Write(plain)
	if cerr := d.z.Close(); err != nil || cerr != nil {
		panic("keys: writing to memory failed")
	}
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
