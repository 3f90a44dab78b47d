package syscheck

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/syscheck/sum"
)

// runFile asks for a scan when it appears (spec section 8); its content does not matter.
const runFile = "var/run/.syscheck_run"

// tick is how often the run file, the schedule and unwritten changes are looked at.
const tick = time.Second

// Run scans and watches until ctx ends, then returns nil. Other errors are those of the sink, which end the monitor.
func (m *Monitor) Run(ctx context.Context) error {
	defer m.Close() //nolint:errcheck // everything that matters was flushed with its error
	switch {
	case m.active():
		m.introduce()
	case !m.cfg.Disabled:
		m.log.Code(1702, "INFO", "No directory provided for syscheck to monitor.")
		fallthrough
	default:
		m.log.Warn("Syscheck disabled.")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var done sync.WaitGroup
	defer done.Wait()
	m.startRealtime(ctx, &done, cancel)
	err := m.loop(ctx)
	if err == nil || errors.Is(err, context.Canceled) {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			return cause
		}
		return nil
	}
	return err
}

// startRealtime begins to watch. Without a watcher the monitor goes on with scheduled scans.
func (m *Monitor) startRealtime(ctx context.Context, done *sync.WaitGroup, cancel context.CancelCauseFunc) {
	if m.rt == nil {
		return
	}
	w, err := m.rt.start()
	if err != nil {
		m.log.Error("Real time file monitoring is off: %v", err)
		return
	}
	done.Go(func() {
		err := m.rt.run(ctx, w)
		if err == nil || ctx.Err() != nil {
			return
		}
		m.log.Error("Real time file monitoring ended: %v", err)
		if !errors.Is(err, errNoWatcher) {
			cancel(err) // the sink's
		}
	})
}

// introduce logs what is monitored (spec section 3.1).
func (m *Monitor) introduce() {
	for _, r := range m.roots {
		m.log.Info("Monitoring directory: '%s', with options %s.", r.Path, optionNames(&r.Directory))
	}
	for _, p := range m.cfg.Ignore {
		m.log.Info("ignoring: '%s'", p)
	}
	for _, p := range m.cfg.NoDiff {
		m.log.Info("No diff for file: '%s'", p)
	}
	for _, r := range m.roots {
		if r.Realtime {
			m.log.Info("Directory set for real time monitoring: '%s'.", r.Path)
		}
	}
}

// loop is the schedule (spec section 3.2).
func (m *Monitor) loop(ctx context.Context) error {
	if err := pause(ctx, m.opts.StartDelay); err != nil {
		return err
	}
	s := NewSchedule(m.cfg, time.Duration(m.cfg.Frequency)*time.Second, m.opts.Now())
	if !m.cfg.Disabled && (m.cfg.ScanOnStart || !m.active()) {
		if err := m.tolerate(m.Scan(ctx)); err != nil {
			return err
		}
		s.Ended(m.opts.Now())
	}
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		asked := m.takeRunFile()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.request:
			asked = true
		case <-t.C:
		}
		if m.active() {
			if err := m.tolerate(m.store.flush()); err != nil {
				return err
			}
		}
		if !s.Due(m.opts.Now(), asked) || m.cfg.Disabled {
			continue
		}
		if err := m.tolerate(m.scheduled(ctx)); err != nil {
			return err
		}
		s.Ended(m.opts.Now())
	}
}

// scheduled runs a scan of the schedule. With scan_on_start=no the first one is the base-line scan, which then ends with two markers.
func (m *Monitor) scheduled(ctx context.Context) error {
	m.scanning.Lock()
	first := m.active() && !m.based && !m.cfg.ScanOnStart
	m.scanning.Unlock()
	if !first {
		return m.Scan(ctx)
	}
	m.scanning.Lock()
	defer m.scanning.Unlock()
	if _, err := m.scan(ctx, true); err != nil {
		return err
	}
	m.log.Info("Ending syscheck scan.")
	if err := m.mark(ctx, markEnd); err != nil {
		return err
	}
	return m.send(ctx, sum.Completed)
}

// tolerate logs failures of the baseline file and lets the monitor go on; other errors pass.
func (m *Monitor) tolerate(err error) error {
	if err != nil && errors.Is(err, errStore) && !errors.Is(err, context.Canceled) {
		m.log.Every("syscheck store", time.Minute).Error("%v", err)
		return nil
	}
	return err
}

// takeRunFile reports whether a scan was requested by file, and removes the file.
func (m *Monitor) takeRunFile() bool {
	if m.opts.Root == "" {
		return false
	}
	if err := os.Remove(filepath.Join(m.opts.Root, filepath.FromSlash(runFile))); err != nil {
		return false
	}
	if m.opts.OnRescan != nil {
		m.opts.OnRescan()
	}
	return true
}
