package event

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind is the one-byte type of a queue message (spec protocol.md, section 14).
type Kind byte

// The kinds that collectors send.
const (
	KindLog        Kind = '1' // line of a local file
	KindSyslog     Kind = '2' // line received by the syslog listener
	KindHostinfo   Kind = '3' // nmap host information
	KindSyscheck   Kind = '8' // file integrity
	KindRootcheck  Kind = '9' // rootkit and policy checks, scan markers
	KindMySQL      Kind = 'a'
	KindPostgreSQL Kind = 'b'
)

// MaxMessage is the largest queue message in bytes, all parts included (spec protocol.md, section 24).
const MaxMessage = 6143

// Message is what a host component hands to the network half: one datagram `<kind>:<location>:<text>` of the local queue.
type Message struct {
	Kind     Kind
	Location string // source on the host: a path, a command, "syscheck", "rootcheck"; never contains the agent's name
	Text     string
}

// String gives the queue form of the message, cut to MaxMessage bytes.
func (m Message) String() string {
	s := string(rune(m.Kind)) + ":" + m.Location + ":" + m.Text
	if len(s) > MaxMessage {
		s = s[:MaxMessage]
	}
	return s
}

// Sink takes messages. Send blocks while the receiver is busy (a slow manager pushes back instead of losing) and returns an
// error only when ctx ends or the sink is closed for good.
type Sink interface {
	Send(ctx context.Context, m Message) error
}

// SinkFunc lets a function be a Sink.
type SinkFunc func(ctx context.Context, m Message) error

// Send calls f.
func (f SinkFunc) Send(ctx context.Context, m Message) error { return f(ctx, m) }

// Agent is the origin of an event that came through the secure channel.
type Agent struct {
	ID   string // "001"
	Name string
	IP   string // the ip field of client.keys without prefix length: "any", "10.0.0.5", "2001:db8::5"
}

// Label is the agent's textual form "(name) ip", as it stands in locations and file names.
func (a *Agent) Label() string { return "(" + a.Name + ") " + a.IP }

// ErrFormat is returned for a queue message that cannot be split (log message 1106).
var ErrFormat = errors.New("string not correctly formatted")

// NewEvent makes the event of a message of the manager's own host, or of a syslog sender, that arrived at received. Control bytes of the
// location become blanks.
func NewEvent(m Message, received time.Time) *Event {
	loc := oneLine(m.Location)
	return &Event{Kind: m.Kind, Location: loc, Source: loc, Raw: m.Text, Received: received}
}

// FromAgent makes the event of a message "<location>:<text>" that an agent sent. The text is cut where the queue form of the event, with the
// agent's name in its location, would exceed MaxMessage; control bytes of the location become blanks. It gives nil for a message without colon, or whose location has a ".." component.
// All texts of the event share one piece of memory.
func FromAgent(kind Kind, agent *Agent, message []byte, received time.Time) *Event {
	whole := "(" + agent.Name + ") " + agent.IP + "->" + string(message)
	from := len("() ->") + len(agent.Name) + len(agent.IP)
	n := strings.IndexByte(whole[from:], ':')
	if n < 0 || climbs(whole[from:from+n]) {
		return nil
	}
	loc, text := whole[:from+n], whole[from+n+1:]
	if over := len("1:") + len(whole) - MaxMessage; over > 0 {
		text = text[:max(0, len(text)-over)]
	}
	source := oneLine(loc[from:])
	if source != loc[from:] {
		loc = loc[:from] + source
	}
	return &Event{Kind: kind, Agent: agent, Location: loc, Source: source, Raw: text, Received: received}
}

// ParseQueue splits the text of one queue datagram `<kind>:<location>:<text>` (spec decoders.md, section 2.1). A location that
// begins with "(" is an agent's: its name and address are taken from it, its id stays empty. It refuses messages under 4 bytes, without
// separators, or with a ".." component in the location, with an error that wraps ErrFormat. Control bytes of the location become blanks.
func ParseQueue(s string, received time.Time) (*Event, error) {
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	if len(s) > MaxMessage {
		s = s[:MaxMessage]
	}
	if len(s) < 4 || s[1] != ':' {
		return nil, fmt.Errorf("%w: too short or no type", ErrFormat)
	}
	rest := s[2:]
	from := 0
	if rest[0] == '(' {
		arrow := strings.Index(rest, "->")
		if arrow < 0 {
			return nil, fmt.Errorf("%w: agent location without '->'", ErrFormat)
		}
		from = arrow
	}
	colon := strings.IndexByte(rest[from:], ':')
	if colon < 0 {
		return nil, fmt.Errorf("%w: no ':' after the location", ErrFormat)
	}
	loc := oneLine(rest[:from+colon])
	if climbs(loc) {
		return nil, fmt.Errorf("%w: location with a '..' component", ErrFormat)
	}
	ev := &Event{Kind: Kind(s[0]), Location: loc, Source: loc, Raw: rest[from+colon+1:], Received: received}
	if loc != "" && loc[0] == '(' {
		ev.Source = loc[from+2:]
		ev.Agent = parseLabel(loc[:from])
	}
	return ev, nil
}

// parseLabel reads "(name) ip"; a label of another shape gives an agent whose name is the whole text.
func parseLabel(label string) *Agent {
	name, ip, ok := strings.Cut(label[1:], ") ")
	if !ok {
		return &Agent{Name: strings.TrimSuffix(label[1:], ")")}
	}
	return &Agent{Name: name, IP: ip}
}

// oneLine replaces the control bytes of a location by blanks. It is written into files of lines (alerts.log, fts-queue), where a file name
// with a line break would forge entries. They are replaced, not deleted, so that no ".." component can come about.
func oneLine(loc string) string {
	isControl := func(r rune) bool { return r < ' ' || r == 0x7f }
	if strings.IndexFunc(loc, isControl) < 0 {
		return loc
	}
	b := []byte(loc)
	for i, c := range b {
		if isControl(rune(c)) {
			b[i] = ' '
		}
	}
	return string(b)
}

// climbs reports whether a location has a ".." path component.
func climbs(loc string) bool {
	return strings.Contains(loc, "..") &&
		(loc == ".." || strings.HasPrefix(loc, "../") || strings.HasSuffix(loc, "/..") || strings.Contains(loc, "/../"))
}
