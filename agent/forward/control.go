package forward

import (
	"bytes"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
)

// payload acts on a message of the manager (spec protocol.md, section 11).
func (f *Forwarder) payload(payload []byte) {
	text, ok := agentwire.Control(payload)
	if !ok {
		if !f.files.isOpen() {
			f.log.Every("no action", f.logEvery()).Warn("Unknown message received. No action defined.")
			return
		}
		f.lastValid = time.Now()
		f.files.data(payload)
		return
	}
	f.lastValid = time.Now()
	switch s := string(text); {
	case s == agentwire.Ack:
		f.log.Debug("Agent notification acknowledged.")
		f.acked = true
		f.answered()
	case strings.HasPrefix(s, agentwire.Exec):
		f.exec(s[len(agentwire.Exec):])
	case s == agentwire.Rescan:
		f.log.Debug("The manager asks for a scan.")
		f.command(event.Command{Rescan: true})
	case strings.HasPrefix(s, agentwire.FileBegin):
		f.files.begin(text)
	case s == agentwire.FileEnd:
		f.files.end()
	case s == agentwire.Bye:
		f.log.Debug("The manager says that it stops.")
		f.gap = true
		f.doubt(time.Now())
	default:
		if r, ok := agentwire.ParseReceipt(text); ok {
			f.receipt(&r)
			return
		}
		if indexes, ok := agentwire.ParseAgain(text); ok {
			f.sendAgain(indexes)
			return
		}
		f.files.stop()
		f.log.Every("unknown message", f.logEvery()).Warn("Unknown message received from server.")
	}
}

// exec passes a response request on, unless responses are switched off.
func (f *Forwarder) exec(text string) {
	if f.o.Client.DisableAR {
		return
	}
	c, err := agentwire.ParseExec(text)
	if err != nil {
		f.log.Every("1310", f.logEvery()).Code(1310, "WARN", "Invalid active response (execd) message '%s'.", text)
		return
	}
	f.log.Debug("Command of the manager: %s", text)
	f.command(c)
}

func (f *Forwarder) command(c event.Command) {
	select {
	case f.commands <- c:
	default:
		f.log.Every("commands", time.Minute).Error("A command of the manager was dropped: the host component does not keep up.")
	}
}

// untilNUL cuts a payload at its first NUL byte, where OSSEC's text ends.
func untilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}
