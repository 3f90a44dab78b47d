package keys

import (
	"bytes"
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
