package logcollector

import (
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// Limits in bytes (spec logcollector.md, section 13).
const (
	maxLine  = 5887 // pieces into which a longer line is split
	maxEvent = event.MaxMessage
)

// emitFunc takes one event of a file.
type emitFunc func(kind event.Kind, text string)

// Assembler turns the lines of one file into events. Its state lives as long as the file is followed, across reads.
type Assembler interface {
	// Line takes a complete line without its line end. The bytes are only valid during the call.
	Line(line []byte, emit emitFunc)
	// Flush is called when no more data is there now; quiet tells for how long nothing has come. final asks to give up what is open.
	Flush(quiet time.Duration, final bool, emit emitFunc)
	// Open reports whether an event is begun that later lines may complete: its lines count as undelivered.
	Open() bool
}

// assemblerFor makes the assembler of a log_format.
func assemblerFor(format string, lines int, path, hostname string, log *olog.Log, now func() time.Time) (Assembler, error) {
	switch format {
	case "snort-full":
		return &snortFull{log: log}, nil
	case "nmapg":
		return &nmapGrepable{log: log}, nil
	case "mysql_log":
		return &mysqlLog{}, nil
	case "mssql_log":
		return &joined{kind: event.KindLog, starts: mssqlStart, continues: func(l []byte) bool { return len(l) > 1 }}, nil
	case "postgresql_log":
		return &joined{kind: event.KindPostgreSQL, starts: postgresStart,
			continues: func(l []byte) bool { return len(l) > 1 && l[0] == '\t' }}, nil
	case "djb-multilog":
		return newDJB(path, hostname, log, now)
	case "ossecalert":
		return &ossecAlert{}, nil
	case "audit":
		return &audit{log: log}, nil
	case "modsec-audit":
		return &modsec{log: log, path: path}, nil
	case "multi-line":
		if lines > 1 {
			return &multiLine{n: lines}, nil
		}
	case "multi-line_indented":
		return &indented{}, nil
	case "json":
		return jsonLines{}, nil
	case "docker":
		return &container{decode: dockerLine, path: path}, nil
	case "cri":
		return &container{decode: criLine, path: path}, nil
	}
	return plain{}, nil
}

// plain is one line, one event: syslog and all formats like it.
type plain struct{}

func (plain) Line(line []byte, emit emitFunc)     { emit(event.KindLog, text(line)) }
func (plain) Flush(time.Duration, bool, emitFunc) {}
func (plain) Open() bool                          { return false }

// text makes the event text of a line: NUL bytes, which end texts further on, become blanks.
func text(line []byte) string {
	s := string(line)
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", " ")
	}
	return s
}
