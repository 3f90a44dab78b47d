package pipeline

import (
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/output"
	"github.com/vedette-hids/vedette/rules"
)

// Logs is the Recorder of a manager: it writes alerts, archives and the firewall log, offers alerts to the sinks and hands them to the
// active-response decision. Writes are gathered while events wait and done when none does, or when much has gathered.
type Logs struct {
	Files   *alert.Files
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
}

// Bytes that may gather before they are written, and that are kept when they cannot be written (a full disk).
const (
	flushSize = 256 << 10
	keepSize  = 16 << 20
)

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
	if len(l.text)+len(l.json)+len(l.archive)+len(l.archiveJSON)+len(l.firewall) > flushSize {
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

// roll opens the files of the next day when it begins; what was gathered belongs to the day before.
func (l *Logs) roll(now time.Time) {
	if s := now.Unix(); s != l.rolled {
		l.rolled = s
		if l.Files.Due(now) {
			l.flush()
			l.check(l.Files.Roll(now))
		}
	}
}

// Idle implements Recorder. It changes the day too, so that the ended day's files can be closed although nothing happens.
func (l *Logs) Idle(now time.Time) {
	l.roll(now)
	l.flush()
}

func (l *Logs) flush() {
	for _, w := range []struct {
		kind alert.Kind
		buf  *[]byte
	}{{alert.Alerts, &l.text}, {alert.AlertsJSON, &l.json}, {alert.Archives, &l.archive}, {alert.ArchivesJSON, &l.archiveJSON}, {alert.Firewall, &l.firewall}} {
		if len(*w.buf) == 0 {
			continue
		}
		n, err := l.Files.Write(w.kind, *w.buf)
		l.check(err)
		if err != nil && len(*w.buf)-n <= keepSize {
			*w.buf = append((*w.buf)[:0], (*w.buf)[n:]...)
			continue
		}
		if err != nil {
			l.Log.Error("%d bytes of %s lost: they cannot be written and no more can be kept.", len(*w.buf)-n, w.kind)
		}
		*w.buf = (*w.buf)[:0]
	}
	if l.Written != nil && len(l.text)+len(l.json) == 0 {
		l.check(l.Written())
	}
}

func (l *Logs) check(err error) {
	if err != nil {
		l.Log.Every("write", time.Minute).Error("%v", err)
	}
}
