package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// Pos is a place in the queue, behind a record.
type Pos struct {
	seg uint64
	off int64
}

func (p Pos) before(o Pos) bool { return p.seg < o.seg || p.seg == o.seg && p.off < o.off }

// cursorFile remembers the place behind the last committed record, and the count of lost records. Two slots are written in turn, so
// that a torn write leaves the other.
type cursorFile struct {
	f   *os.File
	seq uint64
}

const slotSize = 40

type cursorState struct {
	pos    Pos
	lost   uint64 // forced out by the bound
	broken uint32 // could not be read again, or not be stored
}

func openCursor(path string) (*cursorFile, cursorState, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, cursorState{}, err
	}
	c := &cursorFile{f: f}
	var best cursorState
	buf := make([]byte, 2*slotSize)
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Close()
		return nil, best, fmt.Errorf("reading %s: %w", path, err)
	}
	for i := 0; i+slotSize <= n; i += slotSize {
		seq, st, ok := decodeSlot(buf[i : i+slotSize])
		if ok && seq >= c.seq {
			c.seq, best = seq, st
		}
	}
	for range (2*slotSize - n + slotSize - 1) / slotSize { // a full disk must not keep it from being written later
		if err := c.write(best); err != nil {
			f.Close()
			return nil, best, fmt.Errorf("writing %s: %w", path, err)
		}
	}
	return c, best, nil
}

func decodeSlot(b []byte) (seq uint64, st cursorState, ok bool) {
	sum := binary.LittleEndian.Uint32(b[slotSize-4:])
	if crc32.Checksum(b[:slotSize-4], castagnoli) != sum {
		return 0, st, false
	}
	seq = binary.LittleEndian.Uint64(b)
	st.pos.seg = binary.LittleEndian.Uint64(b[8:])
	st.pos.off = int64(binary.LittleEndian.Uint64(b[16:]))
	st.lost = binary.LittleEndian.Uint64(b[24:])
	st.broken = binary.LittleEndian.Uint32(b[32:])
	return seq, st, true
}

func (c *cursorFile) write(st cursorState) error {
	c.seq++
	var b [slotSize]byte
	binary.LittleEndian.PutUint64(b[:], c.seq)
	binary.LittleEndian.PutUint64(b[8:], st.pos.seg)
	binary.LittleEndian.PutUint64(b[16:], uint64(st.pos.off))
	binary.LittleEndian.PutUint64(b[24:], st.lost)
	binary.LittleEndian.PutUint32(b[32:], st.broken)
	binary.LittleEndian.PutUint32(b[slotSize-4:], crc32.Checksum(b[:slotSize-4], castagnoli))
	_, err := c.f.WriteAt(b[:], int64(c.seq%2)*slotSize)
	return err
}
