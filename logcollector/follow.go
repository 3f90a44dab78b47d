package logcollector

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// readSize is the read buffer shared by all files of a collector.
const readSize = 64 << 10

// follower follows one path: the file that has the name now, and an earlier one until it is read to its end.
type follower struct {
	path     string // as opened: dated names expanded
	location string // as sent
	asm      Assembler
	log      *olog.Log
	late     bool // appeared after the start: read from the beginning

	f      *os.File
	id     identity
	offset int64  // bytes read and given to the assembler, without rest
	safe   int64  // bytes whose events are all delivered
	rest   []byte // begun line
	long   bool   // rest is the tail of a line that was too long
	last   time.Time
	absent bool // the log already says that it is missing
	cut    uint64
	print  fingerprint
}

// identity tells files apart whatever their names.
type identity struct{ dev, ino uint64 }

func identify(st fs.FileInfo) identity {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return identity{uint64(s.Dev), uint64(s.Ino)} //nolint:unconvert // the types differ between systems
	}
	return identity{}
}

// where says at which position to begin a file.
type where int

const (
	atStart where = iota
	atEnd
	atOffset
)

// openFile opens without waiting for a writer, so that a FIFO cannot hold the collector.
func openFile(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: syscall.EISDIR}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, st, nil
}

// open opens the path at a position. A file that cannot be opened is logged once per absence.
func (w *follower) open(at where, offset int64, now time.Time) error {
	f, st, err := openFile(w.path)
	if err != nil {
		w.missing(err)
		return err
	}
	w.absent = false
	w.f, w.id, w.last = f, identify(st), now
	w.rest, w.long = w.rest[:0], false
	switch {
	case !st.Mode().IsRegular():
		w.offset = 0
	case at == atEnd:
		w.offset = st.Size()
	case at == atOffset && offset <= st.Size():
		w.offset = offset
	default:
		w.offset = 0
	}
	w.safe = w.offset
	if st.Mode().IsRegular() {
		w.print = takeFingerprint(f, w.print.Len)
	}
	return nil
}

func (w *follower) missing(err error) {
	if w.absent {
		return
	}
	w.absent = true
	var errno syscall.Errno
	if errors.As(err, &errno) {
		w.log.Code(1103, "ERROR", "Could not open file '%s' due to [(%d)-(%s)].", w.path, int(errno), reason(errno))
		return
	}
	w.log.Code(1103, "ERROR", "Could not open file '%s' due to [(0)-(%v)].", w.path, err)
}

// reason gives the C library's wording of an error number, which has a capital.
func reason(e syscall.Errno) string {
	s := e.Error()
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

// read gives everything that is there to the assembler. buf is scratch space.
func (w *follower) read(buf []byte, now time.Time, emit emitFunc) error {
	if w.f == nil {
		return nil
	}
	got := false
	for {
		n, err := w.readAt(buf)
		if n > 0 {
			got = true
			if ferr := w.feed(buf[:n], emit); ferr != nil {
				return ferr
			}
		}
		if err == io.EOF || (err == nil && n == 0) || errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			w.log.Every("read "+w.path, time.Minute).Code(1115, "ERROR", "Could not read from file '%s' due to [%v].", w.path, err)
			break
		}
	}
	if got {
		w.last = now
	}
	w.asm.Flush(now.Sub(w.last), false, emit)
	w.settle()
	return nil
}

func (w *follower) readAt(buf []byte) (int, error) {
	n, err := w.f.ReadAt(buf, w.offset+int64(len(w.rest)))
	if errors.Is(err, syscall.ESPIPE) {
		return w.f.Read(buf) // FIFOs and devices have no positions
	}
	return n, err
}

// settle moves the safe position up when no event is open.
func (w *follower) settle() {
	if !w.asm.Open() {
		w.safe = w.offset
	}
}

// feed splits data into lines. A begun line waits in rest for its end.
func (w *follower) feed(data []byte, emit emitFunc) error {
	for len(data) > 0 {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			w.rest = append(w.rest, data...)
			w.splitLong(emit)
			return nil
		}
		line := data[:i]
		data = data[i+1:]
		size := int64(i + 1)
		if len(w.rest) > 0 {
			w.rest = append(w.rest, line...)
			size = int64(len(w.rest) + 1)
			line = w.rest
		}
		if len(line) >= maxLine {
			w.rest = append(w.rest[:0], line...)
			w.splitLong(emit)
			line, size = w.rest, int64(len(w.rest)+1)
		}
		w.asm.Line(line, emit)
		w.offset += size
		w.rest, w.long = w.rest[:0], false
		w.settle()
	}
	return nil
}

// splitLong sends full pieces of a line that is longer than one event may be, and counts the line once.
func (w *follower) splitLong(emit emitFunc) {
	for len(w.rest) >= maxLine {
		if !w.long {
			w.long = true
			w.cut++
			w.log.Every("long "+w.path, time.Hour).Info("'%s' has lines longer than %d bytes; each is sent in pieces (%d so far).", w.path, maxLine-1, w.cut)
		}
		w.asm.Line(w.rest[:maxLine], emit)
		w.offset += maxLine
		w.rest = append(w.rest[:0], w.rest[maxLine:]...)
		w.settle()
	}
}

// notice is a message about the file itself, for which rules exist.
type notice string

const (
	rotated notice = "ossec: File rotated (inode changed): '%s'."
	reduced notice = "ossec: File size reduced (inode remained): '%s'."
)

// check looks at the name again: a new file under it is opened once the old one is read to its end, a shortened one is read from its
// start, a missing one is looked for.
func (w *follower) check(buf []byte, now time.Time, emit emitFunc, tell func(notice, string)) error {
	if w.f == nil {
		at := atEnd
		if w.late || w.absent {
			at = atStart
		}
		if w.open(at, 0, now) != nil {
			return nil
		}
		w.log.Code(1950, "INFO", "Analyzing file: '%s'.", w.path)
		return w.read(buf, now, emit)
	}
	st, err := os.Stat(w.path)
	if err != nil {
		w.missing(err)
		return nil
	}
	w.absent = false
	switch {
	case identify(st) != w.id:
		if err := w.read(buf, now, emit); err != nil {
			return err
		}
		w.finish(emit)
		tell(rotated, w.path)
		w.print = fingerprint{}
		if w.open(atStart, 0, now) == nil {
			return w.read(buf, now, emit)
		}
	case st.Mode().IsRegular() && (st.Size() < w.offset || w.rewritten()):
		tell(reduced, w.path)
		w.asm.Flush(0, true, emit)
		w.offset, w.safe, w.rest = 0, 0, w.rest[:0]
		w.print = takeFingerprint(w.f, 0)
		return w.read(buf, now, emit)
	case w.print.Len < maxPrint:
		w.print = takeFingerprint(w.f, 0)
	}
	return nil
}

// rewritten notices a file that was emptied and has grown beyond the old position since: its beginning is another one.
func (w *follower) rewritten() bool {
	return w.print.Len > 0 && takeFingerprint(w.f, w.print.Len) != w.print
}

// finish delivers a last line without line end and closes.
func (w *follower) finish(emit emitFunc) {
	if len(w.rest) > 0 {
		w.asm.Line(w.rest, emit)
		w.offset += int64(len(w.rest))
		w.rest = w.rest[:0]
	}
	w.asm.Flush(0, true, emit)
	w.close()
}

func (w *follower) close() {
	if w.f != nil {
		w.f.Close()
		w.f = nil
	}
}

// message makes the queue message of an event of this file.
func (w *follower) message(kind event.Kind, text string) event.Message {
	return event.Message{Kind: kind, Location: w.location, Text: text}
}

func (w *follower) String() string { return fmt.Sprintf("%s at %d", w.path, w.offset) }
