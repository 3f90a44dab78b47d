package logcollector

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// Sizes of reading.
const (
	readSize  = 64 << 10 // one read; the buffer is shared by all files
	turnReads = 4        // reads before the next file has its turn
	calmAfter = 2 * time.Second
)

// follower follows one name: the file that has it now, and an earlier one until it is read to its end.
type follower struct {
	entry    *entry
	path     string // as opened: dated names expanded
	key      string // in the store: the path, with the identity for a file that has lost it
	location string // as sent
	format

	f      *os.File // nil: not open
	id     identity // of the file that is or was followed; zero: none
	stream bool     // FIFO or device: no positions
	offset int64    // bytes given to the assembler
	safe   int64    // bytes whose events are all delivered
	size   int64    // when last looked at
	mtime  int64
	calm   bool        // unchanged for so long that size and mtime would tell of any change
	print  fingerprint // of everything up to offset
	rest   []byte      // begun line of a stream

	long    bool      // a piece of the line at offset was sent
	skip    bool      // the line at offset was cut: its rest is left out
	partial bool      // there is a begun line at offset
	notice  notice    // how the change to the next file is told, "" = rotated
	last    time.Time // when something came
	gone    time.Time // since when nothing has the name, zero: something has
	absent  bool      // the log already says that it cannot be opened
	parked  bool      // not open, but id and offset hold: to be gone on with
	had     bool      // an earlier file of this name was followed to its end
	seeking bool      // and the next one was told of, but nothing had the name
	retired bool      // the file has lost its name, or the name is outdated: to be left when nothing comes any more
	dropped bool      // not followed any more
	ready   bool      // has a turn coming
	cut     uint64    // lines that were too long
}

// notice is a message about the file itself, for which rules exist.
type notice string

const (
	rotated notice = "ossec: File rotated (inode changed): '%s'."
	reduced notice = "ossec: File size reduced (inode remained): '%s'."
)

// look reads one turn of what is new in a file and then looks whether its name stands for another file now. It reports whether there may
// be more to read at once. After a failed delivery (c.err) the follower is of no use any more.
func (c *Collector) look(w *follower, now time.Time) (more bool) {
	st, err := statPath(w.path)
	if w.f == nil {
		return c.arrive(w, st, err, now)
	}
	same := err == nil && st.id == w.id
	cur := st
	if !same {
		var ferr error
		if cur, ferr = statFile(w.f); ferr != nil {
			c.broken(w, ferr)
			return false
		}
	}
	switch {
	case w.stream:
		more = c.readStream(w, now)
	case cur.regular():
		more = c.readFile(w, cur, now)
	}
	switch {
	case more || c.err != nil || w.f == nil || w.retired:
		return more
	case err != nil:
		c.vanished(w, err, now)
		return false
	case !same:
		return c.change(w, now)
	}
	w.gone, w.absent = time.Time{}, false
	return false
}

// readFile reads a turn of a regular file whose status is cur.
func (c *Collector) readFile(w *follower, cur status, now time.Time) (more bool) {
	if w.calm && cur.size == w.size && cur.mtime == w.mtime {
		return false
	}
	if cur.size < w.offset {
		return c.emptied(w, now)
	}
	if w.offset == 0 && (cur.mtime > w.mtime || cur.size < w.size) && w.id != (identity{}) && c.missedCopy(w, cur, now) {
		return true
	}
	w.calm = false
	for range turnReads {
		n, err := w.f.ReadAt(c.buf[:c.readSize(w)], w.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			c.broken(w, err)
			return false
		}
		// The file may be emptied at any moment, and filled anew. When it begins as it did, after reading, then what was read followed what
		// had been read before.
		if !w.print.of(w.f) {
			return c.emptied(w, now)
		}
		if w.offset == 0 && shrunk(w.f, cur) {
			return true
		}
		w.size, w.mtime = cur.size, cur.mtime
		used := c.take(w, c.buf[:n], now)
		if c.err != nil {
			return false
		}
		w.partial = used < n
		if n < c.readSize(w) {
			w.calm = time.Since(time.Unix(0, cur.mtime)) > calmAfter
			return false
		}
	}
	return true
}

// shrunk reports whether a file is smaller than it was.
func shrunk(f *os.File, was status) bool {
	st, err := statFile(f)
	return err == nil && st.size < was.size
}

func (c *Collector) readSize(w *follower) int {
	if w.max > readSize/2 {
		return len(c.buf)
	}
	return readSize
}

// take feeds data that stands at the follower's offset and keeps the fingerprint up to date. It returns how much of it was used.
func (c *Collector) take(w *follower, data []byte, now time.Time) (used int) {
	if len(data) == 0 {
		return 0
	}
	start := w.offset
	used = c.feed(w, data)
	w.print.extend(data[:used], start)
	if used > 0 || !w.partial {
		w.last = now
	}
	return used
}

// readStream reads a turn of a FIFO or device, which cannot be read again: the begun line is kept.
func (c *Collector) readStream(w *follower, now time.Time) (more bool) {
	for range turnReads {
		kept := copy(c.buf, w.rest)
		n, err := readPipe(w.f, c.buf[kept:])
		if n == 0 || err != nil {
			return false
		}
		data := c.buf[:kept+n]
		used := c.feed(w, data)
		w.rest = append(w.rest[:0], data[used:]...)
		w.partial, w.last = len(w.rest) > 0, now
		if c.err != nil {
			return false
		}
	}
	return true
}

// feed gives the complete lines of data to the assembler and returns how much of data they are. It ends early at a failed delivery, before
// the line that it concerns.
func (c *Collector) feed(w *follower, data []byte) (used int) {
	c.cur = w
	for used < len(data) {
		rest := data[used:]
		i := bytes.IndexByte(rest, '\n')
		n := i
		if i < 0 {
			n = len(rest)
		}
		ok := true
		switch {
		case w.skip:
			if i >= 0 {
				n, w.skip = n+1, false
			}
			c.over(w, n)
		case n > w.max:
			n = w.max
			ok = c.piece(w, rest[:n])
		case i < 0:
			return used
		case n == 0 && w.long: // nothing is left of the long line
			n, w.long = 1, false
			c.over(w, n)
		default:
			ok = c.line(w, rest[:n], n+1)
			n++
		}
		if !ok {
			return used
		}
		used += n
	}
	return used
}

// over goes past bytes that are not given to the assembler.
func (c *Collector) over(w *follower, n int) {
	w.offset += int64(n)
	if !w.asm.Open() {
		w.safe = w.offset
	}
}

// line gives a line to the assembler; size is how much of the file it takes. It reports false when a delivery failed.
func (c *Collector) line(w *follower, b []byte, size int) bool {
	if w.long {
		c.scratch = append(append(c.scratch[:0], continued...), b...)
		b, w.long = c.scratch, false
	}
	is := w.asm.Line(b, c.emit)
	if c.err != nil {
		return false
	}
	start := w.offset
	w.offset += int64(size)
	switch is {
	case nothing:
		w.safe = w.offset
	case thisLine:
		w.safe = start
	}
	return true
}

// piece gives the beginning of a line that is too long, and counts the line once.
func (c *Collector) piece(w *follower, b []byte) bool {
	first := !w.long
	if first {
		w.cut++
		c.cut.Add(1)
		what := "each is cut there"
		if w.split {
			what = "each is sent in pieces"
		}
		c.log.Every("long "+w.path, time.Hour).Info("'%s' has lines of more than %d bytes; %s (%d so far).", w.path, w.max, what, w.cut)
	}
	if !c.line(w, b, len(b)) {
		return false
	}
	w.long, w.skip = w.split, !w.split
	return true
}

// arrive opens the file that has the name now, if there is one.
func (c *Collector) arrive(w *follower, st status, err error, now time.Time) (more bool) {
	if w.parked && (err != nil || st.id != w.id) && c.reopenRotated(w, now) {
		return true
	}
	switch {
	case err != nil && w.entry.glob && errors.Is(err, fs.ErrNotExist):
		c.forget(w)
		return false
	case err != nil:
		c.missing(w, err)
		return false
	case st.mode.IsDir():
		if !w.absent {
			w.absent = true
			c.log.Warn("'%s' is a directory and will not be read.", w.path)
		}
		return false
	case w.parked && st.id == w.id && w.calm && st.size == w.size && st.mtime == w.mtime:
		return false
	case w.parked && st.id == w.id:
		return c.open(w, now)
	case w.entry.glob && c.elsewhereRead(w.path, st):
		return false
	case w.seeking:
		return c.next(w, now)
	case w.had || w.parked:
		if c.tell(rotated, w.path); c.err != nil {
			return false
		}
		return c.next(w, now)
	}
	return c.open(w, now)
}

// open opens the name: a parked file where it was left, another one at its beginning.
func (c *Collector) open(w *follower, now time.Time) bool {
	if w.entry.glob && !w.parked {
		if st, err := statPath(w.path); err == nil {
			if c.elsewhereRead(w.path, st) {
				return false
			}
			c.adopt(w, st)
		}
	}
	f, st, err := openFile(w.path)
	if err != nil && tooManyOpen(err) && c.park() {
		f, st, err = openFile(w.path)
	}
	if err != nil {
		c.missing(w, err)
		return false
	}
	if st.mode.IsDir() || (!st.regular() && !st.pipe()) {
		f.Close()
		return false
	}
	if w.parked && w.id == st.id {
		w.f, w.parked = f, false
		if w.print.Len == 0 {
			w.print = takePrint(f, w.offset)
		}
	} else {
		w.begin(f, st)
	}
	w.absent, w.gone, w.last = false, time.Time{}, now
	if w.stream {
		w.rest = append(w.rest, c.leftover[w.path]...)
		delete(c.leftover, w.path)
	}
	return true
}

// begin follows f from its beginning.
func (w *follower) begin(f *os.File, st status) {
	w.f, w.id, w.stream = f, st.id, !st.regular()
	w.offset, w.safe, w.print = 0, 0, fingerprint{}
	w.size, w.mtime, w.calm = st.size, st.mtime, false
	w.rest, w.long, w.skip, w.partial = nil, false, false, false
	w.parked, w.had, w.seeking, w.notice = false, false, false, ""
}

// toEnd goes to the end of a file that was just opened, or to the beginning of its last line when that has no end yet.
func (w *follower) toEnd(st status) {
	if w.stream {
		return
	}
	back := min(st.size, int64(w.max))
	buf := make([]byte, back)
	n, _ := w.f.ReadAt(buf, st.size-back)
	w.offset = st.size
	if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
		w.offset = st.size - back + int64(i) + 1
	} else if back == st.size {
		w.offset = 0
	}
	w.safe, w.size, w.mtime = w.offset, st.size, st.mtime
	w.partial = w.offset < st.size
	w.print = takePrint(w.f, w.offset)
}

// missing logs that a file cannot be opened, once until it can.
func (c *Collector) missing(w *follower, err error) {
	if w.absent {
		return
	}
	w.absent = true
	var errno syscall.Errno
	if errors.As(err, &errno) {
		c.log.Code(1103, "ERROR", "Could not open file '%s' due to [(%d)-(%s)].", w.path, int(errno), reason(errno))
		return
	}
	c.log.Code(1103, "ERROR", "Could not open file '%s' due to [(0)-(%v)].", w.path, err)
}

// reason gives the C library's wording of an error number, which has a capital.
func reason(e syscall.Errno) string {
	s := e.Error()
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

// broken gives up a descriptor that cannot be read; the file is opened again at the same position.
func (c *Collector) broken(w *follower, err error) {
	c.log.Every("read "+w.path, time.Minute).Code(1115, "ERROR", "Could not read from file '%s' due to [%v].", w.path, err)
	w.close()
	w.parked, w.calm = !w.stream, false
}

// goneAfter is how long a file that has lost its name is kept open while nothing comes.
const goneAfter = time.Minute

// vanished is for a file that is open though nothing has its name. Programs go on writing into a renamed file for a while.
func (c *Collector) vanished(w *follower, err error, now time.Time) {
	c.missing(w, err)
	if !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if w.gone.IsZero() {
		w.gone = now
	}
	if now.Sub(w.gone) < goneAfter || now.Sub(w.last) < goneAfter {
		return
	}
	cur, ferr := statFile(w.f)
	if ferr == nil && cur.links > 0 && !w.entry.glob {
		return
	}
	if !c.finish(w) {
		return
	}
	c.remember(w)
	w.close()
	w.had = true
	c.store.drop(w.key)
	if w.entry.glob {
		c.forget(w)
	}
}

// quiet sends what has waited long enough for more.
func (c *Collector) quiet(w *follower, now time.Time) {
	quiet := now.Sub(w.last)
	if w.partial && quiet >= c.opts.PartialAfter {
		c.partialLine(w)
	}
	if c.err == nil && !w.partial && w.asm.Open() {
		c.cur = w
		w.asm.Flush(quiet, false, c.emit)
		w.settle(c)
	}
}

// settle moves the safe position up when no event is open.
func (w *follower) settle(c *Collector) {
	if c.err == nil && !w.asm.Open() {
		w.safe = w.offset
	}
}

// partialLine sends the begun line at the offset; what follows up to its end is sent as its continuation.
func (c *Collector) partialLine(w *follower) {
	data := w.rest
	if !w.stream {
		if w.f == nil {
			return
		}
		n, err := w.f.ReadAt(c.buf[:c.readSize(w)], w.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return
		}
		data = c.buf[:n]
		if bytes.IndexByte(data, '\n') >= 0 {
			return // it has an end by now
		}
	}
	if len(data) == 0 {
		return
	}
	c.cur = w
	start := w.offset
	if !c.line(w, data, len(data)) {
		return
	}
	w.print.extend(data, start)
	w.rest, w.partial = nil, false
	w.long, w.skip = w.split, !w.split
}

// finish delivers a last line without line end, and everything that is open. It reports false when a delivery failed.
func (c *Collector) finish(w *follower) bool {
	if w.partial {
		c.partialLine(w)
		w.long, w.skip = false, false
	}
	if c.err == nil {
		c.cur = w
		w.asm.Flush(0, true, c.emit)
		w.settle(c)
	}
	return c.err == nil
}

func (w *follower) close() {
	if w.f != nil {
		w.f.Close()
		w.f = nil
	}
}

// position is what is stored of the follower; false: nothing.
func (w *follower) position() (position, bool) {
	if w.id == (identity{}) || w.stream || (w.f == nil && !w.parked) {
		return position{}, false
	}
	p := position{Entry: w.entry.cfg.Location, ID: w.id, Offset: w.safe, Mtime: w.mtime, Print: w.print}
	if r, ok := w.asm.(remembering); ok {
		p.State = r.Remember()
	}
	return p, true
}

// message makes the queue message of an event of this file.
func (w *follower) message(kind event.Kind, text string) event.Message {
	return event.Message{Kind: kind, Location: w.location, Text: text}
}
