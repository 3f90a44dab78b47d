package pipeline

import (
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/output"
)

// Logs is the Recorder of a manager: it writes alerts, archives and the firewall log, offers alerts to the sinks and hands them to the
// active-response decision. Writes are gathered while events wait and done when none does, or when much has gathered.
type Logs struct {
	Files   *alert.Files
	Sinks   []*output.Runner
	Respond func(a *event.Alert) // nil = no responses
	Log     *olog.Log

	Custom      string // custom_alert_output, "" = the normal entry
	ArchiveText bool
	ArchiveJSON bool
	FirewallLog bool

	text, json, archive, archiveJSON, firewall []byte
	hour                                       int64
}

// flushSize is how many bytes may gather before they are written.
const flushSize = 256 << 10

// Record implements Recorder.
func (l *Logs) Record(ev *event.Event, a, extra *event.Alert) {
	if hour := ev.Received.Unix() / 3600; hour != l.hour {
		l.hour = hour
		l.flush()
		l.check(l.Files.Roll(ev.Received))
	}
	if extra != nil {
		l.write(extra)
	}
	if a != nil {
		if a.Rule.Log {
			l.write(a)
		}
		for _, s := range l.Sinks {
			s.Offer(a)
		}
		if l.Respond != nil {
			l.Respond(a)
		}
	}
	if l.ArchiveText && alert.Archived(ev) {
		l.archive = alert.AppendArchive(l.archive, ev)
	}
	if l.ArchiveJSON {
		l.archiveJSON = append(alert.AppendArchiveJSON(l.archiveJSON, ev, a), '\n')
	}
	if l.FirewallLog && ev.Type == event.TypeFirewall {
		l.firewall = alert.AppendFirewall(l.firewall, ev)
	}
	if len(l.text)+len(l.json)+len(l.archive)+len(l.archiveJSON) > flushSize {
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

// Idle implements Recorder.
func (l *Logs) Idle(time.Time) { l.flush() }

func (l *Logs) flush() {
	for _, w := range []struct {
		kind alert.Kind
		buf  *[]byte
	}{{alert.Alerts, &l.text}, {alert.AlertsJSON, &l.json}, {alert.Archives, &l.archive}, {alert.ArchivesJSON, &l.archiveJSON}, {alert.Firewall, &l.firewall}} {
		if len(*w.buf) > 0 {
			l.check(l.Files.Write(w.kind, *w.buf))
			*w.buf = (*w.buf)[:0]
		}
	}
}

func (l *Logs) check(err error) {
	if err != nil {
		l.Log.Every("write", time.Minute).Error("%v", err)
	}
}
