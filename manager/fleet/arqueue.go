package fleet

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/internal/localqueue"
)

// arRequest is one datagram of queue/alerts/ar (spec protocol.md, section 15).
type arRequest struct {
	name  string // agent named in the location
	all   bool
	byN   bool // to the agent of that name
	plain bool // no "execd " in front
	byID  bool
	id    string
	text  string
}

// arError is a request that cannot be parsed; Text is what message 1310 quotes.
type arError struct{ text string }

func (e *arError) Error() string { return "invalid active response message '" + e.text + "'" }

// parseAR reads "(<name>) <location> <flags> <id> <text>". A location that holds blanks is found by the flags behind it.
func parseAR(s string) (r arRequest, err error) {
	paren := strings.IndexByte(s, ')')
	if len(s) < 2 || paren < 1 {
		return r, &arError{s}
	}
	r.name = s[1:paren]
	bad := &arError{s[:paren]}
	if len(s) < paren+3 {
		return r, bad
	}
	flags, rest, ok := cutFlags(s[paren+2:])
	if !ok {
		return r, bad
	}
	r.all, r.byN, r.plain, r.byID = flags[0] == 'A', flags[1] == 'R', flags[1] == '!', flags[2] == 'S'
	if r.id, r.text, ok = strings.Cut(rest, " "); !ok || r.text == "" {
		return r, bad
	}
	return r, nil
}

// cutFlags finds the flags behind the location and returns them and what follows.
func cutFlags(s string) (flags, rest string, ok bool) {
	for at := 0; ; {
		i := strings.IndexByte(s[at:], ' ')
		if i < 0 {
			return "", "", false
		}
		at += i + 1
		if len(s) > at+4 && s[at+3] == ' ' && strings.IndexByte("AN", s[at]) >= 0 && strings.IndexByte("RN!", s[at+1]) >= 0 && strings.IndexByte("SN", s[at+2]) >= 0 {
			return s[at : at+3], s[at+4:], true
		}
	}
}

// ServeAR carries out a request as it stands on queue/alerts/ar, and logs why it could not.
func (f *Fleet) ServeAR(datagram string) { f.logAR(f.handleAR(datagram)) }

func (f *Fleet) handleAR(datagram string) error {
	r, err := parseAR(datagram)
	if err != nil {
		return err
	}
	text := r.text
	if len(text) > agentwire.MaxExec {
		text = text[:agentwire.MaxExec]
	}
	if !r.plain {
		text = agentwire.Exec + text
	}
	switch {
	case r.all:
		f.SendAll(text)
		return nil
	case r.byN:
		return f.SendName(r.name, text)
	case r.byID:
		return f.Send(r.id, text)
	}
	return nil
}

func (f *Fleet) openAR() (*net.UnixConn, error) {
	return localqueue.Listen(f.path("queue/alerts/ar"), f.o.ARGID)
}

// readAR serves queue/alerts/ar.
func (f *Fleet) readAR(ctx context.Context, q *net.UnixConn) {
	stop := context.AfterFunc(ctx, func() { q.SetReadDeadline(time.Unix(1, 0)) }) //nolint:errcheck // cannot fail on an open socket
	defer stop()
	defer localqueue.Close(q) //nolint:errcheck // nothing more can be done about it
	buf := make([]byte, agentwire.MaxPacket)
	for {
		n, err := q.Read(buf)
		if err != nil {
			if ctx.Err() == nil {
				f.log.Error("Reading the active response queue: %v", err)
			}
			return
		}
		text := buf[:n]
		if i := bytes.IndexByte(text, 0); i >= 0 {
			text = text[:i]
		}
		f.ServeAR(string(text))
	}
}

// logAR logs why a request was not carried out. An agent that is not connected is no error: nobody waits for it.
func (f *Fleet) logAR(err error) {
	var bad *arError
	switch {
	case err == nil:
	case errors.As(err, &bad):
		f.log.Every("1310"+bad.text, f.o.LogEvery).Code(1310, "WARN", "Invalid active response (execd) message '%s'.", bad.text)
	case errors.Is(err, ErrUnknownAgent):
		f.log.Every("1320"+err.Error(), f.o.LogEvery).Code(1320, "ERROR", "Agent '%s' not found.", quoted(err))
	default:
		f.log.Debug("%v", err)
	}
}

// quoted takes the agent out of an error of Send or SendName.
func quoted(err error) string {
	_, rest, _ := strings.Cut(err.Error(), "'")
	name, _, _ := strings.Cut(rest, "'")
	return name
}
