package decode

import (
	"strings"

	"github.com/vedette-hids/vedette/event"
)

// Predecode fills FullLog, Log, Hostname, ProgramName and HasProgram from Raw and Location (spec decoders.md, section 2). localHost is
// the manager's own host name; its first label is given to events that name no host.
//
// Control bytes are deleted. In an integrity event (KindSyscheck) everything after the first newline is a diff: its newlines and tabs
// are kept, and no header is looked for. All results are substrings of Raw unless bytes had to be deleted.
func Predecode(ev *event.Event, localHost string) {
	var h header
	if ev.Kind == event.KindSyscheck {
		ev.FullLog = cleanKeepingDiff(ev.Raw)
		h.log = ev.FullLog
	} else {
		ev.FullLog = clean(ev.Raw)
		h = splitHeader(ev.FullLog)
	}
	ev.Log = h.log
	ev.ProgramName, ev.HasProgram = h.program, h.hasProgram
	switch {
	case strings.HasPrefix(ev.Location, "("):
		ev.Hostname = ev.Location
	case h.hasHost:
		ev.Hostname = h.host
	default:
		ev.Hostname, _, _ = strings.Cut(localHost, ".")
	}
}

// header is what splitHeader finds in front of a log.
type header struct {
	host, program, log  string
	hasHost, hasProgram bool
}

func isControl(c byte) bool { return c < 0x20 || c == 0x7F }

// mayHoldControl reports whether one of the eight bytes of w can be a control byte; it errs on the side of yes.
func mayHoldControl(w uint64) bool {
	const ones = 0x0101010101010101
	del := w ^ 0x7F*ones
	return ((w-0x20*ones)&^w|(del-ones)&^del)&(0x80*ones) != 0
}

// clean deletes control bytes; without any it returns s itself.
func clean(s string) string {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		if mayHoldControl(uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56) {
			break
		}
	}
	for ; i < len(s); i++ {
		if isControl(s[i]) {
			return deleteControls(s, i, false)
		}
	}
	return s
}

// cleanKeepingDiff is clean for integrity events: the lines after the first newline keep their newlines and tabs.
func cleanKeepingDiff(s string) string {
	head, diff, ok := strings.Cut(s, "\n")
	if !ok {
		return clean(s)
	}
	cleanHead, cleanDiff := clean(head), diff
	for i := 0; i < len(diff); i++ {
		if isControl(diff[i]) && diff[i] != '\n' && diff[i] != '\t' {
			cleanDiff = deleteControls(diff, i, true)
			break
		}
	}
	if len(cleanHead) == len(head) && len(cleanDiff) == len(diff) {
		return s
	}
	return cleanHead + "\n" + cleanDiff
}

// deleteControls copies s without control bytes, given that s[:from] has none; with keepLayout newline and tab stay.
func deleteControls(s string, from int, keepLayout bool) string {
	b := make([]byte, from, len(s))
	copy(b, s)
	for i := from; i < len(s); i++ {
		c := s[i]
		if isControl(c) && !(keepLayout && (c == '\n' || c == '\t')) {
			continue
		}
		b = append(b, c)
	}
	return string(b)
}

// columns reads single bytes of a text by column. With shift 1 the text is seen as if "Ma" stood in place of its first letter and the ä
// (two bytes in UTF-8) after it. Columns outside the text are 0.
type columns struct {
	text  string
	shift int
}

func (t columns) at(i int) byte {
	if t.shift != 0 {
		if i < 2 {
			return "Ma"[i]
		}
		i++
	}
	if i >= len(t.text) {
		return 0
	}
	return t.text[i]
}

// all reports whether every named column holds c.
func (t columns) all(c byte, cols ...int) bool {
	for _, i := range cols {
		if t.at(i) != c {
			return false
		}
	}
	return true
}

func (t columns) digits(cols ...int) bool {
	for _, i := range cols {
		if !isDigit(t.at(i)) {
			return false
		}
	}
	return true
}

// splitHeader recognises the date formats of spec section 2.3, in its order.
func splitHeader(s string) header {
	if len(s) < 17 { // the shortest recognised header has 17 bytes
		return header{log: s}
	}
	t := columns{text: s}
	if s[1] == 0xC3 && s[2] == 0xA4 {
		t.shift = 1
	}
	if skip := syslogDate(t); skip > 0 {
		return splitNames(s, skip)
	}
	if t.all('[', 0) && t.all('T', 1) && t.all(' ', 5, 16) && t.all('.', 10, 13) && t.all(':', 19) && len(s) >= 26 && !apacheDate(t) {
		return splitASL(s, 25)
	}
	return header{log: s[min(bareDate(t), len(s)):]}
}

// syslogDate returns the length of a date that host and program name follow (formats 1a to 1f), 0 if there is none.
func syslogDate(t columns) int {
	n := len(t.text)
	switch {
	case t.at(3) == ' ' && t.all(' ', 6, 15) && t.all(':', 9, 12):
		return 16
	case n >= 24 && t.all('-', 4, 7) && t.at(10) == ' ' && t.all(':', 13, 16) && t.at(19) == ',':
		return 23
	case n >= 33 && t.all('-', 4, 7) && t.at(10) == 'T' && t.all(':', 13, 16):
		if skip := zoneEnd(t); skip > 0 {
			return skip
		}
	}
	switch {
	case n >= 21 && isDigit(t.at(0)) && t.all(' ', 4, 8, 11, 20) && t.all(':', 14, 17):
		return 21
	case n >= 20 && isDigit(t.at(0)) && t.all(':', 4, 7, 13, 16) && t.at(10) == '-':
		return 20
	}
	return 0
}

// zoneEnd returns where an ISO date with a numeric zone ends, 0 if there is no such zone.
func zoneEnd(t columns) int {
	if t.at(22) == ':' && t.at(25) == ' ' {
		return 26
	}
	if c := t.at(19); c != '.' && c != ',' {
		return 0
	}
	for i := 24; i <= 29; i++ {
		if t.at(i) == ':' {
			return i + 3
		}
	}
	return 0
}

func apacheDate(t columns) bool {
	return len(t.text) >= 27 && t.at(0) == '[' && t.all(' ', 4, 8, 11, 20) && t.all(':', 14, 17) && t.at(25) == ']'
}

// bareDate returns the length of a date in front of a log without host and program name (formats 2 to 5 and 7), 0 if there is none.
// It can be one more than the text has.
func bareDate(t columns) int {
	n := len(t.text)
	switch {
	case n >= 28 && t.all(' ', 3, 7, 10, 19, 24, 26) && t.all(':', 13, 16):
		return 24
	case n >= 24 && t.at(2) == '/' && t.at(5) == '-' && t.all(':', 8, 11) && t.at(14) == '.' && t.at(21) == ' ':
		return 23
	case n >= 26 && t.all('/', 2, 5) && t.at(10) == '-' && t.all(':', 13, 16) && t.at(19) == '.' && t.at(26) == ' ':
		return 28
	case apacheDate(t):
		return 27
	case n >= 32 && t.at(0) == '1' && t.digits(1, 2, 3, 13) && t.at(10) == '.' && t.at(14) == ' ' && (t.at(21) == ' ' || t.at(22) == ' '):
		skip := 14
		for skip < n && t.text[skip] == ' ' {
			skip++
		}
		return skip
	}
	return 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// nameByte marks the bytes that host and program names are made of.
var nameByte = byteTable("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789()-./@_")

// wordByte marks ASCII letters and digits.
var wordByte = byteTable("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")

func byteTable(members string) (t [256]bool) {
	for i := 0; i < len(members); i++ {
		t[members[i]] = true
	}
	return t
}

// skipBytes returns the first position from i on whose byte is not in the table.
func skipBytes(s string, i int, table *[256]bool) int {
	for i < len(s) && table[s[i]] {
		i++
	}
	return i
}

func skipDigits(s string, i int) int {
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return i
}

// splitNames reads host and program name after a syslog date (spec section 2.4).
func splitNames(s string, at int) header {
	at = min(at, len(s))
	if at < len(s) && s[at] == ' ' {
		at++
	}
	end := skipBytes(s, at, &nameByte)
	if strings.HasPrefix(s[end:], ": ") {
		return afterProgram(header{program: s[at:end]}, s, end+2)
	}
	if end >= len(s) || s[end] != ' ' {
		return header{log: s[at:]}
	}
	h := header{host: s[at:end], hasHost: true}
	at = end + 1
	end = skipBytes(s, at, &nameByte)
	if strings.HasPrefix(s[end:], "|") {
		return splitFacility(h, s, at, end)
	}
	if next, ok := programEnd(s, end); ok {
		h.program = s[at:end]
		return afterProgram(h, s, next)
	}
	h.log = s[at:]
	return h
}

// programEnd reads what closes a program name that ends at end: ": ", "[digits]: " or "[digits] ". It returns the start of the log.
func programEnd(s string, end int) (int, bool) {
	if strings.HasPrefix(s[end:], ": ") {
		return end + 2, true
	}
	if end+1 >= len(s) || s[end] != '[' || !isDigit(s[end+1]) {
		return 0, false
	}
	i := skipDigits(s, end+1)
	switch {
	case strings.HasPrefix(s[i:], "]: "):
		return i + 3, true
	case strings.HasPrefix(s[i:], "] "):
		return i + 2, true
	}
	return 0, false
}

// splitFacility reads AIX's "facility|severity:text program: " whose bar is at bar. Unfinished forms give the odd results that the spec
// records (section 2.4, step 3).
func splitFacility(h header, s string, at, bar int) header {
	h.log = s[at:]
	i := bar + 1
	if i >= len(s) || s[i] < 'a' || s[i] > 'z' {
		return h
	}
	i = skipBytes(s, i, &wordByte)
	if i >= len(s) || s[i] != ':' {
		return h
	}
	i = skipBytes(s, i+1, &wordByte)
	if i >= len(s) || s[i] != ' ' {
		return h
	}
	start := i + 1
	end := skipBytes(s, start, &nameByte)
	if end+1 < len(s) && s[end] == '[' && isDigit(s[end+1]) {
		h.program = s[start:end]
		if j := skipDigits(s, end+1); strings.HasPrefix(s[j:], "]: ") {
			return afterProgram(h, s, j+3)
		}
		h.hasProgram, h.log = true, s[at:end]
		return h
	}
	if strings.HasPrefix(s[end:], ": ") {
		h.program = s[start:end]
		return afterProgram(h, s, end+2)
	}
	h.program = s[start:]
	return afterProgram(h, s, end)
}

// afterProgram completes a header that has a program name: the log starts at at, behind Solaris' "[ID number facility] ".
func afterProgram(h header, s string, at int) header {
	h.hasProgram = true
	h.log = s[min(at, len(s)):]
	if strings.HasPrefix(h.log, "[ID ") {
		if _, rest, ok := strings.Cut(h.log, "] "); ok {
			h.log = rest
		}
	}
	return h
}

// splitASL reads the bracketed fields of the macOS system log (spec section 2.5), starting at at.
func splitASL(s string, at int) header {
	h := header{log: s[at:]}
	hasMessage := false
	firstClose := -1
	for i := at; ; {
		open := strings.IndexByte(s[i:], '[')
		if open < 0 {
			break
		}
		i += open + 1
		key := aslKey(s[i:])
		if key == "" || (key == "Sender " && h.hasProgram) || (key == "Message " && hasMessage) {
			continue
		}
		i += len(key)
		length := strings.IndexByte(s[i:], ']')
		if length < 0 {
			if key == "Message " {
				h.log, hasMessage = s[i:], true
			}
			break
		}
		value := s[i : i+length]
		if firstClose < 0 {
			firstClose = i + length
		}
		i += length + 1
		switch key {
		case "Sender ":
			h.program, h.hasProgram = value, true
		case "Message ":
			h.log, hasMessage = value, true
		case "Host ":
			h.host, h.hasHost = value, true
			i = len(s)
		}
	}
	if !hasMessage && firstClose >= 0 {
		h.log = s[at:firstClose]
	}
	return h
}

// aslKey returns which of the fields that matter s begins with, "" for none.
func aslKey(s string) string {
	for _, key := range [...]string{"Sender ", "Message ", "Host "} {
		if strings.HasPrefix(s, key) {
			return key
		}
	}
	return ""
}
