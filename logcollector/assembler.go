package logcollector

import (
	"fmt"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// Limits in bytes (spec logcollector.md, section 13).
const (
	maxLine      = 5887 // of one event made of a line; longer lines become several events, or are cut
	maxEvent     = event.MaxMessage
	maxContainer = 192 << 10 // line of a container log: 16 KiB of text in which every byte may be escaped, with names and labels
)

// continued stands before every piece of a long line but the first, so that nobody can make a line of his own by writing a long one.
const continued = "[continued] "

// emitFunc takes one event of a file.
type emitFunc func(kind event.Kind, text string)

// held tells what an assembler keeps of the lines that it was given.
type held uint8

const (
	nothing  held = iota // every line so far is sent, or left out for good
	thisLine             // the line just given; everything before it is sent or left out
	moreThan             // the line just given and lines before it
)

// Assembler turns the lines of one file into events. Its state lives as long as the file is followed, across reads.
type Assembler interface {
	// Line takes a complete line without its line end, and tells what it keeps. The bytes are only valid during the call.
	Line(line []byte, emit emitFunc) held
	// Flush is called when no more data is there now; quiet tells for how long nothing has come. final asks to give up what is open.
	Flush(quiet time.Duration, final bool, emit emitFunc)
	// Open reports whether an event is begun that later lines may complete: its lines count as undelivered.
	Open() bool
}

// remembering is an Assembler that needs something of earlier lines to understand later ones, though it keeps no line back.
type remembering interface {
	Remember() string
	Recall(string)
}

// format is an assembler and what its file reader must know.
type format struct {
	asm   Assembler
	max   int  // longest line in bytes
	split bool // a longer line is given in pieces; else it is cut
}

// formatFor makes the reader of a log_format (spec logcollector.md, section 4). The error tells that the path does not suit the format.
func formatFor(name string, lines int, path, hostname string, log *olog.Log, now func() time.Time) (format, error) {
	cut := func(a Assembler) (format, error) { return format{asm: a, max: maxLine}, nil }
	switch name {
	case "snort-full":
		return cut(&snortFull{log: log})
	case "nmapg":
		return cut(&nmapGrepable{log: log})
	case "mysql_log":
		return cut(&mysqlLog{})
	case "mssql_log":
		return cut(&joined{kind: event.KindLog, starts: mssqlStart, continues: func(l []byte) bool { return len(l) > 1 }})
	case "postgresql_log":
		return cut(&joined{kind: event.KindPostgreSQL, starts: postgresStart,
			continues: func(l []byte) bool { return len(l) > 1 && l[0] == '\t' }})
	case "djb-multilog":
		d, err := newDJB(path, hostname, now)
		if err != nil {
			return format{}, fmt.Errorf("djb-multilog: %w", err)
		}
		return cut(d)
	case "ossecalert":
		return cut(&ossecAlert{})
	case "audit":
		return cut(&audit{log: log})
	case "modsec-audit":
		return cut(&modsec{log: log, path: path})
	case "multi-line":
		if lines > 1 {
			return cut(&multiLine{n: lines})
		}
	case "multi-line_indented":
		return cut(&indented{})
	case "json":
		return format{asm: jsonLines{}, max: maxLine, split: true}, nil
	case "docker":
		return format{asm: &container{decode: dockerLine, path: path}, max: maxContainer}, nil
	case "cri":
		return format{asm: &container{decode: criLine, path: path}, max: maxContainer}, nil
	}
	return format{asm: plain{}, max: maxLine, split: true}, nil
}

// nothingOpen is for formats whose events never span lines.
type nothingOpen struct{}

func (nothingOpen) Flush(time.Duration, bool, emitFunc) {}
func (nothingOpen) Open() bool                          { return false }

// plain is one line, one event: syslog and all formats like it.
type plain struct{ nothingOpen }

func (plain) Line(line []byte, emit emitFunc) held {
	emit(event.KindLog, text(line))
	return nothing
}

// text makes the event text of a line: NUL bytes, which end texts further on, become blanks.
func text(line []byte) string {
	s := string(line)
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", " ")
	}
	return s
}
