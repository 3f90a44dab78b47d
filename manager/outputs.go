package manager

import (
	"errors"
	"path/filepath"
	"runtime"
	"time"

	"github.com/vedette-hids/vedette/activeresponse"
	"github.com/vedette-hids/vedette/activeresponse/protect"
	"github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/monitor"
	"github.com/vedette-hids/vedette/manager/output"
	"github.com/vedette-hids/vedette/manager/output/mail"
	"github.com/vedette-hids/vedette/manager/output/sql"
	"github.com/vedette-hids/vedette/manager/output/syslog"
	"github.com/vedette-hids/vedette/manager/pipeline"
	"github.com/vedette-hids/vedette/manager/ruleset"
)

// outputs opens the alert files and makes everything that alerts go to.
func (a *App) outputs() (*pipeline.Logs, error) {
	g := &a.cfg.Global
	files, err := alert.OpenFiles(a.o.Root, alert.Options{AlertsJSON: g.JSONOut, ArchivesJSON: g.LogAllJSON}, time.Now())
	if err != nil {
		return nil, err
	}
	a.onStop("alert files", files.Close)
	full := ruleset.Hostname()
	log := a.o.Log.Prog("ossec-csyslogd")
	for _, c := range a.cfg.SyslogOutputs {
		s, err := syslog.New(c, syslog.Options{Hostname: full, Version: version.Compat, Exact: g.OssecExact, Log: log})
		if err != nil {
			return nil, err
		}
		a.sinks = append(a.sinks, output.NewRunner(s, log))
	}
	if err := a.mail(); err != nil {
		return nil, err
	}
	if err := a.database(full); err != nil {
		return nil, err
	}
	a.protect = protect.NewHost(protect.Gather)
	a.decider = activeresponse.NewDecider(a.cfg, activeresponse.DeciderOptions{Host: a.protect, Log: a.log})
	a.logs = &pipeline.Logs{
		Files: files, Sinks: a.sinks, Respond: a.respond, Log: a.log, Custom: g.CustomAlertOutput,
		ArchiveText: g.LogAll, ArchiveJSON: g.LogAllJSON, FirewallLog: a.internal.Bool("analysisd.log_fw"),
	}
	return a.logs, nil
}

// mail makes the sink for mail alerts, and the monitor with what mails its reports.
func (a *App) mail() error {
	log := a.o.Log.Prog("ossec-maild")
	opts := mail.Options{
		Global: &a.cfg.Global, Granular: a.cfg.EmailAlerts, NoGroup: !a.internal.Bool("maild.groupping"),
		FullTitle: a.internal.Bool("maild.full_subject"), Lenient: !a.internal.Bool("maild.strict_checking"), Log: log,
	}
	mailer, err := mail.New(opts)
	switch {
	case errors.Is(err, mail.ErrDisabled):
		log.Info("E-Mail notification disabled. Clean Exit.")
	case err != nil:
		return err
	default:
		a.sinks = append(a.sinks, output.NewRunner(mailer, log))
	}
	days := monitor.Options{
		Root: a.o.Root, DayWait: time.Duration(a.internal.Int("monitord.day_wait")) * time.Second,
		NoCompress: !a.internal.Bool("monitord.compress"), NoSums: !a.internal.Bool("monitord.sign"),
		Reports: a.cfg.Reports, Log: a.o.Log.Prog("ossec-monitord"),
	}
	if reporter, err := mail.NewReporter(opts); err == nil {
		days.Mail = reporter
	}
	a.days = monitor.New(days)
	return nil
}

// database makes the sink of <database_output>.
func (a *App) database(hostname string) error {
	if a.cfg.Database == nil {
		return nil
	}
	log := a.o.Log.Prog("ossec-dbd")
	opts := sql.Options{Config: a.cfg.Database, Hostname: hostname, Version: version.Compat, Information: runtime.GOOS + " " + runtime.GOARCH, Log: log}
	for _, r := range a.ruleset.Rules() {
		opts.Rules = append(opts.Rules, &r.Rule)
	}
	s, err := sql.New(opts)
	if err != nil {
		return err
	}
	a.sinks = append(a.sinks, output.NewRunner(s, log))
	return nil
}

// received counts what came over the network, and what was refused or lost of it.
func (a *App) received() (list []monitor.Counter) {
	if a.secure != nil {
		st := a.secure.Stats()
		list = append(list, monitor.Counter{Name: "remoted_packets", Value: st.Packets}, monitor.Counter{Name: "remoted_events", Value: st.Events},
			monitor.Counter{Name: "remoted_controls", Value: st.Controls}, monitor.Counter{Name: "remoted_refused", Value: st.Refused},
			monitor.Counter{Name: "remoted_format", Value: st.Format}, monitor.Counter{Name: "remoted_wrong_key", Value: st.WrongKey},
			monitor.Counter{Name: "remoted_duplicate", Value: st.Duplicate}, monitor.Counter{Name: "remoted_unknown_agent", Value: st.UnknownAgent},
			monitor.Counter{Name: "remoted_wrong_address", Value: st.WrongAddress}, monitor.Counter{Name: "remoted_malformed", Value: st.Malformed},
			monitor.Counter{Name: "remoted_kernel_lost", Value: st.KernelLost})
	}
	if a.syslog != nil {
		messages, refused, tooLong, lost := a.syslog.Counts()
		list = append(list, monitor.Counter{Name: "syslog_received", Value: messages}, monitor.Counter{Name: "syslog_refused", Value: refused},
			monitor.Counter{Name: "syslog_too_long", Value: tooLong}, monitor.Counter{Name: "syslog_kernel_lost", Value: lost})
	}
	return list
}

// stateFile is the part that writes the counters of the listeners, the analysis and the outputs.
func (a *App) stateFile() *monitor.State {
	return &monitor.State{
		Path:     filepath.Join(a.o.Root, "var", "run", "ossec-analysisd.state"),
		Interval: time.Duration(a.internal.Int("analysisd.state_interval")) * time.Second,
		Log:      a.log,
		Counters: func() []monitor.Counter {
			c := a.pipe.Counters()
			list := []monitor.Counter{
				{Name: "events_received", Value: c.Received}, {Name: "events_dropped", Value: c.Dropped}, {Name: "events_invalid", Value: c.Invalid},
				{Name: "events_waiting", Value: uint64(a.pipe.Waiting())}, {Name: "alerts", Value: c.Alerts},
				{Name: "events_unwritten", Value: c.Unwritten}, {Name: "events_lost", Value: c.Lost},
				{Name: "writes_failed", Value: a.logs.Failed()}, {Name: "analysis_paused_seconds", Value: c.Pauses},
			}
			list = append(list, a.received()...)
			for _, s := range a.sinks {
				sent, lost := s.Counts()
				list = append(list, monitor.Counter{Name: "sent: " + s.Name(), Value: sent}, monitor.Counter{Name: "lost: " + s.Name(), Value: lost})
			}
			return list
		},
	}
}
