package mail

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-hids/vedette/manager/alert"
)

// Limits in bytes (spec outputs.md, sections 10.4 and 10.5).
const (
	maxHeader  = 124 // a header line without its end
	maxSubject = 117
	maxCc      = 998
	maxLogs    = 6141 // logs and sums of one alert
	maxLine    = 998  // a line that mail servers must accept
)

// message is a mail before it is written out.
type message struct {
	from, replyTo, idsName string
	to                     []string // visible recipients, the first is in To
	again                  bool     // further recipients in To lines instead of Cc
	subject                string
	body                   string // lines end with CR LF
	id                     string // Message-ID; "" = none
}

// bytes writes the message with the date at.
func (m *message) bytes(at time.Time) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) {
		b.WriteString(cut(clean(fmt.Sprintf(format, args...)), maxHeader))
		b.WriteString("\r\n")
	}
	line("To: <%s>", m.to[0])
	line("From: OSSEC HIDS <%s>", m.from)
	if m.replyTo != "" {
		line("Reply-To: OSSEC HIDS <%s>", m.replyTo)
	}
	if m.again {
		for _, to := range m.to[1:] {
			line("To: <%s>", to)
		}
	} else if len(m.to) > 1 {
		b.WriteString(cc(m.to[1:]) + "\r\n")
	}
	line("Date: %s", at.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	if m.id != "" {
		line("Message-ID: %s", m.id)
	}
	if m.idsName != "" {
		line("X-IDS-OSSEC: %s", m.idsName)
	}
	b.WriteString("Subject: " + subject(m.subject) + "\r\n")
	if plain(m.body) {
		b.WriteString("\r\n" + m.body)
		return b.Bytes()
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	q := quotedprintable.NewWriter(&b)
	q.Write([]byte(strings.ToValidUTF8(m.body, "\uFFFD"))) // a bytes.Buffer does not fail
	q.Close()
	return b.Bytes()
}

// cc lists as many addresses as fit into one line.
func cc(to []string) string {
	s := "Cc: <" + to[0] + ">"
	for _, t := range to[1:] {
		if len(s)+len(t)+4 > maxCc {
			break
		}
		s += ", <" + t + ">"
	}
	return s
}

// subject cuts the text and encodes it if it is not ASCII (RFC 2047).
func subject(s string) string {
	s = cut(clean(s), maxSubject)
	if ascii(s) {
		return s
	}
	return mime.QEncoding.Encode("utf-8", strings.ToValidUTF8(trimRune(s), "?"))
}

// trimRune removes an incomplete character from the end.
func trimRune(s string) string {
	for i := 1; i <= min(len(s), utf8.UTFMax-1); i++ {
		if utf8.RuneStart(s[len(s)-i]) {
			if !utf8.FullRuneInString(s[len(s)-i:]) {
				return s[:len(s)-i]
			}
			break
		}
	}
	return s
}

// clean removes line ends, so that no text can add a header.
func clean(s string) string { return strings.NewReplacer("\r", "", "\n", " ").Replace(s) }

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// plain reports whether a body can be sent as it is: ASCII, lines short enough.
func plain(s string) bool {
	if !ascii(s) {
		return false
	}
	for line := range strings.SplitSeq(s, "\r\n") {
		if len(line) > maxLine {
			return false
		}
	}
	return true
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// alertSubject is the subject of a mail whose most severe alert is e.
func alertSubject(e *alert.Entry, full bool) string {
	host, _, _ := strings.Cut(e.Location, "->")
	if full {
		return fmt.Sprintf("OSSEC Notification - %s - Alert level %d", host, e.Level)
	}
	return fmt.Sprintf("OSSEC Alert - %s - Level %d - %s", host, e.Level, e.Description)
}

// appendAlert appends the part of the body about one alert.
func appendAlert(b []byte, e *alert.Entry) []byte {
	b = fmt.Appendf(b, "\r\nOSSEC HIDS Notification.\r\n%s\r\n\r\nReceived From: %s\r\nRule: %d fired (level %d) -> \"%s\"\r\n",
		e.Date, e.Location, e.Rule, e.Level, e.Description)
	for _, f := range [...]struct{ label, value string }{{"Src IP", e.SrcIP}, {"Dst IP", e.DstIP}, {"User", e.User}} {
		if f.value != "" {
			b = fmt.Appendf(b, "%s: %s\r\n", f.label, f.value)
		}
	}
	b = append(b, "Portion of the log(s):\r\n\r\n"...)
	room := maxLogs
	add := func(line string) bool {
		line = strings.ReplaceAll(line, "\r", "") + "\r\n"
		if len(line) > room {
			return false
		}
		room -= len(line)
		b = append(b, line...)
		return true
	}
	for _, l := range e.Lines {
		if !add(l) {
			break
		}
	}
	for _, f := range [...]struct{ label, value string }{
		{"Old md5sum was: ", e.OldMD5}, {"New md5sum is : ", e.NewMD5}, {"Old sha1sum was: ", e.OldSHA1}, {"New sha1sum is : ", e.NewSHA1},
		{"Permission change: ", e.Perm},
	} {
		if f.value != "" && !add(f.label+f.value) {
			break
		}
	}
	return append(b, "\r\n\r\n\r\n --END OF NOTIFICATION\r\n\r\n\r\n"...)
}
