package logcollector

import (
	"time"

	"github.com/vedette-hids/vedette/event"
)

// settle is how long an open event waits for more lines before it is sent.
const settle = time.Second

// buffer collects the lines of one event, joined with blanks, up to maxEvent bytes; what does not fit is left out.
type buffer struct {
	b     []byte
	lines int
	room  int // bytes kept free, 0 = none
}

func (j *buffer) add(line []byte) bool {
	sep := 0
	if j.lines > 0 {
		sep = 1
	}
	if len(j.b)+sep+len(line) > maxEvent-j.room {
		return false
	}
	if sep == 1 {
		j.b = append(j.b, ' ')
	}
	j.b = append(j.b, line...)
	j.lines++
	return true
}

func (j *buffer) send(kind event.Kind, emit emitFunc) {
	if j.lines > 0 {
		emit(kind, text(j.b))
	}
	j.reset()
}

// reset forgets the lines; a large buffer is given back, as there may be thousands of files.
func (j *buffer) reset() {
	j.b, j.lines = j.b[:0], 0
	if cap(j.b) > 1024 {
		j.b = nil
	}
}

// held is h while there are lines.
func (j *buffer) held(h held) held {
	if j.lines == 0 {
		return nothing
	}
	return h
}

// joined is a format whose events begin with a line of a known form and go on until the next such line: mssql_log, postgresql_log.
type joined struct {
	kind      event.Kind
	starts    func([]byte) bool
	continues func([]byte) bool
	buf       buffer
}

func (j *joined) Line(line []byte, emit emitFunc) held {
	switch {
	case j.starts(line):
		j.buf.send(j.kind, emit)
		j.buf.add(line)
		return thisLine
	case j.buf.lines > 0 && j.continues(line):
		j.buf.add(line)
	}
	return j.buf.held(moreThan)
}

func (j *joined) Flush(quiet time.Duration, final bool, emit emitFunc) {
	if final || quiet >= settle {
		j.buf.send(j.kind, emit)
	}
}

func (j *joined) Open() bool { return j.buf.lines > 0 }

func digit(b byte) bool { return b >= '0' && b <= '9' }

// mssqlStart recognises "2007-08-23 09:01:31...".
func mssqlStart(l []byte) bool {
	return len(l) > 18 && digit(l[0]) && digit(l[1]) && digit(l[2]) && digit(l[3]) && l[4] == '-' && l[7] == '-' && l[10] == ' ' &&
		l[13] == ':' && l[16] == ':'
}

// postgresStart recognises "[2007-08-23 09:01:31...".
func postgresStart(l []byte) bool {
	return len(l) > 31 && l[0] == '[' && digit(l[1]) && digit(l[12]) && l[5] == '-' && l[8] == '-' && l[11] == ' ' && l[14] == ':' && l[17] == ':'
}

// multiLine joins groups of n lines.
type multiLine struct {
	n   int
	buf buffer
	got int
}

func (m *multiLine) Line(line []byte, emit emitFunc) held {
	m.buf.add(line)
	if m.got++; m.got == m.n {
		m.buf.send(event.KindLog, emit)
		m.got = 0
		return nothing
	}
	return moreThan
}

func (m *multiLine) Flush(_ time.Duration, final bool, emit emitFunc) {
	if final {
		m.buf.send(event.KindLog, emit)
		m.got = 0
	}
}

func (m *multiLine) Open() bool { return m.got > 0 }

// indented joins lines that begin with white space to the line before them.
type indented struct{ buf buffer }

// indentedRoom is kept free at the end of an event: continuations that would use it are dropped.
const indentedRoom = 256

func (i *indented) Line(line []byte, emit emitFunc) held {
	switch {
	case len(line) == 0 || line[0] == '\r':
		i.buf.send(event.KindLog, emit)
		return nothing
	case len(line) > 1 && (line[0] == ' ' || line[0] == '\t'):
		if i.buf.lines == 0 {
			emit(event.KindLog, text(line))
			return nothing
		}
		i.buf.room = indentedRoom
		i.buf.add(line)
		i.buf.room = 0
		return moreThan
	}
	i.buf.send(event.KindLog, emit)
	i.buf.add(line)
	return thisLine
}

func (i *indented) Flush(quiet time.Duration, final bool, emit emitFunc) {
	if final || quiet >= settle {
		i.buf.send(event.KindLog, emit)
	}
}

func (i *indented) Open() bool { return i.buf.lines > 0 }
