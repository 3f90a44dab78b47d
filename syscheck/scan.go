package syscheck

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/vedette-hids/vedette/syscheck/sum"
)

// The scan markers (spec section 5).
const (
	markStart = "Starting syscheck scan."
	markEnd   = "Ending syscheck scan."
)

// Scan runs one full scan of all configured paths now and returns when it is complete: the first one of a process is the base-line scan,
// which sends the state of every file (spec section 3.3). Changes are sent as they are found. When ctx ends, Scan stops soon, even within
// a huge file, and returns ctx's error; the next scan reads nothing again that was read. Only one scan runs at a time, others wait.
func (m *Monitor) Scan(ctx context.Context) error {
	m.scanning.Lock()
	defer m.scanning.Unlock()
	if !m.active() {
		return m.send(ctx, sum.Completed)
	}
	_, err := m.scan(ctx, !m.based)
	if err != nil {
		return err
	}
	return m.send(ctx, sum.Completed)
}

// scan walks all roots between the two markers. The caller holds m.scanning.
func (m *Monitor) scan(ctx context.Context, baseline bool) (Result, error) {
	begin := time.Now()
	p := m.newPass(baseline)
	if baseline {
		m.log.Info("Starting syscheck scan (forwarding database).")
	} else {
		m.log.Info("Starting syscheck scan.")
	}
	if err := m.mark(ctx, markStart); err != nil {
		return Result{}, err
	}
	if baseline {
		m.log.Info("Starting syscheck database (pre-scan).")
	}
	var gone []string
	var last uint64
	if p.forward {
		gone, last = m.store.goneList()
	}
	err := p.run(ctx, func(ctx context.Context) error {
		if err := p.repeatGone(ctx, gone); err != nil {
			return err
		}
		for _, r := range m.roots {
			if err := p.walkRoot(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if rerr := m.remember(p, err); err == nil {
		err = rerr
	}
	if err == nil && len(gone) > 0 {
		err = m.store.dropGone(last)
	}
	if err != nil {
		return Result{}, err
	}
	p.show(true)
	if read, _ := p.volume(); read > 0 {
		debug.FreeOSMemory() // at once: given back bit by bit it would keep the processor from resting for minutes
	}
	if err := m.finish(ctx, baseline); err != nil {
		return Result{}, err
	}
	res := p.result(time.Since(begin))
	if m.opts.Scanned != nil {
		m.opts.Scanned(res)
	}
	return res, nil
}

// finish logs and sends the end of a scan.
func (m *Monitor) finish(ctx context.Context, baseline bool) error {
	if !baseline {
		m.log.Info("Ending syscheck scan.")
		return m.mark(ctx, markEnd)
	}
	m.based = true
	if m.rt.running() {
		m.log.Info("Real time file monitoring started.")
	}
	m.log.Info("Finished creating syscheck database (pre-scan completed).")
	m.log.Info("Ending syscheck scan (forwarding database).")
	return m.mark(ctx, markEnd)
}

func (m *Monitor) newPass(baseline bool) *pass {
	p := &pass{m: m, throttle: m.throttle, full: true, forward: baseline && !m.opts.NoForward}
	if p.forward {
		p.resume = parseMark(m.store.resume())
	}
	if m.opts.Progress != nil {
		p.known = int64(m.store.count())
	}
	n := m.opts.Workers
	if m.throttle.sleep > 0 {
		n = 1
	}
	for range n {
		p.workers = append(p.workers, m.newWorker(m.throttle))
	}
	return p
}

// remember keeps the place of an interrupted base-line scan, so that the next process does not send again what was sent.
func (m *Monitor) remember(p *pass, err error) error {
	switch {
	case !p.forward:
		return nil
	case err == nil:
		if p.resume == (mark{}) && m.store.resume() == "" {
			return nil
		}
		return m.store.setResume("")
	case errors.Is(err, context.Canceled):
		if at, ok := p.safe(); ok && p.before(p.resume, at) {
			return m.store.setResume(at.text())
		}
	}
	return nil
}

func (p *pass) result(took time.Duration) Result {
	read, bytes := p.volume()
	return Result{
		Files: p.files.Load(), Read: read, Bytes: bytes, Took: took,
		New: p.counts[outcomeNew].Load(), Changed: p.counts[outcomeChanged].Load(), Deleted: p.counts[outcomeDeleted].Load(),
		Errors: p.failed.Load() + p.counts[outcomeFailed].Load(),
	}
}
