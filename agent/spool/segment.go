package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	magic      = "VSPOOL1\n"
	headerSize = int64(len(magic))
	recordHead = 8 // length, checksum
	suffix     = ".seg"

	// MaxRecord is the largest record in bytes.
	MaxRecord = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segment is one file of the queue.
type segment struct {
	n       uint64 // number in the file name; grows
	size    int64  // bytes that are valid
	records int    // valid records
	f       *os.File
}

func segmentName(dir string, n uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", n, suffix))
}

// parseSegmentName gives the number of a segment file.
func parseSegmentName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

func createSegment(dir string, n uint64) (*segment, error) {
	f, err := os.OpenFile(segmentName(dir, n), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteString(magic); err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return &segment{n: n, size: headerSize, f: f}, nil
}

// openSegment reads a segment of an earlier run and finds its valid part. What follows the first damaged record is out of reach;
// damaged tells how many bytes that is.
func openSegment(dir string, n uint64) (s *segment, damaged int64, err error) {
	f, err := os.OpenFile(segmentName(dir, n), os.O_RDWR, 0)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	s = &segment{n: n, f: f, size: headerSize}
	head := make([]byte, headerSize)
	if _, err := f.ReadAt(head, 0); err != nil || string(head) != magic {
		return s, st.Size(), nil
	}
	r := reader{seg: s, limit: st.Size(), off: headerSize}
	for {
		if _, err := r.next(); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, errDamaged) {
				f.Close()
				return nil, 0, err
			}
			break
		}
		s.records++
		s.size = r.off
	}
	return s, st.Size() - s.size, nil
}

// append writes one record behind the valid part.
func (s *segment) append(buf, rec []byte) ([]byte, error) {
	buf = appendRecord(buf[:0], rec)
	if _, err := s.f.WriteAt(buf, s.size); err != nil {
		return buf, errors.Join(err, s.f.Truncate(s.size)) // a part of it may be there
	}
	s.size += int64(len(buf))
	s.records++
	return buf, nil
}

func appendRecord(dst, rec []byte) []byte {
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(rec)))
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = append(dst, rec...)
	binary.LittleEndian.PutUint32(dst[at+4:], checksum(dst[at:at+4], rec))
	return dst
}

func checksum(length, rec []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, length), castagnoli, rec)
}

func (s *segment) remove() error {
	return errors.Join(s.f.Close(), os.Remove(s.f.Name()))
}

var errDamaged = errors.New("damaged record")

// reader walks a segment with a read-ahead buffer.
type reader struct {
	seg   *segment
	off   int64 // of the next record
	limit int64 // end of what may be read; the writer moves seg.size behind it
	count int   // records before off
	buf   []byte
	bufAt int64 // file offset of buf[0]
}

const readAhead = 128 << 10

// next returns the record at off and moves behind it; io.EOF at the end, errDamaged when the bytes there are no record. The
// record is valid until the next call.
func (r *reader) next() ([]byte, error) {
	head, err := r.bytes(r.off, recordHead)
	if err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head))
	sum := binary.LittleEndian.Uint32(head[4:])
	if n > MaxRecord || r.off+recordHead+n > r.limit {
		return nil, errDamaged
	}
	all, err := r.bytes(r.off, recordHead+n)
	if err != nil {
		return nil, err
	}
	rec := all[recordHead:]
	if checksum(all[:4], rec) != sum {
		return nil, errDamaged
	}
	r.off += recordHead + n
	r.count++
	return rec, nil
}

// bytes gives n bytes at off, through the buffer.
func (r *reader) bytes(off, n int64) ([]byte, error) {
	if off+n > r.limit {
		return nil, io.EOF
	}
	if off < r.bufAt || off+n > r.bufAt+int64(len(r.buf)) {
		want := min(max(n, readAhead), r.limit-off)
		if int64(cap(r.buf)) < want {
			r.buf = make([]byte, want)
		}
		r.buf, r.bufAt = r.buf[:want], off
		_, err := r.seg.f.ReadAt(r.buf, off)
		if err != nil && want > n { // there may be a bad block further on
			r.buf = r.buf[:n]
			_, err = r.seg.f.ReadAt(r.buf, off)
		}
		if err != nil {
			r.buf = r.buf[:0]
			return nil, fmt.Errorf("reading %s: %w: %w", r.seg.f.Name(), errDamaged, err)
		}
	}
	i := off - r.bufAt
	return r.buf[i : i+n], nil
}
