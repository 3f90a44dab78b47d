package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-hids/vedette/activeresponse"
	"github.com/vedette-hids/vedette/activeresponse/protect"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/atomicfile"
	"github.com/vedette-hids/vedette/internal/heap"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/supervise"
	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/manager/fleet"
	"github.com/vedette-hids/vedette/manager/listen"
	"github.com/vedette-hids/vedette/manager/monitor"
	"github.com/vedette-hids/vedette/manager/output"
	"github.com/vedette-hids/vedette/manager/pipeline"
	"github.com/vedette-hids/vedette/manager/ruleset"
	"github.com/vedette-hids/vedette/rootcheck/findings"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/syscheck/baseline"
)

// Options of New.
type Options struct {
	Root   string // install root
	Config string // path of ossec.conf; "" = etc/ossec.conf below Root
	Log    *olog.Logger
	// Local takes commands for the manager's own host; nil = it has no host component. It must not block.
	Local func(c event.Command)
}

// App is one manager. New checks everything and binds every socket, Run works, and both leave nothing behind when they end.
type App struct {
	o        Options
	cfg      *config.Config
	internal *config.Options
	log      *olog.Log // of ossec-analysisd
	remote   *olog.Log // of ossec-remoted

	ruleset  *rules.Ruleset
	pipe     *pipeline.Pipeline
	logs     *pipeline.Logs
	fim      *baseline.Store
	decider  *activeresponse.Decider
	keys     *keys.Store
	counters *keys.Counters
	fleet    *fleet.Fleet
	secure   *listen.Server // nil: no secure <remote>
	syslog   *listen.Syslog // nil: no syslog <remote>
	queue    *listen.LocalQueue
	enrol    *enrolment // nil: agents cannot enrol
	sinks    []*output.Runner
	days     *monitor.Monitor
	protect  *protect.Host

	cleanups []cleanup
}

// cleanup undoes one step of the start.
type cleanup struct {
	name string
	do   func() error
}

// onStop registers what undoes a step; the last one is undone first.
func (a *App) onStop(name string, do func() error) {
	a.cleanups = append(a.cleanups, cleanup{name, do})
}

func (a *App) unwind() {
	for i := len(a.cleanups) - 1; i >= 0; i-- {
		if err := a.cleanups[i].do(); err != nil {
			a.log.Error("closing %s: %v", a.cleanups[i].name, err)
		}
	}
	a.cleanups = nil
}

// New reads the configuration and starts everything up to the point where events can flow. All problems of all files come back in one
// error, a line each; nothing stays bound or open then.
func New(ctx context.Context, o Options) (*App, error) {
	if o.Config == "" {
		o.Config = filepath.Join(o.Root, "etc", "ossec.conf")
	}
	a := &App{o: o, log: o.Log.Prog("ossec-analysisd"), remote: o.Log.Prog("ossec-remoted")}
	l, problems := load(o.Root, o.Config)
	for _, p := range problems.Warnings() {
		if p.Pos.File != keyFile(o.Root) { // the fleet logs those
			o.Log.Line(p.LogLine())
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	a.cfg, a.internal, a.ruleset, a.keys = l.cfg, l.internal, l.ruleset, l.keys
	a.report(l)
	if err := a.start(ctx); err != nil {
		a.unwind()
		return nil, err
	}
	return a, nil
}

// Check reads the whole configuration of a manager without starting anything; it writes ar.conf, as the test mode of OSSEC does.
func Check(root, path string) config.Problems {
	if path == "" {
		path = filepath.Join(root, "etc", "ossec.conf")
	}
	l, problems := load(root, path)
	if problems.Err() == nil {
		if err := writeARConf(root, l.cfg); err != nil {
			problems = append(problems, config.Problem{Text: "ERROR: " + err.Error()})
		}
	}
	return problems
}

// Config is the configuration in use.
func (a *App) Config() *config.Config { return a.cfg }

// Responses is the record of the decisions on active responses.
func (a *App) Responses() *activeresponse.Journal { return a.decider.Journal() }

// Internal are the internal options in use.
func (a *App) Internal() *config.Options { return a.internal }

// report logs what was loaded, in OSSEC's words.
func (a *App) report(l loaded) {
	for _, f := range l.cfg.Rules.Decoders {
		a.log.Info("Reading decoder file %s.", f)
	}
	for _, f := range l.cfg.Rules.Rules {
		a.log.Info("Reading rules file: '%s'", filepath.Base(f))
	}
	for _, f := range l.cfg.Rules.Lists {
		a.log.Info("Reading loading the lists file: '%s'", f)
	}
	a.log.Info("Total rules enabled: '%d'", l.ruleset.Len())
	for _, ip := range l.cfg.Global.AllowIPs {
		a.log.Info("Allow listing IP: '%s'", ip.Text)
	}
	if n := len(l.cfg.Global.AllowIPs); n == 0 {
		a.log.Info("No IP in the allow list for active response.")
	} else {
		a.log.Info("%d IPs in the allow list for active response.", n)
	}
}

// start opens stores and sockets, in the order in which events will meet them backwards: what receives is ready before what sends.
func (a *App) start(ctx context.Context) error {
	if err := writeARConf(a.o.Root, a.cfg); err != nil {
		return err
	}
	recorder, err := a.outputs()
	if err != nil {
		return err
	}
	if err := a.analysis(recorder); err != nil {
		return err
	}
	return a.listeners(ctx)
}

func writeARConf(root string, cfg *config.Config) error {
	path := filepath.Join(root, "etc", "shared", "ar.conf")
	text := config.ARConf(cfg)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(text) {
		return nil
	}
	if err := atomicfile.Write(path, text, 0o440); err != nil {
		return fmt.Errorf("writing the list of active responses: %w", err)
	}
	return nil
}

func (a *App) analysis(recorder *pipeline.Logs) error {
	stores, err := ruleStores(a.o.Root, a.internal, a.log)
	if err != nil {
		return err
	}
	integrity := baseline.OptionsOf(a.cfg.Syscheck, a.log)
	integrity.Confirm = true
	fim, err := baseline.Open(filepath.Join(a.o.Root, "queue", "syscheck"), integrity)
	if err != nil {
		return fmt.Errorf("opening the integrity baseline: %w", err)
	}
	a.onStop("integrity baseline", fim.Close)
	a.fim, recorder.Written = fim, func() error { return errors.Join(fim.Written(), stores.written()) }
	known := findings.Open(filepath.Join(a.o.Root, "queue", "rootcheck"))
	known.SetLog(a.log)
	state := rules.NewState(a.ruleset, stores.Stores)
	a.pipe = pipeline.New(pipeline.Options{
		Ruleset: a.ruleset, State: state, FIM: fim, Findings: known,
		Hostinfo: stores.hostinfo, Recorder: recorder, Log: a.log, LocalHost: ruleset.Short(ruleset.Hostname()),
	})
	return nil
}

// disconnects takes events about agents that fell silent; nil when nobody wants them.
func (a *App) disconnects() listen.Deliver {
	if !a.internal.Bool("monitord.monitor_agents") {
		return nil
	}
	return a.deliver
}

func (a *App) listeners(ctx context.Context) error {
	var err error
	a.counters, err = keys.OpenCounters(filepath.Join(a.o.Root, "queue", "rids"),
		keys.CountersOptions{Manager: true, NoVerify: !a.internal.Bool("remoted.verify_msg_id"), OnReset: func(k *keys.Key, from, to keys.Counter) {
			a.remote.Warn("Message counter of agent '%s' (%s) went back from %v to %v: it was restored or installed again.", k.Name, k.ID, from, to)
		}})
	if err != nil {
		return err
	}
	a.onStop("message counters", a.counters.Close)
	a.queue, err = listen.NewLocalQueue(listen.LocalOptions{Path: filepath.Join(a.o.Root, "queue", "ossec", "queue"), Deliver: a.deliver, Log: a.log})
	if err != nil {
		return err
	}
	a.onStop("local queue", func() error { a.queue.Close(); return nil })
	a.fleet, err = fleet.New(fleet.Options{
		Root: a.o.Root, Keys: a.keys, Forget: a.counters.Forget, Deliver: a.disconnects(), Log: a.o.Log, ARQueue: true,
		Interval: time.Duration(a.internal.Int("monitord.notify_time")) * time.Second,
	})
	if err != nil {
		return err
	}
	a.secure, err = listen.New(ctx, listen.Options{
		Remotes: a.cfg.Remotes, Keys: a.keys, Counters: tellingCounters{a.counters, a.remote}, Deliver: a.deliver, Settled: a.pipe.Settled, Control: a.fleet, Refresh: a.fleet.Refresh, Log: a.remote,
	})
	switch {
	case errors.Is(err, listen.ErrNoRemote):
	case err != nil:
		return err
	default:
		a.fleet.Attach(a.secure)
		a.onStop("secure listener", func() error { a.secure.Close(); return nil })
	}
	if a.enrol, err = a.openEnrolment(ctx); err != nil {
		return err
	}
	if a.enrol != nil {
		a.onStop("enrolment", a.enrol.Close)
	}
	a.syslog, err = listen.NewSyslog(ctx, listen.SyslogOptions{Remotes: a.cfg.Remotes, Deliver: a.deliver, Log: a.remote})
	if err != nil && !errors.Is(err, listen.ErrNoSyslog) {
		return err
	}
	return nil
}

func (a *App) deliver(ctx context.Context, ev *event.Event) {
	if err := a.pipe.Submit(ctx, ev); err != nil {
		a.log.Every("submit", time.Minute).Error("event of %s lost: %v", ev.Location, err)
	}
}

// Local is where the manager's own host component sends its messages.
func (a *App) Local() event.Sink {
	return event.SinkFunc(func(ctx context.Context, m event.Message) error {
		return a.pipe.Submit(ctx, event.NewEvent(m, time.Now()))
	})
}

// Run works until ctx ends: first nothing more is taken in, then what was taken in is analysed, written and forwarded.
func (a *App) Run(ctx context.Context) error {
	defer a.unwind()
	heap.Pace(ctx, heap.Goal)
	// Receivers end with ctx; the pipeline ends when they have, the outputs when the pipeline has.
	analysis, endAnalysis := context.WithCancel(context.WithoutCancel(ctx))
	defer endAnalysis()
	outputs, endOutputs := context.WithCancel(context.WithoutCancel(ctx))
	defer endOutputs()
	pipeDone, sinksDone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(pipeDone)
		supervise.Run(analysis, a.log, supervise.Part{Name: "analysis", Run: a.pipe.Run})
	}()
	go func() {
		defer close(sinksDone)
		var parts []supervise.Part
		for _, s := range a.sinks {
			parts = append(parts, supervise.Part{Name: s.Name(), Run: func(ctx context.Context) error { return s.Run(ctx, sinkGrace) }})
		}
		supervise.Run(outputs, a.log, parts...)
	}()
	a.repeatAlerts(ctx)
	a.remote.Info("Started (pid: %d).", os.Getpid())
	a.log.Info("Started (pid: %d).", os.Getpid())
	supervise.Run(ctx, a.remote, a.receivers()...)
	a.log.Info("Shutting down analysisd pipeline.")
	endAnalysis()
	<-pipeDone
	endOutputs()
	<-sinksDone
	return nil
}

// sinkGrace is how long a stop waits for alerts to be forwarded.
const sinkGrace = 5 * time.Second

func (a *App) receivers() []supervise.Part {
	parts := []supervise.Part{
		{Name: "local queue", Run: a.queue.Run},
		{Name: "fleet", Run: a.fleet.Run},
		{Name: "message counters", Run: func(ctx context.Context) error { a.flushCounters(ctx); return nil }},
		{Name: "protected addresses", Run: func(ctx context.Context) error { a.protect.Run(ctx, time.Minute); return nil }},
		{Name: "monitor", Run: a.monitor},
		{Name: "daily files", Run: a.days.Run},
		{Name: "state file", Run: a.stateFile().Run},
	}
	if a.enrol != nil {
		parts = append(parts, supervise.Part{Name: "enrolment", Run: a.enrol.Run})
	}
	if a.secure != nil {
		parts = append(parts, supervise.Part{Name: "secure listener", Run: a.secure.Run})
	}
	if a.syslog != nil {
		parts = append(parts, supervise.Part{Name: "syslog listener", Run: a.syslog.Run})
	}
	return parts
}

// flushCounters stores message counters now and then; the last time is when they are closed, after the listeners have ended.
func (a *App) flushCounters(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := a.counters.Flush(); err != nil {
				a.remote.Every("counters", time.Minute).Error("storing message counters: %v", err)
			}
		}
	}
}

// Reload reads the configuration anew. A bad one changes nothing and comes back as the error; a good one brings its rules, decoders and
// lists into use at once. What needs new sockets waits for a restart.
func (a *App) Reload(ctx context.Context) error {
	l, problems := load(a.o.Root, a.o.Config)
	if err := problems.Err(); err != nil {
		return fmt.Errorf("reload refused, the old configuration stays in use:\n%w", err)
	}
	if err := a.pipe.Swap(ctx, l.ruleset); err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	a.log.Info("Rules reloaded, '%d' enabled.", l.ruleset.Len())
	return nil
}

// loaded is everything that is read before anything starts.
type loaded struct {
	cfg      *config.Config
	internal *config.Options
	ruleset  *rules.Ruleset
	keys     *keys.Store
}

// load reads all files of a manager and gathers the problems of all of them.
func load(root, path string) (loaded, config.Problems) {
	var l loaded
	var all config.Problems
	var ps config.Problems
	l.internal, ps = config.LoadOptions(root)
	all = append(all, ps...)
	l.cfg, ps = config.Load(root, path)
	all = append(all, ps.For(config.ManagerPrograms)...)
	if l.cfg == nil {
		return l, all
	}
	all = append(all, checkAuth(root, l.cfg.Auth)...)
	src, ps := rules.ReadSources(root, l.cfg.Rules)
	all = append(all, ps...)
	l.ruleset, ps = rules.Load(src, ruleOptions(l.cfg, l.internal))
	all = append(all, ps...)
	var err error
	l.keys, err = keys.Open(keyFile(root))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		all = append(all, config.Problem{Pos: config.Position{File: keyFile(root)}, Text: "ERROR: " + err.Error()})
	}
	for _, p := range l.keys.Problems() {
		all = append(all, config.Problem{Pos: config.Position{File: l.keys.Path(), Line: p.Line}, Code: p.Code, Text: p.Text,
			Hint: "Expected: <id> <name> <ip> <key>.", Warning: p.Warning})
	}
	return l, all
}

func keyFile(root string) string { return filepath.Join(root, "etc", "client.keys") }

// ruleOptions are the settings of the rule engine; alerts that nothing logs or answers get no number.
func ruleOptions(cfg *config.Config, in *config.Options) rules.Options {
	o := ruleset.EngineOptions(cfg, in)
	o.Responds = func(*event.Rule) bool { return len(cfg.ActiveResponses) > 0 }
	return o
}

// Close undoes New for a manager that will not run.
func (a *App) Close() { a.unwind() }
