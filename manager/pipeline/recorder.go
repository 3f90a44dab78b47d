package pipeline

import (
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/output"
	"github.com/vedette-hids/vedette/rules"
)

// Logs is the Recorder of a manager: it writes alerts, archives and the firewall log, offers alerts to the sinks and hands them to the
// active-response decision. Writes are gathered while events wait and done when none does, or when much has gathered. What a file does not
// take stays in memory, in order, until it does.
type Logs struct {
	Files   Files
	Sinks   []*output.Runner
	Respond func(a *event.Alert) // nil = no responses
	Written func() error         // told whenever everything recorded so far is in the files; nil = nobody
	Log     *olog.Log

	Custom      string // custom_alert_output, "" = the normal entry
	ArchiveText bool
	ArchiveJSON bool
	FirewallLog bool

	text, json, archive, archiveJSON, firewall []byte
	rolled                                     int64 // second of the last look at the date
	behind                                     bool  // the last write failed
	failed                                     atomic.Uint64
}

// Files is what Logs needs of the daily files; alert.Files is it.
type Files interface {
	Enabled(k alert.Kind) bool
	Due(now time.Time) bool
	Roll(now time.Time) error
	Write(k alert.Kind, entries []byte) (int, error)
}

// Bytes that may gather before they are written, and that are kept when they cannot be written (a full disk) before Idle returns Full.
const (
	flushSize = 256 << 10
	keepSize  = 16 << 20
)

// Failed is the number of writes that failed so far.
func (l *Logs) Failed() uint64 { return l.failed.Load() }

// Record implements Recorder.
func (l *Logs) Record(ev *event.Event, out *rules.Outcome) {
	l.roll(ev.Received)
	if out.Extra != nil {
		l.write(out.Extra)
		l.offer(out.Extra)
	}
	if a := out.Alert; a != nil {
		if a.Rule.Log {
			l.write(a)
		}
		l.offer(a)
		if l.Respond != nil {
			l.Respond(a)
		}
	}
	if l.ArchiveText && alert.Archived(ev) {
		l.archive = alert.AppendArchive(l.archive, ev)
	}
	if l.ArchiveJSON {
		var r *event.Rule
		if out.Rule != nil && out.Rule.Level > 0 {
			r = &out.Rule.Rule
		}
		l.archiveJSON = append(alert.AppendArchiveJSON(l.archiveJSON, ev, r, out.Fired), '\n')
	}
	if l.FirewallLog && ev.Type == event.TypeFirewall {
		l.firewall = alert.AppendFirewall(l.firewall, ev)
	}
	if !l.behind && len(l.text)+len(l.json)+len(l.archive)+len(l.archiveJSON)+len(l.firewall) > flushSize {
		l.flush()
	}
}

func (l *Logs) write(a *event.Alert) {
	if l.Custom != "" {
		l.text = alert.AppendCustom(l.text, l.Custom, a)
	} else {
		l.text = alert.AppendText(l.text, a)
	}
	if l.Files.Enabled(alert.AlertsJSON) {
		l.json = append(alert.AppendJSON(l.json, a), '\n')
	}
}

func (l *Logs) offer(a *event.Alert) {
	for _, s := range l.Sinks {
		s.Offer(a)
	}
}

// roll opens the files of the next day when it begins; what was gathered belongs to the day before. A file of which something is still to
// be written stays open until it is.
func (l *Logs) roll(now time.Time) {
	if s := now.Unix(); s != l.rolled {
		l.rolled = s
		if l.Files.Due(now) {
			l.flush()
			l.check("roll", l.Files.Roll(now))
		}
	}
}

// Idle implements Recorder. It changes the day too, so that the ended day's files can be closed although nothing happens.
func (l *Logs) Idle(now time.Time) Progress {
	l.roll(now)
	switch kept := l.flush(); {
	case kept == 0:
		return Written
	case kept <= keepSize:
		return Behind
	}
	return Full
}

// flush writes what has gathered and returns how many bytes could not be written.
func (l *Logs) flush() (kept int) {
	for _, w := range []struct {
		kind alert.Kind
		buf  *[]byte
	}{{alert.Alerts, &l.text}, {alert.AlertsJSON, &l.json}, {alert.Archives, &l.archive}, {alert.ArchivesJSON, &l.archiveJSON}, {alert.Firewall, &l.firewall}} {
		if len(*w.buf) == 0 {
			continue
		}
		n, err := l.Files.Write(w.kind, *w.buf)
		l.check("write "+w.kind.String(), err)
		kept += len(*w.buf) - n
		*w.buf = rest(*w.buf, n)
	}
	l.behind = kept > 0
	if l.Written != nil && len(l.text)+len(l.json) == 0 {
		l.check("written", l.Written())
	}
	return kept
}

// rest is a buffer of which n bytes are done with; a large one that is empty now is given up.
func rest(buf []byte, n int) []byte {
	switch {
	case n == 0:
		return buf
	case n == len(buf) && cap(buf) > 4*flushSize:
		return nil
	}
	return append(buf[:0], buf[n:]...)
}

// check logs an error, one line a minute for each kind of work.
func (l *Logs) check(work string, err error) {
	if err != nil {
		l.failed.Add(1)
		l.Log.Every(work, time.Minute).Error("%v", err)
	}
}
