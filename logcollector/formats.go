package logcollector

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// snortFull joins the first three lines of a full snort alert.
type snortFull struct {
	log  *olog.Log
	buf  []byte
	line int // lines taken of the open alert
}

func (s *snortFull) Line(line []byte, emit emitFunc) held {
	switch {
	case s.line == 0:
		if bytes.HasPrefix(line, []byte("[**] [")) {
			s.buf, s.line = append(s.buf[:0], line...), 1
			return thisLine
		}
	case s.line == 1 && bytes.HasPrefix(line, []byte("[Classification: ")):
		s.buf, s.line = append(s.buf, line...), 2
	case s.line == 1 && bytes.HasPrefix(line, []byte("[Priority: ")):
		s.buf, s.line = append(s.buf, "[Classification: Preprocessor] [Priority: 3] "...), 2
	case snortDate(line):
		if s.line == 1 {
			s.buf = append(s.buf, "[Classification: Preprocessor] [Priority: 3] "...)
		}
		_, rest, _ := bytes.Cut(line, []byte(" "))
		emit(event.KindLog, text(append(s.buf, rest...)))
		s.line = 0
	default:
		s.log.Every("snort", time.Minute).Text("Bad formatted snort full file.")
		if s.line = 0; bytes.HasPrefix(line, []byte("[**] [")) {
			return s.Line(line, emit)
		}
	}
	if s.line == 0 {
		return nothing
	}
	return moreThan
}

func snortDate(l []byte) bool {
	return len(l) > 5 && l[2] == '/' && l[5] == '-' && bytes.IndexByte(l, ' ') > 0
}

func (s *snortFull) Flush(_ time.Duration, final bool, _ emitFunc) {
	if final {
		s.line = 0
	}
}

func (s *snortFull) Open() bool { return s.line > 0 }

// nmapGrepable reads nmap's grepable output into host information.
type nmapGrepable struct {
	nothingOpen
	log *olog.Log
}

func (n *nmapGrepable) Line(line []byte, emit emitFunc) held {
	s := text(line)
	if s == "" || s[0] == '#' {
		return nothing
	}
	host, rest, ok := strings.Cut(s, "\t")
	ports, isPorts := strings.CutPrefix(rest, "Ports: ")
	switch {
	case !ok || !strings.HasPrefix(host, "Host: "):
	case strings.HasPrefix(rest, "Status:"):
		return nothing
	case isPorts:
		emit(event.KindHostinfo, host+", open ports:"+openPorts(ports))
		return nothing
	}
	n.log.Every("nmap", time.Minute).Text("Bad formatted nmap grepable file.")
	return nothing
}

// openPorts makes " 22(tcp) 53(udp)" of nmap's list of ports.
func openPorts(ports string) string {
	var b strings.Builder
	for item := range strings.SplitSeq(ports, ",") {
		part := strings.Split(strings.TrimLeft(item, " "), "/")
		if len(part) < 3 {
			break
		}
		if part[1] == "open" {
			fmt.Fprintf(&b, " %.8s(%.8s)", part[0], part[2])
		}
	}
	return b.String()
}

// mysqlLog reads MySQL's general log, whose later lines of one second leave the time out.
type mysqlLog struct {
	nothingOpen
	stamp string
}

func (m *mysqlLog) Line(line []byte, emit emitFunc) held {
	l := text(line)
	switch {
	case len(l) > 17 && mysqlDate(l):
		m.stamp = l[:15]
		emit(event.KindMySQL, "MySQL log: "+m.stamp+" "+strings.TrimLeft(l[15:], " \t"))
	case len(l) > 9 && strings.HasPrefix(l, "\t\t      ") && m.stamp != "":
		emit(event.KindMySQL, "MySQL log: "+m.stamp+" "+strings.TrimLeft(l, " \t"))
	}
	return nothing
}

// Remember gives the time of the last line, which the lines after it leave out.
func (m *mysqlLog) Remember() string { return m.stamp }

// Recall takes what Remember gave in an earlier run.
func (m *mysqlLog) Recall(stamp string) {
	if len(stamp) == 15 {
		m.stamp = stamp
	}
}

func mysqlDate(l string) bool {
	for _, i := range [...]int{0, 1, 2, 3, 4, 5, 7, 8} {
		if !digit(l[i]) {
			return false
		}
	}
	return l[6] == ' ' && l[9] == ':' && l[12] == ':'
}

// djb reads multilog directories of daemontools.
type djb struct {
	nothingOpen
	program, host string
	now           func() time.Time
}

func newDJB(path, host string, now func() time.Time) (Assembler, error) {
	dir := filepath.Dir(path)
	program := filepath.Base(dir)
	if filepath.Base(path) != "current" || dir == "/" || filepath.Dir(dir) == "/" {
		return nil, fmt.Errorf("%s is not <dir>/<program>/current", path)
	}
	return &djb{program: program, host: host, now: now}, nil
}

func (d *djb) Line(line []byte, emit emitFunc) held {
	if !djbStamp(line) {
		return nothing
	}
	rest := strings.TrimLeft(text(line[25:]), " ")
	if len(line) > 43 && len(rest) > 16 && rest[3] == ' ' && rest[6] == ' ' && rest[15] == ' ' && rest[9] == ':' && rest[12] == ':' {
		emit(event.KindMySQL, rest[16:])
		return nothing
	}
	emit(event.KindMySQL, d.now().Format("Jan 02 15:04:05 ")+d.host+" "+d.program+": "+rest)
	return nothing
}

// djbStamp recognises the TAI64N time stamp at the beginning of a line, roughly.
func djbStamp(line []byte) bool {
	if len(line) < 26 || line[0] != '@' || line[25] != ' ' {
		return false
	}
	for _, i := range [...]int{1, 2, 3, 24} {
		if c := line[i]; !digit(c) && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// ossecAlert reads an alerts.log, of this manager or another one.
type ossecAlert struct {
	open                       bool
	location, rule, level, sum string
	srcip, user                string
	logs                       []string
}

// Limits of one forwarded alert.
const (
	maxAlertLogs  = 20
	maxAlertText  = 2047
	maxAlertLines = 1596
)

func (o *ossecAlert) Line(line []byte, emit emitFunc) held {
	l := text(line)
	switch {
	case strings.HasPrefix(l, "** Alert "):
		if len(o.logs) > 0 { // the empty line at the end of the last one is missing
			o.send(emit)
		}
		*o = ossecAlert{open: true}
		return thisLine
	case !o.open:
		return nothing
	case o.location == "":
		if _, after, ok := strings.Cut(l, ":"); ok { // the time of day
			_, o.location, _ = strings.Cut(after, " ")
		}
		o.open = o.location != ""
	case l == "":
		if len(o.logs) > 0 {
			o.send(emit)
		}
	case len(o.logs) == 0 && o.header(l):
	case len(o.logs) < maxAlertLogs:
		o.logs = append(o.logs, l)
	}
	if !o.open {
		return nothing
	}
	return moreThan
}

// header takes a line between the location and the log.
func (o *ossecAlert) header(l string) bool {
	switch {
	case strings.HasPrefix(l, "Rule: ") && o.rule == "":
		rest := strings.TrimPrefix(l, "Rule: ")
		o.rule, rest, _ = strings.Cut(rest, " (level ")
		o.level, rest, _ = strings.Cut(rest, ")")
		if a, z := strings.IndexByte(rest, '\''), strings.LastIndexByte(rest, '\''); a >= 0 && z > a {
			o.sum = rest[a+1 : z]
		}
	case strings.HasPrefix(l, "Src IP: "):
		o.srcip = l[len("Src IP: "):]
	case strings.HasPrefix(l, "User: "):
		o.user = l[len("User: "):]
	case strings.HasPrefix(l, "Src Port: "), strings.HasPrefix(l, "Dst IP: "), strings.HasPrefix(l, "Dst Port: "):
	default:
		return false
	}
	return true
}

func (o *ossecAlert) send(emit emitFunc) {
	var b strings.Builder
	fmt.Fprintf(&b, "ossec: Alert Level: %s; Rule: %s - %s; Location: %s;", o.level, o.rule, o.sum, o.location)
	if o.srcip != "" && !strings.HasPrefix(o.srcip, "(no") {
		b.WriteString(" srcip: " + o.srcip + ";")
	}
	if o.user != "" && !strings.HasPrefix(o.user, "(no") {
		b.WriteString(" user: " + o.user + ";")
	}
	b.WriteString("  ")
	if len(o.logs) == 1 {
		b.WriteString(o.logs[0])
	} else {
		all := strings.Join(o.logs, "\n") + "\n"
		if len(all) > maxAlertLines {
			all = all[:maxAlertLines] + "..."
		}
		b.WriteString(all)
	}
	s := b.String()
	if len(s) > maxAlertText {
		s = s[:maxAlertText]
	}
	emit(event.KindLog, s)
	*o = ossecAlert{}
}

func (o *ossecAlert) Flush(_ time.Duration, final bool, emit emitFunc) {
	if !final {
		return
	}
	if len(o.logs) > 0 {
		o.send(emit)
	}
	*o = ossecAlert{}
}

func (o *ossecAlert) Open() bool { return o.open }
