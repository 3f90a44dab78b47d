package baseline

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"time"
)

// journal is the file of decisions that are not in the database yet, or whose alerts may not be written yet: records of length, CRC-32 and
// content. A record that a crash cut off ends the journal. It is written without waiting for the disk: it guards against the death of the
// process, SQLite against that of the host.
type journal struct {
	f    *os.File
	size int64
	buf  []byte
}

// maxRecord bounds a record: a message has at most 6 KiB.
const maxRecord = 64 << 10

// openJournal opens the journal and locks it for this process; ErrInUse if another process has it, for some seconds if wait is set.
func openJournal(path string, wait bool) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640) //nolint:gosec // readable for the group, as OSSEC's databases are
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(lockWait / 50) {
		if ok, err := tryLock(f); ok || err != nil {
			return &journal{f: f}, err
		}
		if !wait || time.Now().After(end) {
			f.Close()
			return nil, ErrInUse
		}
	}
}

// lockWait is how long a manager waits for a tool that has the state open.
const lockWait = 5 * time.Second

// record is one entry of the journal: the new state of a path and, when that is a reason for an alert, what the alert says. One with
// the number 0 says that the alerts of all those before it are written.
type record struct {
	location string
	row      row
	id       string // decoder id of the alert, "" = none
	known    bool   // the path had a state before
	before   string // its checksum
	diff     string
}

// alert notes what the alert says; old is the state before.
func (r *record) alert(id string, old *row, diff string) {
	if id != "" && old != nil {
		r.known, r.before, r.diff = true, old.sum, diff
	}
	r.id = id
}

func (r *record) texts() [7]*string {
	return [...]*string{&r.location, &r.row.prefix, &r.row.sum, &r.row.path, &r.id, &r.before, &r.diff}
}

// add appends a record.
func (j *journal) add(r *record) error {
	b := append(j.buf[:0], make([]byte, 8)...)
	b = binary.AppendUvarint(b, uint64(r.row.seq))
	b = binary.AppendVarint(b, r.row.time)
	texts := r.texts()
	if r.id == "" {
		b = appendTexts(b, texts[:4])
	} else {
		b = appendTexts(b, texts[:])
		b = append(b, flag(r.known))
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-8)) //nolint:gosec // far below
	binary.LittleEndian.PutUint32(b[4:], crc32.ChecksumIEEE(b[8:]))
	j.buf = b
	if _, err := j.f.WriteAt(b, j.size); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.size += int64(len(b))
	return nil
}

func appendTexts(b []byte, texts []*string) []byte {
	for _, s := range texts {
		b = binary.AppendUvarint(b, uint64(len(*s)))
		b = append(b, *s...)
	}
	return b
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// reset empties the journal.
func (j *journal) reset() error {
	if j.size == 0 {
		return nil
	}
	if err := j.f.Truncate(0); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.size = 0
	return nil
}

func (j *journal) close() error { return j.f.Close() }

// read gives every complete record to each and leaves the journal positioned after them.
func (j *journal) read(each func(r *record) error) error {
	in := bufio.NewReader(io.NewSectionReader(j.f, 0, 1<<62))
	var head [8]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return endOf(err)
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n > maxRecord {
			return nil
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return endOf(err)
		}
		r, ok := parseRecord(b)
		if !ok || crc32.ChecksumIEEE(b) != binary.LittleEndian.Uint32(head[4:]) {
			return nil
		}
		j.size += int64(len(head)) + int64(n)
		if err := each(&r); err != nil {
			return err
		}
	}
}

func endOf(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return fmt.Errorf("journal: %w", err)
}

func parseRecord(b []byte) (r record, ok bool) {
	seq, n := binary.Uvarint(b)
	if n <= 0 {
		return r, false
	}
	b = b[n:]
	if r.row.time, n = binary.Varint(b); n <= 0 {
		return r, false
	}
	b = b[n:]
	r.row.seq = int64(seq) //nolint:gosec // written from an int64
	for i, s := range r.texts() {
		if i == 4 && len(b) == 0 { // no alert
			return r, true
		}
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return r, false
		}
		*s = string(b[n : n+int(size)]) //nolint:gosec // bounded above
		b = b[n+int(size):]             //nolint:gosec // bounded above
	}
	r.known = len(b) == 1 && b[0] == 1
	return r, len(b) == 1
}

// replay puts the journal of a manager that was killed into the database, and finds the alerts that it may not have written.
func (s *Store) replay() error {
	n := 0
	var unwritten []record
	err := s.journal.read(func(r *record) error {
		if r.row.seq == 0 {
			unwritten = nil
			return nil
		}
		if r.id != "" {
			unwritten = append(unwritten, *r)
		}
		l, err := s.at(r.location)
		if err != nil || r.row.seq <= l.seq { // committed before the kill
			return err
		}
		old, err := s.look(l, r.row.path)
		if err != nil {
			return err
		}
		l.seq = r.row.seq
		s.put(l, old, r.row, true)
		n++
		return nil
	})
	if err != nil {
		return err
	}
	if n > 0 {
		s.log.Info("File integrity: %d decisions of the last run were recovered.", n)
	}
	s.again(unwritten)
	return s.flush()
}
