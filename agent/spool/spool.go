package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/vedette-hids/vedette/internal/nospace"
)

// DefaultMaxBytes is the bound of a queue whose options do not give one.
const DefaultMaxBytes = 64 << 20

// Options of Open.
type Options struct {
	Dir      string // created when absent
	MaxBytes int64  // bound on the size of all segments; 0 = DefaultMaxBytes
}

// Queue is an open spool. It is safe for concurrent use; only one process may have a directory open.
type Queue struct {
	mu     sync.Mutex
	dir    string
	max    int64 // bound on bytes
	segMax int64 // size at which a new segment begins

	segs   []*segment // oldest first; never empty
	top    uint64     // highest number that a segment had
	sealed bool       // the newest segment takes no more records
	bytes  int64      // of all segments
	rd     reader     // hands records out
	unread int        // records behind rd
	state  cursorState
	cursor *cursorFile
	buf    []byte // scratch of Append
	dirty  bool
	closed bool

	damaged int64 // bytes that Open could not read
}

// firstSegment leaves room for Prepend.
const firstSegment = 1 << 32

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("spool is closed")

// Open opens or creates the queue in a directory.
func Open(o Options) (*Queue, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	q := &Queue{dir: o.Dir, max: o.MaxBytes, segMax: max(o.MaxBytes/16, 4<<10)}
	if err := q.open(); err != nil {
		q.closeFiles()
		return nil, fmt.Errorf("opening the spool %s: %w", o.Dir, err)
	}
	return q, nil
}

func (q *Queue) open() (err error) {
	if err := os.MkdirAll(q.dir, 0o750); err != nil {
		return err
	}
	if q.cursor, q.state, err = openCursor(filepath.Join(q.dir, "cursor")); err != nil {
		return err
	}
	entries, err := os.ReadDir(q.dir) // sorted by name, hence by number
	if err != nil {
		return err
	}
	last := max(q.state.pos.seg, firstSegment)
	for _, e := range entries {
		n, ok := parseSegmentName(e.Name())
		if !ok {
			continue
		}
		last = max(last, n)
		s, damaged, err := openSegment(q.dir, n)
		if err != nil {
			return err
		}
		q.damaged += damaged
		if n < q.state.pos.seg || s.records == 0 {
			if err := s.remove(); err != nil {
				return err
			}
			continue
		}
		q.segs = append(q.segs, s)
		q.bytes += s.size
		q.unread += s.records
	}
	q.top = last
	return q.start()
}

// start begins a new segment and puts the reader at the cursor. When there is no room for a segment, what the others hold can be read.
func (q *Queue) start() error {
	if err := q.create(); err != nil && len(q.segs) == 0 {
		return err
	} else if err != nil {
		q.sealed = true
	}
	head := q.segs[0]
	q.rd = reader{seg: head, off: headerSize}
	if head.n != q.state.pos.seg {
		return nil
	}
	for q.rd.off < q.state.pos.off { // skip what is committed, to count it
		q.rd.limit = head.size
		if _, err := q.rd.next(); err != nil {
			break
		}
		q.unread--
	}
	return nil
}

// Append adds a record at the end, 1 to MaxRecord bytes. When the queue would exceed its bound the oldest segments go; Lost tells how many
// unread records they held.
func (q *Queue) Append(rec []byte) error {
	if len(rec) == 0 || len(rec) > MaxRecord {
		return fmt.Errorf("spool record of %d bytes", len(rec))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	need := int64(len(rec)) + recordHead
	w := q.segs[len(q.segs)-1]
	if q.sealed || w.size+need > q.segMax && w.records > 0 {
		if err := q.roll(); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		w = q.segs[len(q.segs)-1]
	}
	for q.bytes+need > q.max && len(q.segs) > 1 {
		if err := q.dropOldest(); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
	}
	var err error
	if q.buf, err = w.append(q.buf, rec); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	q.bytes += need
	q.unread++
	q.dirty = true
	return nil
}

// roll begins a new segment.
func (q *Queue) roll() error {
	if err := q.segs[len(q.segs)-1].f.Sync(); err != nil {
		return err
	}
	return q.create()
}

// create makes the segment that takes records from now on.
func (q *Queue) create() error {
	s, err := createSegment(q.dir, q.top+1)
	if err != nil {
		return err
	}
	q.top, q.sealed = s.n, false
	q.segs = append(q.segs, s)
	q.bytes += s.size
	return nil
}

// dropOldest gives up the oldest segment for the bound.
func (q *Queue) dropOldest() error {
	s := q.segs[0]
	if q.rd.seg == s {
		n := s.records - q.rd.count
		q.unread -= n
		q.state.lost += uint64(n) //nolint:gosec // not negative
		q.rd = reader{seg: q.segs[1], off: headerSize, buf: q.rd.buf[:0]}
	}
	return q.removeHead()
}

func (q *Queue) removeHead() error {
	s := q.segs[0]
	q.segs = slices.Delete(q.segs, 0, 1)
	q.bytes -= s.size
	if q.state.pos.before(Pos{q.segs[0].n, headerSize}) {
		q.state.pos = Pos{q.segs[0].n, headerSize}
	}
	return errors.Join(q.cursor.write(q.state), s.remove()) // without the cursor's word Open finds the same place
}

// Next hands out the oldest record that was not handed out yet, appended to dst, and the place behind it, for Commit. ok is false when
// there is none. Records that cannot be read again are passed over; Broken counts them.
func (q *Queue) Next(dst []byte) (rec []byte, pos Pos, ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return dst, Pos{}, false, ErrClosed
	}
	for q.unread > 0 {
		q.rd.limit = q.rd.seg.size
		r, err := q.rd.next()
		if err == nil {
			q.unread--
			return append(dst, r...), Pos{q.rd.seg.n, q.rd.off}, true, nil
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, errDamaged) {
			return dst, Pos{}, false, fmt.Errorf("spool: %w", err)
		}
		if n := q.rd.seg.records - q.rd.count; n > 0 {
			q.giveUp(n)
		}
		i := slices.Index(q.segs, q.rd.seg)
		if i+1 >= len(q.segs) {
			q.unread = 0
			break
		}
		q.rd = reader{seg: q.segs[i+1], off: headerSize, buf: q.rd.buf[:0]}
	}
	return dst, Pos{}, false, nil
}

// giveUp leaves out the last n records of the segment that is read.
func (q *Queue) giveUp(n int) {
	s := q.rd.seg
	s.records -= n
	q.unread -= n
	q.state.broken += uint32(n) //nolint:gosec // a segment holds less
	q.rd.off = s.size
	if s == q.segs[len(q.segs)-1] {
		q.sealed = true // what follows would be out of reach too, after a Rewind
	}
}

// Commit says that every record up to pos has arrived: they are never handed out again.
func (q *Queue) Commit(pos Pos) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	if !q.state.pos.before(pos) {
		return nil
	}
	q.state.pos = pos
	for len(q.segs) > 1 && q.segs[0].n < pos.seg && q.segs[0] != q.rd.seg {
		if err := q.removeHead(); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
	}
	if q.unread == 0 && q.bytes > headerSize*int64(len(q.segs)) && q.allCommitted() {
		err := q.reset()
		if err == nil || !nospace.Is(err) {
			return err
		} // the space is freed another time
	}
	if err := q.cursor.write(q.state); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

func (q *Queue) allCommitted() bool {
	last := q.segs[len(q.segs)-1]
	return q.rd.seg == last && q.state.pos == Pos{last.n, last.size}
}

// reset frees the disk space of a queue that has become empty.
func (q *Queue) reset() error {
	if err := q.roll(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	q.rd = reader{seg: q.segs[len(q.segs)-1], off: headerSize}
	for len(q.segs) > 1 {
		if err := q.removeHead(); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
	}
	return nil
}

// Rewind takes back every record that was handed out but not committed; Next hands them out again.
func (q *Queue) Rewind() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	q.unread = 0
	for _, s := range q.segs {
		q.unread += s.records
	}
	head := q.segs[0]
	q.rd = reader{seg: head, off: headerSize}
	for head.n == q.state.pos.seg && q.rd.off < q.state.pos.off {
		q.rd.limit = head.size
		if _, err := q.rd.next(); err != nil {
			break // Next finds that too
		}
		q.unread--
	}
	return nil
}

// Prepend puts records in front of everything that is not committed, in the order given. What was handed out and not committed is taken
// back first, as Rewind does. It is meant for the end of a run, and copies the oldest segment.
func (q *Queue) Prepend(recs [][]byte) error {
	if err := q.Rewind(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	head := q.segs[0]
	s, err := createSegment(q.dir, head.n-1)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if err = q.copyFront(s, head, recs); err == nil {
		err = s.f.Sync()
	}
	state := q.state
	state.pos = Pos{s.n, headerSize}
	if err == nil {
		err = q.cursor.write(state)
	}
	if err != nil {
		return fmt.Errorf("spool: %w", errors.Join(err, s.remove()))
	}
	q.state = state
	q.bytes += s.size - head.size
	if len(q.segs) == 1 { // appending goes on behind the old number
		q.sealed = true
	}
	q.segs[0] = s
	q.rd = reader{seg: s, off: headerSize}
	q.unread += len(recs)
	if err := head.remove(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// copyFront fills a segment with records and then with what the reader has left of the head.
func (q *Queue) copyFront(s, head *segment, recs [][]byte) (err error) {
	for _, r := range recs {
		if len(r) == 0 || len(r) > MaxRecord {
			return fmt.Errorf("record of %d bytes", len(r))
		}
		if q.buf, err = s.append(q.buf, r); err != nil {
			return err
		}
	}
	from := q.rd
	for {
		from.limit = head.size
		r, err := from.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errDamaged) {
			return nil
		}
		if err == nil {
			q.buf, err = s.append(q.buf, r)
		}
		if err != nil {
			return err
		}
	}
}

// Len is the number of records that Next has not handed out.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.unread
}

// Bytes is the disk space in use.
func (q *Queue) Bytes() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// Lost is the number of records that the bound forced out and ForgetLost did not take off; it survives a restart.
func (q *Queue) Lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state.lost
}

// ForgetLost subtracts n from the count of lost records: they have been reported.
func (q *Queue) ForgetLost(n uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	q.state.lost -= min(n, q.state.lost)
	return q.cursor.write(q.state)
}

// Broken is the number of records that could not be read again, or that their owner could not append and reported with AddBroken, and that
// ForgetBroken did not take off; it survives a restart.
func (q *Queue) Broken() uint32 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.state.broken
}

// AddBroken counts n records that could not be stored.
func (q *Queue) AddBroken(n int) error {
	return q.changeBroken(func(b uint32) uint32 { return b + uint32(n) })
} //nolint:gosec // few

// ForgetBroken subtracts n from that count: they have been reported.
func (q *Queue) ForgetBroken(n uint32) error {
	return q.changeBroken(func(b uint32) uint32 { return b - min(n, b) })
}

func (q *Queue) changeBroken(change func(uint32) uint32) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	q.state.broken = change(q.state.broken)
	return q.cursor.write(q.state)
}

// Damaged is the number of bytes that Open found unreadable and left out.
func (q *Queue) Damaged() int64 { return q.damaged }

// Sync asks the operating system to put what was appended on the disk. It does nothing when nothing was appended since the last call.
func (q *Queue) Sync() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	if !q.dirty {
		return nil
	}
	q.dirty = false
	if err := q.segs[len(q.segs)-1].f.Sync(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// Close writes the cursor and closes the files.
func (q *Queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	q.closed = true
	err := q.cursor.write(q.state)
	if w := q.segs[len(q.segs)-1]; q.dirty {
		err = errors.Join(err, w.f.Sync())
	}
	return errors.Join(err, q.closeFiles())
}

func (q *Queue) closeFiles() error {
	var errs []error
	for _, s := range q.segs {
		errs = append(errs, s.f.Close())
	}
	if q.cursor != nil {
		errs = append(errs, q.cursor.f.Close())
	}
	return errors.Join(errs...)
}
