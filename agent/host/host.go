// Package host is the host component of an agent, and of a manager for its own host: log collection, file integrity, rootkit checks and
// the executor of active responses. It meets the network half at two places only: events go down into Options.Sink, commands come up
// through Command.
package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-hids/vedette/activeresponse"
	"github.com/vedette-hids/vedette/activeresponse/protect"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/supervise"
	"github.com/vedette-hids/vedette/logcollector"
	"github.com/vedette-hids/vedette/rootcheck"
	"github.com/vedette-hids/vedette/syscheck"
)

// Options of New. Root, Config and Sink are required.
type Options struct {
	Root     string
	Config   *config.Config
	Internal *config.Options
	Log      *olog.Logger
	Sink     event.Sink
	Managers []string                // addresses or names of the managers, which no response may block
	Restart  func()                  // carries out event.Command.Restart; nil = ignored
	Journal  *activeresponse.Journal // shared with the manager's decisions on its own host; nil: one of its own
}

// Host is the host component of this machine.
type Host struct {
	o        Options
	log      *olog.Log
	logs     *logcollector.Collector
	fim      *syscheck.Monitor
	rootkits *rootcheck.Scanner // nil: disabled
	settle   time.Duration      // from the start to the first rootcheck scan
	exec     *activeresponse.Executor
	protect  *protect.Host
	rescan   chan struct{}
}

// New prepares all parts; nothing is read or watched before Run.
func New(o Options) (*Host, error) {
	h := &Host{o: o, log: o.Log.Prog("ossec-syscheckd"), rescan: make(chan struct{}, 1), settle: rootkitDelay}
	var err error
	h.logs, err = logcollector.New(o.Config.Localfiles, o.Sink, o.Log.Prog("ossec-logcollector"), logcollector.Options{
		PositionFile: filepath.Join(o.Root, "queue", "ossec", "log-positions.json"),
		Poll:         time.Duration(o.Internal.Int("logcollector.loop_timeout")) * time.Second,
	})
	if err != nil {
		return nil, err
	}
	if err := h.integrity(); err != nil {
		return nil, err
	}
	if err := h.rootkit(); err != nil {
		return nil, err
	}
	h.protect = protect.NewHost(protect.Gather, o.Managers...)
	h.exec = activeresponse.NewExecutor(activeresponse.ExecutorOptions{
		Root: o.Root, Config: o.Config.AR, Log: o.Log.Prog("ossec-execd"), Host: h.protect, Allow: protect.NewList(&o.Config.Global),
		Restart: h.restart, Journal: o.Journal,
	})
	return h, nil
}

func (h *Host) integrity() error {
	var err error
	h.fim, err = syscheck.New(h.o.Config.Syscheck, h.o.Sink, h.log, syscheck.Options{
		Root:       h.o.Root,
		Sleep:      time.Duration(h.o.Internal.Int("syscheck.sleep")) * time.Second,
		SleepAfter: h.o.Internal.Int("syscheck.sleep_after"),
		OnRescan:   h.askRootcheck,
	})
	if err != nil {
		return fmt.Errorf("starting file integrity: %w", err)
	}
	return nil
}

func (h *Host) rootkit() error {
	cfg := h.o.Config.Rootcheck
	if cfg == nil {
		cfg = config.DefaultRootcheck()
	}
	log := h.o.Log.Prog("rootcheck")
	if cfg.Disabled {
		log.Text("Rootcheck disabled. Exiting.")
		h.log.Warn("Rootcheck module disabled.")
		return nil
	}
	var err error
	h.rootkits, err = rootcheck.New(cfg, h.o.Sink, log, rootcheck.Options{
		Root: h.o.Root, Sleep: time.Duration(h.o.Internal.Int("rootcheck.sleep")) * time.Second,
	})
	if err != nil {
		return fmt.Errorf("starting rootcheck: %w", err)
	}
	return nil
}

// Run works until ctx ends.
func (h *Host) Run(ctx context.Context) error {
	parts := []supervise.Part{
		{Name: "log collection", Run: h.logs.Run},
		{Name: "active response", Run: h.exec.Run},
		{Name: "response queue", Run: h.responseQueue},
		{Name: "response control", Run: h.responseControl},
		{Name: "protected addresses", Run: func(ctx context.Context) error { h.protect.Run(ctx, time.Minute); return nil }},
	}
	parts = append(parts, supervise.Part{Name: "file integrity", Run: h.fim.Run})
	if h.rootkits != nil {
		parts = append(parts, supervise.Part{Name: "rootcheck", Run: h.rootkitScans})
	}
	for _, prog := range []string{"ossec-execd", "ossec-logcollector", "ossec-syscheckd"} {
		h.o.Log.Prog(prog).Info("Started (pid: %d).", os.Getpid())
	}
	supervise.Run(ctx, h.log, parts...)
	return nil
}

// rootkitDelay is how long after the start the first rootcheck scan begins, so that a start is not a burst of work.
const rootkitDelay = 10 * time.Second

// rootkitScans scans on the schedule that rootcheck shares with file integrity, and when asked to (spec syscheck.md, section 3.2).
func (h *Host) rootkitScans(ctx context.Context) error {
	every := 72000 * time.Second
	if cfg := h.o.Config.Rootcheck; cfg != nil && cfg.Frequency > 0 {
		every = time.Duration(cfg.Frequency) * time.Second
	}
	schedule := syscheck.NewSchedule(h.o.Config.Syscheck, every, time.Now())
	next := time.NewTimer(h.settle)
	defer next.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		case <-h.rescan:
			asked = true
		}
		if schedule.Due(time.Now(), asked) {
			if err := h.rootkits.Scan(ctx); err != nil {
				return err
			}
			schedule.Ended(time.Now())
		}
		next.Reset(time.Second)
	}
}

// askRootcheck asks for a scan; one request waits at most.
func (h *Host) askRootcheck() {
	select {
	case h.rescan <- struct{}{}:
	default:
	}
}

// Command carries out a command of the manager. It does not wait for the outcome.
func (h *Host) Command(c event.Command) {
	switch {
	case c.Respond != nil:
		if err := h.exec.Submit(*c.Respond); err != nil {
			h.o.Log.Prog("ossec-execd").Warn("response '%s' not carried out: %v", c.Respond.Name, err)
		}
	case c.Rescan:
		h.askRootcheck()
		h.fim.ScanNow()
	case c.Restart:
		if err := h.restart(); err != nil {
			h.o.Log.Prog("ossec-execd").Warn("not restarted: %v", err)
		}
	}
}

// restart asks for a restart of the install; what is blocked stays blocked meanwhile.
func (h *Host) restart() error {
	if h.o.Restart == nil {
		return errors.New("this program does not restart itself")
	}
	h.exec.KeepForRestart()
	h.o.Restart()
	return nil
}

// responseControl answers `vedette blocked`, `unblock` and `block` until ctx ends.
func (h *Host) responseControl(ctx context.Context) error {
	return activeresponse.ServeControl(ctx, activeresponse.ControlPath(h.o.Root), h.exec.Handle)
}
