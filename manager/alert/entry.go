package alert

import (
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// maxLines is how many log lines of an alert an Entry keeps.
const maxLines = 20

// Entry is an alert as forwarders, mails, databases and reports see it: the attributes of an integrity alert apart from its log lines.
// NewEntry makes it of an alert, Reader of the text in alerts.log.
type Entry struct {
	ID          string // "EPOCH.SEQ"
	Date        string // "2026 Oct 05 08:09:18"
	Location    string // host and location
	Groups      string // with the leading blank of the text form: " syslog,sshd,"
	Mail        bool
	Rule, Level int
	Description string

	SrcIP, DstIP, User string // "" = none
	SrcPort, DstPort   int    // 0 = none or not a number

	// File is the path of a changed file. The other attributes are texts as they stand in the entry, quotes included: "'abc'" for sums,
	// "'0' to '5'" for size and permissions, "'0', now it is '1000'" for owner and group.
	File                             string
	OldMD5, NewMD5, OldSHA1, NewSHA1 string
	Size, Owner, Group, Perm         string

	Lines []string // log lines, at most 20
}

// attributes are the lines of an integrity text that are no log lines.
var attributes = []struct {
	prefix string
	field  func(*Entry) *string
}{
	{"Old md5sum was: ", func(e *Entry) *string { return &e.OldMD5 }},
	{"New md5sum is : ", func(e *Entry) *string { return &e.NewMD5 }},
	{"Old sha1sum was: ", func(e *Entry) *string { return &e.OldSHA1 }},
	{"New sha1sum is : ", func(e *Entry) *string { return &e.NewSHA1 }},
	{"Size changed from ", func(e *Entry) *string { return &e.Size }},
	{"Ownership was ", func(e *Entry) *string { return &e.Owner }},
	{"Group ownership was ", func(e *Entry) *string { return &e.Group }},
	{"Permissions changed from ", func(e *Entry) *string { return &e.Perm }},
}

const changedPrefix = "Integrity checksum changed for: '"

// NewEntry makes the entry of an alert. It takes the fields from the alert itself, so no text of a log line can pass for one.
func NewEntry(a *event.Alert) *Entry {
	ev := a.Event
	f := &ev.Fields
	e := &Entry{ID: a.AlertID(), Date: string(AppendDate(nil, time.Unix(a.Epoch, 0))), Location: string(AppendHL(nil, ev)),
		Groups: " " + a.Rule.Groups, Mail: a.Rule.Mail, Rule: a.Rule.ID, Level: a.Rule.Level, Description: a.Rule.Description,
		SrcIP: f.Value(event.SrcIP), DstIP: f.Value(event.DstIP), User: f.Value(event.DstUser)}
	e.SrcPort, _ = strconv.Atoi(f.Value(event.SrcPort))
	e.DstPort, _ = strconv.Atoi(f.Value(event.DstPort))
	integrity := ev.Kind == event.KindSyscheck
	text := cut(ev.FullLog, logLimit(ev))
	if integrity {
		e.changed(text)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" && !(integrity && e.take(line)) {
			e.add(line)
		}
	}
	for _, p := range a.Previous {
		e.add(cut(p, maxLog))
	}
	return e
}

// changed takes the file name from the first line of an integrity text.
func (e *Entry) changed(text string) {
	if name, ok := strings.CutPrefix(text, changedPrefix); ok {
		name, _, _ = strings.Cut(name, "\n")
		e.File = strings.TrimSuffix(name, "'")
	}
}

// take moves an attribute line into its field.
func (e *Entry) take(line string) bool {
	for _, p := range attributes {
		if rest, ok := strings.CutPrefix(line, p.prefix); ok {
			*p.field(e) = rest
			return true
		}
	}
	return false
}

func (e *Entry) add(line string) {
	if len(e.Lines) < maxLines {
		e.Lines = append(e.Lines, line)
	}
}
