package activeresponse

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vedette-hids/vedette/event"
)

// MaxMessage is the largest message that the manager sends, in bytes; longer ones are cut (spec active-response.md, section 6).
const MaxMessage = 1023

// MaxDatagram is the largest message that is read from a queue, in bytes (section 9).
const MaxDatagram = 6143

// maxPieces is how many pieces behind the name become arguments (section 9).
const maxPieces = 29

// Errors of ParseExecd and ParseAR.
var (
	ErrNoName    = errors.New("no blank after the response name")      // message 1310
	ErrTooFew    = errors.New("fewer than two pieces after the name")  // "Invalid number of arguments."
	ErrMalformed = errors.New("malformed active response message")     // message 1310
	ErrTooLong   = errors.New("active response message is too long")   //
	ErrControl   = errors.New("control character in a response field") //
)

// ParseExecd reads the text `<name> <user> <srcip> <time>.<id> <rule id> <location> <filename>` that follows "execd " on the wire and
// stands in queue/alerts/execq. The location may hold blanks. Pieces that the text does not have are left empty. A blank behind an odd
// number of backslashes, as the manager writes it, does not end the file name.
func ParseExecd(text string) (event.Response, error) {
	o, err := parseOrder(text)
	return o.resp, err
}

// order is a response with its exact pieces, which become the arguments of the program.
type order struct {
	resp   event.Response
	pieces []string // user, srcip, alert id, rule id, words of the location, file name
}

func parseOrder(text string) (order, error) {
	if i := strings.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	if len(text) > MaxDatagram {
		return order{}, ErrTooLong
	}
	name, rest, ok := strings.Cut(text, " ")
	if !ok {
		return order{resp: event.Response{Name: text}}, ErrNoName
	}
	p := joinFilename(strings.Split(rest, " "))
	r := event.Response{Name: name}
	if len(p) < 2 {
		return order{resp: r}, ErrTooFew
	}
	for i, field := range []*string{&r.User, &r.IP, &r.AlertID, &r.RuleID} {
		if i < len(p) {
			*field = p[i]
		}
	}
	switch {
	case len(p) == 5:
		r.Location = p[4]
	case len(p) > 5:
		r.Location = strings.Join(p[4:len(p)-1], " ")
		r.Filename = p[len(p)-1]
	}
	return order{resp: r, pieces: p[:min(len(p), maxPieces)]}, nil
}

// joinFilename puts the pieces of an escaped file name together again.
func joinFilename(p []string) []string {
	n := len(p)
	if n == 0 || p[n-1] == "-" || p[n-1] == "(null)" {
		return p
	}
	first := n - 1
	for first > 5 && endsEscaped(p[first-1]) {
		first--
	}
	if first == n-1 {
		return p
	}
	return append(p[:first], strings.Join(p[first:], " "))
}

// endsEscaped reports an odd number of backslashes at the end.
func endsEscaped(s string) bool {
	n := len(s) - len(strings.TrimRight(s, `\`))
	return n%2 == 1
}

// newOrder makes the order of a typed response.
func newOrder(r event.Response) order {
	p := piecesOf(r)
	return order{resp: r, pieces: p[:min(len(p), maxPieces)]}
}

// piecesOf writes the fields behind the name in order; empty ones at the end are left out.
func piecesOf(r event.Response) []string {
	p := []string{r.User, r.IP, r.AlertID, r.RuleID}
	if r.Location != "" || r.Filename != "" {
		p = append(p, strings.Split(r.Location, " ")...)
	}
	switch {
	case r.Filename != "":
		p = append(p, r.Filename)
	case strings.Contains(r.Location, " "):
		p = append(p, "-") // else the last word of the location would be read as the file name
	}
	for len(p) > 2 && p[len(p)-1] == "" {
		p = p[:len(p)-1]
	}
	return p
}

// FormatExecd is the inverse of ParseExecd, cut to MaxMessage bytes. Empty fields at the end are left out.
func FormatExecd(r event.Response) string {
	return cut(r.Name + " " + strings.Join(piecesOf(r), " "))
}

func cut(s string) string {
	if len(s) > MaxMessage {
		return s[:MaxMessage]
	}
	return s
}

// filenameEscapes are the bytes that get a backslash in front of them in a message.
const filenameEscapes = "\\\"' \t`;><|#*[]{}&$!:()"

// EscapeFilename writes a file name for a message (section 6.1).
func EscapeFilename(name string) string {
	if !strings.ContainsAny(name, filenameEscapes) {
		return name
	}
	var b strings.Builder
	b.Grow(len(name) + 8)
	for i := range len(name) {
		if strings.IndexByte(filenameEscapes, name[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// AROrder is one message of queue/alerts/ar (spec protocol.md, section 15): what to send and to whom.
type AROrder struct {
	All       bool   // to every agent
	Origin    bool   // to the agent named AgentName
	Control   bool   // Text is a plain control message ("syscheck restart"), not a response
	Defined   bool   // to the agent with id AgentID
	AgentName string // name in the first parentheses
	AgentID   string // "" when the message has "(null)"
	Text      string // response text without "execd ", or the control message
}

// Payload is what goes to the agents behind the header "#!-".
func (o AROrder) Payload() string {
	if o.Control {
		return cut(o.Text)
	}
	return "execd " + cut(o.Text)
}

// ParseAR reads `(<name>) <location> <flags> <agent id> <text>`. Unlike OSSEC it finds the flags behind a location with blanks.
func ParseAR(text string) (AROrder, error) {
	if i := strings.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	if len(text) > MaxDatagram {
		return AROrder{}, ErrTooLong
	}
	end := strings.IndexByte(text, ')')
	if end < 1 || text[0] != '(' || end+2 > len(text) {
		return AROrder{}, ErrMalformed
	}
	o := AROrder{AgentName: text[1:end]}
	words := strings.Split(text[end+2:], " ")
	for i := 1; i+2 < len(words); i++ {
		f := words[i]
		if !isFlags(f) {
			continue
		}
		o.All, o.Origin, o.Control, o.Defined = f[0] == 'A', f[1] == 'R', f[1] == '!', f[2] == 'S'
		if words[i+1] != "(null)" {
			o.AgentID = words[i+1]
		}
		o.Text = strings.Join(words[i+2:], " ")
		return o, nil
	}
	return AROrder{}, fmt.Errorf("%w: no flags", ErrMalformed)
}

func isFlags(f string) bool {
	return len(f) == 3 && strings.IndexByte("AN", f[0]) >= 0 && strings.IndexByte("RN!", f[1]) >= 0 && strings.IndexByte("SN", f[2]) >= 0
}
