package logcollector

import (
	"bytes"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// maxAuditLines is how many records of one audit event are joined.
const maxAuditLines = 16

// audit joins the records of the Linux audit daemon that carry the same event id.
type audit struct {
	log *olog.Log
	id  []byte
	buf buffer
}

func (a *audit) Line(line []byte, emit emitFunc) held {
	id := auditID(line)
	if id == nil {
		a.log.Every("audit syntax", time.Minute).Error("discarding audit message because of invalid syntax")
		return a.buf.held(moreThan)
	}
	is := moreThan
	if a.buf.lines == 0 || !bytes.Equal(id, a.id) {
		a.buf.send(event.KindLog, emit)
		a.id = append(a.id[:0], id...)
		is = thisLine
	}
	if a.buf.lines == maxAuditLines {
		a.log.Every("audit cache", time.Minute).Error("discarding audit message because cache is full")
	} else {
		a.buf.add(line)
	}
	if bytes.HasPrefix(line, []byte("type=EOE ")) { // the daemon's mark of the end
		a.buf.send(event.KindLog, emit)
	}
	return a.buf.held(is)
}

// auditID gives the text between "msg=audit(" and "): " of a record, nil when the line is none.
func auditID(line []byte) []byte {
	if !bytes.HasPrefix(line, []byte("type=")) {
		return nil
	}
	_, rest, ok := bytes.Cut(line, []byte("msg=audit("))
	if !ok {
		return nil
	}
	id, _, ok := bytes.Cut(rest, []byte("): "))
	if !ok {
		return nil
	}
	return id
}

func (a *audit) Flush(quiet time.Duration, final bool, emit emitFunc) {
	if final || quiet >= settle {
		a.buf.send(event.KindLog, emit)
	}
}

func (a *audit) Open() bool { return a.buf.lines > 0 }

// maxModsecLines is how many lines a ModSecurity transaction may have.
const maxModsecLines = 96

// modsec joins the lines of one transaction of a serial ModSecurity audit log.
type modsec struct {
	log     *olog.Log
	path    string
	id      []byte
	lines   int
	dropped bool
	buf     buffer
}

func (m *modsec) Line(line []byte, emit emitFunc) held {
	id, section := modsecBoundary(line)
	is := moreThan
	if len(m.id) == 0 || m.dropped {
		if section != 'A' {
			return nothing
		}
		m.id = append(m.id[:0], id...)
		m.lines, m.dropped, is = 0, false, thisLine
	}
	if m.lines++; m.lines > maxModsecLines {
		m.log.Every("modsec "+m.path, time.Minute).Warn("ModSecurity audit entry exceeded 96 lines; discarding event from '%s'", m.path)
		m.buf.reset()
		m.dropped = true
		return nothing
	}
	m.buf.add(bytes.TrimSuffix(line, []byte("\r")))
	if section == 'Z' && bytes.Equal(id, m.id) {
		m.buf.send(event.KindLog, emit)
		m.id = m.id[:0]
		return nothing
	}
	return is
}

// modsecBoundary reads "--<id>-<X>--" and gives id and X; X is 0 for other lines.
func modsecBoundary(line []byte) (id []byte, section byte) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	n := len(line)
	if n < 7 || n > 6+63 || !bytes.HasPrefix(line, []byte("--")) || !bytes.HasSuffix(line, []byte("--")) || line[n-4] != '-' {
		return nil, 0
	}
	id = line[2 : n-4]
	for _, c := range id {
		if !digit(c) && (c|0x20 < 'a' || c|0x20 > 'z') {
			return nil, 0
		}
	}
	return id, line[n-3]
}

func (m *modsec) Flush(_ time.Duration, final bool, _ emitFunc) {
	if final {
		m.buf.reset()
		m.id = m.id[:0]
	}
}

func (m *modsec) Open() bool { return len(m.id) > 0 && !m.dropped }
