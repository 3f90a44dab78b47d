package syscheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fileEvent is one thing that happened in a watched directory.
type fileEvent struct {
	path     string
	place    bool  // what stands at path appeared or went away
	moved    bool  // a directory was moved away from path
	ended    bool  // the watch of the directory path is no more
	overflow bool  // events were lost
	err      error // of the watcher
}

// realtime turns file system events into checks. Two goroutines run under Run: one takes events and collects paths, one checks the paths that
// have been quiet for the settle time. A nil realtime ignores all calls.
//
// The watches of a directory that is moved are removed when the event "moved away" is taken, which is always before the event "appeared" of
// the new place, whose walk adds them again.
type realtime struct {
	m         *Monitor
	mu        sync.Mutex // guards watcher and unwatched
	watcher   *watcher
	unwatched map[string]bool // roots whose watch ended

	pmu     sync.Mutex
	pending map[string]*pendingPath
	wake    chan struct{}
	workers []*worker
	notice  func(path string) // tests: a path was checked; guarded by pmu
}

// pendingPath is a path with events that were not looked at yet.
type pendingPath struct {
	first, last time.Time
	appeared    bool // created, moved or removed: a directory that is here has to be walked
}

const (
	maxDelay = 10    // a path that never gets quiet is checked after so many settle times
	maxPaths = 50000 // paths collected before the watcher falls back to a walk of all realtime directories
)

// newRealtime makes the realtime half for a monitor that has realtime directories, else nil.
func newRealtime(m *Monitor) *realtime {
	if !slices.ContainsFunc(m.roots, func(r *root) bool { return r.Realtime }) {
		return nil
	}
	rt := &realtime{
		m: m, pending: map[string]*pendingPath{}, wake: make(chan struct{}, 1), unwatched: map[string]bool{},
	}
	for range m.opts.Workers {
		rt.workers = append(rt.workers, m.newWorker(nil))
	}
	return rt
}

// running reports whether directories are being watched.
func (rt *realtime) running() bool {
	if rt == nil {
		return false
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.watcher != nil
}

// start makes the first watcher. It comes before the first scan, whose walker adds the watches.
func (rt *realtime) start() (*watcher, error) {
	rt.m.log.Info("Initializing real time file monitoring (not started).")
	return rt.open()
}

// run watches until ctx ends, beginning with w.
func (rt *realtime) run(ctx context.Context, w *watcher) error {
	var done sync.WaitGroup
	defer done.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done.Go(func() {
		if err := rt.checkLoop(ctx); err != nil {
			cancel(err)
		}
	})
	done.Go(func() { rt.lookLoop(ctx) })
	for {
		err := rt.watch(ctx, w)
		rt.close()
		if err != nil {
			return err
		}
		if w, err = rt.open(); err != nil {
			return err
		}
		rt.rescan()
	}
}

// errNoWatcher says that the system gives no watcher; scheduled scans go on without.
var errNoWatcher = errors.New("cannot watch directories")

// open makes a watcher without watches.
func (rt *realtime) open() (*watcher, error) {
	w, err := newWatcher()
	if err != nil {
		return nil, fmt.Errorf("%w: %w%s", errNoWatcher, err, limitHint(err, instanceLimits))
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.watcher = w
	return w, nil
}

func (rt *realtime) close() {
	rt.mu.Lock()
	w := rt.watcher
	rt.watcher = nil
	rt.mu.Unlock()
	w.close()
}

// watch takes events until ctx ends (its cause is returned) or events were lost (nil). After a loss no watch can be trusted any
// more to have the right name: the caller begins anew with a fresh watcher and a walk.
func (rt *realtime) watch(ctx context.Context, w *watcher) error {
	for {
		select {
		case ev := <-w.events:
			if ev.overflow {
				rt.overflowed()
				return nil
			}
			if ev.err != nil {
				return fmt.Errorf("%w: %w", errNoWatcher, ev.err)
			}
			rt.event(w, &ev)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (rt *realtime) overflowed() {
	rt.m.log.Every("syscheck overflow", time.Minute).Warn("Real time monitoring: the kernel dropped events; all real time directories are" +
		" scanned again. Raise the sysctl fs.inotify.max_queued_events if this happens often.")
}

// The kernel's settings for watchers and watches: the machine's, and those of a container (user namespace), which may be lower.
var (
	instanceLimits = []string{"fs.inotify.max_user_instances", "user.max_inotify_instances"}
	watchLimits    = []string{"fs.inotify.max_user_watches", "user.max_inotify_watches"}
)

// limitHint names the kernel setting behind an error: the lowest of those that may be.
func limitHint(err error, sysctls []string) string {
	if !limitReached(err) {
		return ""
	}
	name, lowest := sysctls[0], -1
	for _, s := range sysctls {
		b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(s, ".", "/"))
		if err != nil {
			continue
		}
		if v, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && (lowest < 0 || v < lowest) {
			name, lowest = s, v
		}
	}
	if lowest < 0 {
		return " (limit reached: raise the sysctl " + name + ")"
	}
	return " (limit reached: raise the sysctl " + name + ", now " + strconv.Itoa(lowest) + ")"
}

// addDir watches a directory. The walker calls it before it reads the directory, so that nothing falls in between.
func (rt *realtime) addDir(dir string) {
	if rt == nil {
		return
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.watcher == nil {
		return
	}
	err := rt.watcher.add(dir)
	if err == nil || gone(err) {
		return
	}
	rt.m.log.Every("syscheck add watch", 10*time.Minute).Error("Unable to add directory to real time monitoring: '%s'. -1 %s%s",
		dir, reason(err), limitHint(err, watchLimits))
}

// event takes one event.
func (rt *realtime) event(w *watcher, ev *fileEvent) {
	if ev.ended {
		rt.unwatch(ev.path)
		return
	}
	if ev.moved {
		w.removeTree(ev.path)
	}
	// A late "moved away" may be about the directory that was here before and take the watch of the present one with it: whatever stands
	// here then has to be walked again.
	rt.collect(ev.path, ev.place, time.Now())
}

// collect notes a path to check. appeared says that what stands there may be another thing than before.
func (rt *realtime) collect(path string, appeared bool, now time.Time) {
	rt.pmu.Lock()
	defer rt.pmu.Unlock()
	p := rt.pending[path]
	if p == nil {
		if len(rt.pending) >= maxPaths {
			rt.collapse(now)
			return
		}
		p = &pendingPath{first: now}
		rt.pending[path] = p
	}
	p.last = now
	p.appeared = p.appeared || appeared
	rt.poke()
}

// collapse replaces the collected paths by a walk of the realtime directories. The caller holds pmu.
func (rt *realtime) collapse(now time.Time) {
	clear(rt.pending)
	for _, r := range rt.m.roots {
		if r.Realtime {
			rt.pending[r.path] = &pendingPath{first: now, last: now, appeared: true}
		}
	}
	rt.poke()
}

// rescan asks for a walk of all realtime directories.
func (rt *realtime) rescan() {
	rt.pmu.Lock()
	defer rt.pmu.Unlock()
	rt.collapse(time.Now())
}

func (rt *realtime) poke() {
	select {
	case rt.wake <- struct{}{}:
	default:
	}
}

// checkLoop checks the paths that are due. It sleeps while there are none.
func (rt *realtime) checkLoop(ctx context.Context) error {
	for {
		batch, wait := rt.due(time.Now())
		if len(batch) > 0 {
			if err := rt.checkBatch(ctx, batch); err != nil && !errors.Is(err, errStore) {
				return err
			}
			continue
		}
		if wait > 0 {
			if err := pause(ctx, wait); err != nil {
				return err
			}
			continue
		}
		select {
		case <-rt.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// duePath is a path to check now.
type duePath struct {
	path     string
	appeared bool
}

// due takes the paths that have been quiet long enough, and gives the time until the next one would be; 0 = there is none.
func (rt *realtime) due(now time.Time) (batch []duePath, wait time.Duration) {
	settle := rt.m.opts.Settle
	rt.pmu.Lock()
	defer rt.pmu.Unlock()
	for path, p := range rt.pending {
		left := min(p.last.Add(settle).Sub(now), p.first.Add(maxDelay*settle).Sub(now))
		if left <= 0 {
			batch = append(batch, duePath{path, p.appeared})
			delete(rt.pending, path)
			continue
		}
		if wait == 0 || left < wait {
			wait = left
		}
	}
	slices.SortFunc(batch, func(a, b duePath) int { return strings.Compare(a.path, b.path) })
	return batch, max(wait, 0)
}

// checkBatch checks paths with all workers.
func (rt *realtime) checkBatch(ctx context.Context, batch []duePath) error {
	n := len(rt.workers)
	if len(batch) == 1 && !batch[0].appeared {
		n = 1
	}
	p := &pass{m: rt.m, workers: rt.workers[:n]}
	defer rt.noticed(batch)
	return p.run(ctx, func(ctx context.Context) error {
		for _, d := range batch {
			if err := p.appearance(ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// noticed tells the test that waits for it which paths were checked.
func (rt *realtime) noticed(batch []duePath) {
	rt.pmu.Lock()
	defer rt.pmu.Unlock()
	if rt.notice == nil {
		return
	}
	for _, d := range batch {
		rt.notice(d.path)
	}
}

// appearance handles one path according to what is there now.
func (p *pass) appearance(ctx context.Context, d duePath) error {
	m := p.m
	info, err := lstat(d.path)
	err = belowRoot(m.rootAbove(d.path), d.path, err)
	isDir := err == nil && info.kind == kindDir
	if err == nil && info.kind == kindSymlink && m.leadsToDir(d.path) {
		return p.walkAll(ctx, d.path)
	}
	if !isDir && (err == nil || gone(err)) && m.store.hasTree(d.path) { // a known directory that is gone
		if err := p.lost(ctx, d.path); err != nil {
			return err
		}
	}
	if err := p.emit(ctx, job{path: d.path}); err != nil {
		return err
	}
	if !isDir || !d.appeared && m.store.dir(d.path) != 0 {
		return nil
	}
	return p.walkAll(ctx, d.path)
}

// walkAll walks a directory for every realtime root that enters it.
func (p *pass) walkAll(ctx context.Context, dir string) error {
	for _, r := range p.m.roots {
		if !r.Realtime || !r.enters(dir) || dir != r.path && p.m.ignored(r, dir) {
			continue
		}
		if err := p.walk(ctx, r, dir); err != nil {
			return err
		}
	}
	return nil
}

// leadsToDir reports whether path is a root that is a symbolic link to a directory: only there a walk follows links.
func (m *Monitor) leadsToDir(path string) bool {
	if !slices.ContainsFunc(m.roots, func(r *root) bool { return r.Realtime && r.path == path }) {
		return false
	}
	t, err := stat(path)
	return err == nil && t.kind == kindDir
}

// rootAbove finds a root that path lies below.
func (m *Monitor) rootAbove(path string) *root {
	for _, r := range m.roots {
		if within(path, r.path) {
			return r
		}
	}
	return nil
}

// ignored reports whether a walk of r never comes to dir, because dir or a directory above it is ignored.
func (m *Monitor) ignored(r *root, dir string) bool {
	for dir != r.path && within(dir, r.path) {
		if m.ignore.match(dir) {
			return true
		}
		dir, _ = split(dir)
	}
	return false
}
