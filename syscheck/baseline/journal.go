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

// journal is the file of decisions that are not in the database yet: records of length, CRC-32 and content. A record that a crash cut off
// ends the journal. It is written without waiting for the disk: it guards against the death of the process, SQLite against that of the host.
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

// add appends the new state of a path.
func (j *journal) add(location string, r *row) error {
	b := append(j.buf[:0], make([]byte, 8)...)
	b = binary.AppendUvarint(b, uint64(r.seq))
	b = binary.AppendVarint(b, r.time)
	for _, s := range [...]string{location, r.prefix, r.sum, r.path} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
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
func (j *journal) read(each func(location string, r row) error) error {
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
		location, r, ok := parseRecord(b)
		if !ok || crc32.ChecksumIEEE(b) != binary.LittleEndian.Uint32(head[4:]) {
			return nil
		}
		j.size += int64(len(head)) + int64(n)
		if err := each(location, r); err != nil {
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

func parseRecord(b []byte) (location string, r row, ok bool) {
	seq, n := binary.Uvarint(b)
	if n <= 0 {
		return "", r, false
	}
	b = b[n:]
	if r.time, n = binary.Varint(b); n <= 0 {
		return "", r, false
	}
	b = b[n:]
	r.seq = int64(seq) //nolint:gosec // written from an int64
	for _, s := range [...]*string{&location, &r.prefix, &r.sum, &r.path} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return "", r, false
		}
		*s = string(b[n : n+int(size)]) //nolint:gosec // bounded above
		b = b[n+int(size):]             //nolint:gosec // bounded above
	}
	return location, r, len(b) == 0
}

// replay puts the journal of a manager that was killed into the database.
func (s *Store) replay() error {
	n := 0
	err := s.journal.read(func(name string, r row) error {
		l, err := s.at(name)
		if err != nil || r.seq <= l.seq { // committed before the kill
			return err
		}
		old, err := s.look(l, r.path)
		if err != nil {
			return err
		}
		l.seq = r.seq
		s.put(l, old, r, true)
		n++
		return nil
	})
	if err != nil {
		return err
	}
	if n > 0 {
		s.log.Info("File integrity: %d decisions of the last run were recovered.", n)
	}
	if err := s.flush(); err != nil {
		return err
	}
	return s.journal.reset()
}
