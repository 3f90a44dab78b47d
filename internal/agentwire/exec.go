package agentwire

import (
	"errors"
	"strings"

	"github.com/vedette-hids/vedette/event"
)

// ErrExec is returned for a response request that cannot be understood (log message 1310).
var ErrExec = errors.New("invalid active response (execd) message")

// restartName is the response that restarts the agent; it always exists and is no entry of ar.conf's list.
const restartName = "restart-ossec0"

// ExecText gives the text of a response request as it travels after "#!-execd " (spec active-response.md, section 6.3), cut to MaxExec
// bytes.
func ExecText(r *event.Response) string {
	s := strings.Join([]string{r.Name, dash(r.User), dash(r.IP), r.AlertID, r.RuleID, r.Location, dash(r.Filename)}, " ")
	if len(s) > MaxExec {
		s = s[:MaxExec]
	}
	return s
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// ParseExec reads a response request. Locations of agents hold a blank, so the pieces are taken from both ends: the first five are fixed,
// the last one is the file name, what lies between is the location. Missing pieces stay "" (user, address and file: "-").
func ParseExec(text string) (event.Command, error) {
	if i := strings.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	if len(text) > MaxExec {
		text = text[:MaxExec]
	}
	f := strings.Split(text, " ")
	if len(f) < 3 || f[0] == "" {
		return event.Command{}, ErrExec
	}
	if f[0] == restartName {
		return event.Command{Restart: true}, nil
	}
	r := &event.Response{Name: f[0], User: dash(f[1]), IP: dash(f[2]), Filename: "-"}
	if len(f) > 3 {
		r.AlertID = f[3]
	}
	if len(f) > 4 {
		r.RuleID = f[4]
	}
	if len(f) > 5 {
		cut := filenameStart(f)
		r.Location = strings.Join(f[5:cut], " ")
		if cut < len(f) {
			r.Filename = unescape(strings.Join(f[cut:], " "))
		}
	}
	if r.Filename == "(null)" || r.Filename == "" {
		r.Filename = "-"
	}
	return event.Command{Respond: r}, nil
}

// filenameStart finds the first piece of the file name: the last piece, and those before it whose blank is escaped.
func filenameStart(f []string) int {
	i := len(f) - 1
	if i == 5 {
		return len(f) // a location only
	}
	for i > 6 && escapesNext(f[i-1]) {
		i--
	}
	return i
}

func escapesNext(s string) bool {
	n := 0
	for n < len(s) && s[len(s)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// unescape removes the backslashes that the sender put before special characters: the name is an argument here, never part of a
// shell line.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
