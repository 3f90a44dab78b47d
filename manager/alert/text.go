package alert

import (
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// Limits of the text entry in bytes (spec outputs.md, section 2.2).
const (
	maxLog = 1256
	// A diff that was asked for must reach the alert (compatibility.md), so entries with one may be as long as a message.
	maxLogWithDiff = event.MaxMessage
)

var months = [...]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}

// AppendDate appends "2026 Oct 05 08:09:18" in the time's own zone, independent of locale.
func AppendDate(b []byte, t time.Time) []byte {
	y, m, d := t.Date()
	h, mi, s := t.Clock()
	b = strconv.AppendInt(b, int64(y), 10)
	b = append(b, ' ')
	b = append(b, months[m-1]...)
	b = append(b, ' ')
	b = append2(b, d)
	b = append(b, ' ')
	b = append2(b, h)
	b = append(b, ':')
	b = append2(b, mi)
	b = append(b, ':')
	return append2(b, s)
}

func append2(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// FromAgent reports whether the event came through an agent: its location then stands alone in outputs.
func FromAgent(ev *event.Event) bool { return strings.HasPrefix(ev.Location, "(") }

// AppendHL appends "host and location": the location of agent events, else hostname->location (spec outputs.md, section 1).
func AppendHL(b []byte, ev *event.Event) []byte {
	if !FromAgent(ev) {
		b = append(b, ev.Hostname...)
		b = append(b, "->"...)
	}
	return append(b, ev.Location...)
}

// AppendText appends the alerts.log entry of a.
func AppendText(b []byte, a *event.Alert) []byte {
	ev, r := a.Event, a.Rule
	b = append(b, "** Alert "...)
	b = appendID(b, a)
	if r.Mail {
		b = append(b, ": mail  - "...)
	} else {
		b = append(b, ": - "...)
	}
	b = append(b, r.Groups...)
	b = append(b, '\n')
	b = AppendDate(b, time.Unix(a.Epoch, 0))
	b = append(b, ' ')
	b = AppendHL(b, ev)
	b = append(b, "\nRule: "...)
	b = strconv.AppendInt(b, int64(r.ID), 10)
	b = append(b, " (level "...)
	b = strconv.AppendInt(b, int64(r.Level), 10)
	b = append(b, ") -> '"...)
	b = append(b, r.Description...)
	b = append(b, "'\n"...)
	for _, f := range [...]struct {
		label string
		field event.Field
	}{
		{"Src IP: ", event.SrcIP}, {"Src Port: ", event.SrcPort}, {"Dst IP: ", event.DstIP}, {"Dst Port: ", event.DstPort},
		{"User: ", event.DstUser},
	} {
		if v, ok := ev.Fields.Get(f.field); ok {
			b = append(b, f.label...)
			b = append(b, v...)
			b = append(b, '\n')
		}
	}
	b = append(b, cut(ev.FullLog, logLimit(ev))...)
	b = append(b, '\n')
	for _, p := range a.Previous {
		b = append(b, cut(p, maxLog)...)
		b = append(b, '\n')
	}
	return append(b, '\n')
}

// logLimit is how many bytes of an event's text an entry shows.
func logLimit(ev *event.Event) int {
	if ev.File != nil && ev.File.Diff != "" {
		return maxLogWithDiff
	}
	return maxLog
}

func appendID(b []byte, a *event.Alert) []byte {
	b = strconv.AppendInt(b, a.Epoch, 10)
	b = append(b, '.')
	return strconv.AppendUint(b, a.Seq, 10)
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// AppendCustom appends the entry that custom_alert_output asks for: the tokens of format replaced one after the other, and a line end
// (spec outputs.md, section 6.1).
func AppendCustom(b []byte, format string, a *event.Alert) []byte {
	ev, r := a.Event, a.Rule
	mail := ""
	if r.Mail {
		mail = "mail "
	}
	orNone := func(v string) string {
		if v == "" {
			return "None"
		}
		return cut(v, 1023)
	}
	for _, t := range [...]struct{ token, value string }{
		{"$TIMESTAMP", strconv.FormatInt(a.Epoch, 10)},
		{"$FTELL", strconv.FormatUint(a.Seq, 10)},
		{"$RULEALERT", mail},
		{"$HOSTNAME", orNone(ev.Hostname)},
		{"$LOCATION", orNone(ev.Location)},
		{"$RULEID", strconv.Itoa(r.ID)},
		{"$RULELEVEL", strconv.Itoa(r.Level)},
		{"$SRCIP", orNone(ev.Fields.Value(event.SrcIP))},
		{"$DSTUSER", orNone(ev.Fields.Value(event.DstUser))},
		{"$FULLLOG", strings.ReplaceAll(ev.FullLog, "\n", `\n`)},
		{"$RULECOMMENT", cut(r.Description, 1023)},
		{"$RULEGROUP", cut(r.Groups, 1023)},
	} {
		format = strings.ReplaceAll(format, t.token, t.value)
	}
	b = append(b, format...)
	return append(b, '\n')
}

// AppendArchive appends the archives.log line of an event.
func AppendArchive(b []byte, ev *event.Event) []byte {
	b = AppendDate(b, ev.Received)
	b = append(b, ' ')
	b = AppendHL(b, ev)
	b = append(b, ' ')
	b = append(b, ev.FullLog...)
	return append(b, '\n')
}

// Archived reports whether the event belongs in archives.log: the collectors' keepalives do not.
func Archived(ev *event.Event) bool {
	return ev.Location != "ossec-keepalive" && !strings.Contains(ev.Location, "->ossec-keepalive")
}

// AppendFirewall appends the firewall.log line of an event of a firewall decoder. It appends nothing unless action, source,
// destination and protocol are known.
func AppendFirewall(b []byte, ev *event.Event) []byte {
	f := &ev.Fields
	if ev.Type != event.TypeFirewall || !f.Has(event.Action) || !f.Has(event.SrcIP) || !f.Has(event.DstIP) || !f.Has(event.Protocol) {
		return b
	}
	port := func(k event.Field) string {
		if v, ok := f.Get(k); ok {
			return v
		}
		return "0"
	}
	b = AppendDate(b, ev.Received)
	b = append(b, ' ')
	b = AppendHL(b, ev)
	for _, s := range [...]string{" ", f.Value(event.Action), " ", f.Value(event.Protocol), " ",
		f.Value(event.SrcIP), ":", port(event.SrcPort), "->", f.Value(event.DstIP), ":", port(event.DstPort), "\n"} {
		b = append(b, s...)
	}
	return b
}
