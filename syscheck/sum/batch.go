package sum

import (
	"context"
	"crypto/md5"  //nolint:gosec // part of the wire format
	"crypto/sha1" //nolint:gosec // part of the wire format
	"crypto/sha256"
	"hash"
	"io"

	"github.com/vedette-hids/vedette/syscheck/sum/lanes"
)

// Batch computes the digests of several files side by side, which on a processor with wide registers takes a fraction of the time of one
// after the other. Files come and go at any time, each at its place. A Batch is not safe for concurrent use.
type Batch struct {
	kind    lanes.Kind
	state   *lanes.State
	streams []stream
	active  int
	ended   []Ended
	data    [lanes.Max]*byte
}

// Source is a file for a Batch.
type Source struct {
	Reader io.Reader
	Set    Set
	Limits Limits
}

// Ended is a file that was read until its end, or until an error.
type Ended struct {
	Place   int
	Digests Digests
	Bytes   int64 // read, valid with an error too
	Err     error
}

const (
	// pieceSize is the size of one read while many files are read side by side: all pieces together stay in the second cache.
	pieceSize = 32 << 10
	// worthwhile is the number of files from which on the lanes are faster than one file after the other.
	worthwhile = 4
)

// NewBatch makes a Batch for the processor it runs on.
func NewBatch() *Batch { return newBatch(lanes.Best()) }

func newBatch(kind lanes.Kind) *Batch {
	b := &Batch{kind: kind}
	if kind != lanes.None {
		state, err := lanes.New(kind)
		if err != nil {
			b.kind = lanes.None
		}
		b.state = state
	}
	b.streams = make([]stream, max(b.kind.Width(), 1))
	return b
}

// Places is how many files there may be at a time.
func (b *Batch) Places() int { return len(b.streams) }

// Active is how many files there are.
func (b *Batch) Active() int { return b.active }

// Free gives a place where no file is; there must be one.
func (b *Batch) Free() int {
	for i := range b.streams {
		if !b.streams[i].busy {
			return i
		}
	}
	panic("sum: no free place")
}

// Start begins with a file at a free place.
func (b *Batch) Start(place int, src Source) {
	size := pieceSize
	if len(b.streams) == 1 {
		size = BufferSize
	}
	b.streams[place].start(src, b.kind, size)
	b.active++
}

// Step reads what is missing and hashes a part of every file. It gives the files that ended, whose places are free then; the list is valid
// until the next Step. Files whose turn it is when ctx ends, end with its error.
func (b *Batch) Step(ctx context.Context) []Ended {
	b.ended = b.ended[:0]
	for i := range b.streams {
		s := &b.streams[i]
		if !s.busy {
			continue
		}
		err := s.fill(ctx)
		if err == nil && !s.finished() {
			continue
		}
		end := Ended{Place: i, Bytes: s.read, Err: err}
		if err == nil {
			s.leave(b.state, i)
			s.finish(&end.Digests)
		}
		s.stop()
		b.active--
		b.ended = append(b.ended, end)
	}
	if len(b.ended) == 0 {
		b.hash()
	}
	return b.ended
}

// Reset drops all files.
func (b *Batch) Reset() {
	for i := range b.streams {
		b.streams[i].stop()
	}
	b.active = 0
}

// hash takes all files on: in lanes by the number of blocks that all of them have, or each by all its blocks if they are too few for that.
func (b *Batch) hash() {
	if b.kind == lanes.None || b.active < worthwhile {
		for i := range b.streams {
			if s := &b.streams[i]; s.busy {
				s.leave(b.state, i)
				s.alone()
			}
		}
		return
	}
	var set lanes.Set
	var some *byte
	blocks := pieceSize
	for i := range b.streams {
		s := &b.streams[i]
		b.data[i] = nil
		if !s.busy {
			continue
		}
		s.enter(b.state, i)
		set |= s.laned
		b.data[i] = &s.buf[s.from]
		some = b.data[i]
		blocks = min(blocks, s.blocks())
	}
	for i := range b.streams {
		if b.data[i] == nil {
			b.data[i] = some
		}
	}
	b.state.Blocks(set, &b.data, blocks)
	for i := range b.streams {
		if s := &b.streams[i]; s.busy {
			s.advance(blocks * lanes.BlockSize)
		}
	}
}

// stream is a file of a Batch. What was read and not hashed in lanes yet is buf[from:to].
type stream struct {
	src      Source
	busy     bool
	in       bool      // the state of its digests is in its lane
	end      bool      // all is read
	laned    lanes.Set // digests that lanes compute
	direct   Set       // digests that are computed as the file is read
	read     int64
	hashed   int64 // of it by laned digests
	buf      []byte
	from, to int
	digests  [3]hash.Hash // md5, sha1, sha256; valid unless in
}

// order are the digests of a stream, in the order of the algorithms of lanes.
var order = [...]Set{MD5, SHA1, SHA256}

func (s *stream) start(src Source, kind lanes.Kind, size int) {
	if s.digests[0] == nil {
		s.digests = [3]hash.Hash{md5.New(), sha1.New(), sha256.New()} //nolint:gosec // see imports
	}
	if len(s.buf) != size {
		s.buf = make([]byte, size)
	}
	digests, buf := s.digests, s.buf
	*s = stream{src: src, busy: true, digests: digests, buf: buf}
	for i, set := range order {
		if src.Set&set == 0 {
			continue
		}
		digests[i].Reset()
		if one := lanes.Set(1 << i); kind.Set()&one != 0 {
			s.laned |= one
		} else {
			s.direct |= set
		}
	}
}

func (s *stream) stop() {
	s.busy, s.in, s.src = false, false, Source{}
}

// fill reads until there is a block or the end.
func (s *stream) fill(ctx context.Context) error {
	for !s.end && s.blocks() == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.to = copy(s.buf, s.buf[s.from:s.to])
		s.from = 0
		room := s.buf[s.to:]
		if left := s.src.Limits.Bytes - s.read; s.src.Limits.Bytes >= 0 && left <= int64(len(room)) {
			room = room[:max(left, 0)]
		}
		if len(room) == 0 {
			s.end = true
			return nil
		}
		n, err := s.src.Reader.Read(room)
		s.take(room[:n])
		if pace := s.src.Limits.Pace; pace != nil && n > 0 {
			if err := pace(ctx, n); err != nil {
				return err
			}
		}
		if err == io.EOF || s.src.Limits.Bytes >= 0 && s.read >= s.src.Limits.Bytes {
			s.end = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take takes over what was read to the end of the buffer.
func (s *stream) take(piece []byte) {
	s.read += int64(len(piece))
	for i, set := range order {
		if s.direct&set != 0 {
			s.digests[i].Write(piece) //nolint:errcheck // a hash never fails
		}
	}
	if s.src.Limits.Keep != nil {
		*s.src.Limits.Keep = append(*s.src.Limits.Keep, piece...)
	}
	if s.laned != 0 {
		s.to += len(piece)
	}
}

// blocks is how many whole blocks wait for the lanes.
func (s *stream) blocks() int { return (s.to - s.from) / lanes.BlockSize }

func (s *stream) finished() bool { return s.end && s.blocks() == 0 }

func (s *stream) advance(n int) {
	s.from += n
	s.hashed += int64(n)
}

// enter moves the state of the digests into the lane.
func (s *stream) enter(state *lanes.State, lane int) {
	if s.in {
		return
	}
	s.in = true
	if s.hashed == 0 {
		state.Start(lane)
		return
	}
	for i, h := range s.digests {
		if one := lanes.Set(1 << i); s.laned&one != 0 {
			state.Load(lane, one, h)
		}
	}
}

// leave moves the state of the digests out of the lane.
func (s *stream) leave(state *lanes.State, lane int) {
	if !s.in {
		return
	}
	s.in = false
	for i, h := range s.digests {
		if one := lanes.Set(1 << i); s.laned&one != 0 {
			state.Save(lane, one, s.hashed, h)
		}
	}
}

// alone hashes all whole blocks without lanes.
func (s *stream) alone() {
	n := s.blocks() * lanes.BlockSize
	s.write(s.buf[s.from : s.from+n])
	s.advance(n)
}

// write adds to the digests that lanes compute.
func (s *stream) write(b []byte) {
	for i, h := range s.digests {
		if s.laned&(1<<i) != 0 {
			h.Write(b) //nolint:errcheck // a hash never fails
		}
	}
}

// finish adds the rest, which is less than a block, and gives the digests.
func (s *stream) finish(d *Digests) {
	s.write(s.buf[s.from:s.to])
	sums := [...][]byte{d.MD5[:0], d.SHA1[:0], d.SHA256[:0]}
	for i, set := range order {
		if s.src.Set&set != 0 {
			s.digests[i].Sum(sums[i])
		}
	}
	d.Has = s.src.Set & Hashes
}
