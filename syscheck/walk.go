package syscheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// chunk is how many baseline entries of a directory are held in memory at a time.
const chunk = 4096

// job is one path that a worker has to check.
type job struct {
	path    string
	forward bool
	walked  bool // the walker has just come by: the directories above are real
	looked  bool // info is what lstat said then
	info    fileInfo
	place   *place
	again   bool // an earlier process reported its deletion
}

// pass is one walk, of all roots or of a part of the tree. The walker is one goroutine; what it finds is checked by the workers.
type pass struct {
	m        *Monitor
	throttle *throttle // nil: full speed
	forward  bool      // base-line scan: send unchanged files too
	resume   mark      // forward only from this directory on
	jobs     chan []job
	gathered []job // not handed over yet
	workers  []*worker
	full     bool // a scan of everything: shows progress, ends on disk

	lostPaths []string // directories that are gone
	places    []*place // directories whose jobs may still be running, and the present one

	files, failed atomic.Int64
	known         int64
	root, dir     string
	forwards      bool // the state of the unchanged files in dir has to be sent
	lastShown     time.Time
	counts        [5]atomic.Int64
}

// place is a directory and the number of its jobs that are not done.
type place struct {
	mark
	open atomic.Int64
}

const (
	// jobsAhead is how far the walker may run ahead of the workers.
	jobsAhead = 512
	// jobsAtOnce is how many jobs are handed over at a time, unless the workers have nothing to do: each time costs a change of goroutines.
	jobsAtOnce = 32
	// maxPlaces bounds the memory for directories while one huge file holds up the oldest of them.
	maxPlaces = 4096
)

// run starts the workers, calls walk with a context that ends when a worker fails, and waits for all.
func (p *pass) run(ctx context.Context, walk func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.jobs = make(chan []job, jobsAhead/jobsAtOnce)
	var done sync.WaitGroup
	for _, w := range p.workers {
		done.Go(func() {
			if err := w.work(ctx, p); err != nil {
				cancel(err)
			}
		})
	}
	err := walk(ctx)
	if err == nil {
		err = p.hand(ctx)
	}
	close(p.jobs)
	done.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err == nil {
		p.dropLost()
	}
	if !p.full {
		return err
	}
	return errors.Join(err, p.m.store.flush())
}

// emit hands a path to the workers.
func (p *pass) emit(ctx context.Context, j job) error {
	p.show(false)
	if n := len(p.places); n > 0 {
		j.place = p.places[n-1]
		j.place.open.Add(1)
	}
	if p.gathered = append(p.gathered, j); len(p.gathered) < jobsAtOnce && len(p.jobs) > 0 {
		return nil
	}
	return p.hand(ctx)
}

// hand gives the gathered jobs to a worker.
func (p *pass) hand(ctx context.Context) error {
	if len(p.gathered) == 0 {
		return nil
	}
	select {
	case p.jobs <- p.gathered:
		p.gathered = make([]job, 0, jobsAtOnce)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// safe is the directory before which everything has been checked; false if nothing is.
func (p *pass) safe() (mark, bool) {
	p.forget()
	if len(p.places) == 0 {
		return mark{}, false
	}
	return p.places[0].mark, true
}

// forget drops the directories before the present one that are done.
func (p *pass) forget() {
	done := 0
	for done < len(p.places)-1 && p.places[done].open.Load() == 0 {
		done++
	}
	p.places = slices.Delete(p.places, 0, done)
}

// enter notes that the walk begins a directory. When there are too many already, its jobs count to the one before.
func (p *pass) enter(dir string) {
	at := mark{p.root, dir}
	p.dir, p.forwards = dir, p.forward && !p.before(at, p.resume)
	p.forget()
	if len(p.places) < maxPlaces {
		p.places = append(p.places, &place{mark: at})
	}
	p.show(false)
}

// walkRoot walks one configured path (spec section 4).
func (p *pass) walkRoot(ctx context.Context, r *root) error {
	p.root = r.path
	info, err := stat(r.path)
	switch {
	case err != nil:
		if err := p.missingRoot(ctx, r, err); err != nil {
			return err
		}
		return nil
	case info.kind != kindDir:
		if p.m.ignore.match(r.path) || !r.covers(r.path) || r.taken(r.path) {
			return nil
		}
		p.files.Add(1)
		p.enter(r.path)
		return p.emit(ctx, job{path: r.path, forward: p.forwards})
	}
	return p.walk(ctx, r, r.path)
}

// missingRoot handles a configured path that does not exist: what it held is not reported as deleted, because the place may be a
// mount point; only a single file is.
func (p *pass) missingRoot(ctx context.Context, r *root, err error) error {
	p.m.log.Text("WARN: Error opening directory: '%s': %s ", r.path, reason(err))
	if _, known := p.m.store.get(r.path); known {
		return p.emit(ctx, job{path: r.path, forward: false})
	}
	if info, lerr := lstat(r.path); lerr == nil && info.kind == kindSymlink && r.covers(r.path) && !p.m.ignore.match(r.path) {
		p.enter(r.path)
		return p.emit(ctx, job{path: r.path, forward: p.forwards}) // a dangling link
	}
	return nil
}

// repeatGone says deletions once more.
func (p *pass) repeatGone(ctx context.Context, paths []string) error {
	for _, path := range paths {
		if err := p.emit(ctx, job{path: path, again: true}); err != nil {
			return err
		}
	}
	return nil
}

// walksBefore compares two paths in the order of a walk, in which what a directory holds follows the directory itself.
func walksBefore(a, b string) bool {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			return y != '/' && (x == '/' || x < y)
		}
	}
	return len(a) < len(b)
}

// walk compares one directory with the baseline and goes on with the directories in it, in order of names.
func (p *pass) walk(ctx context.Context, r *root, dir string) error {
	m := p.m
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if m.cfg.SkipNFS && m.opts.network(dir) {
		if r.Realtime {
			m.log.Every("syscheck nfs "+r.path, time.Hour).Error("%s NFS Directories do not support iNotify.", dir)
		}
		return nil
	}
	p.enter(dir)
	if err := p.hand(ctx); err != nil { // a slow walk must not hold back what it found
		return err
	}
	if r.Realtime {
		m.rt.addDir(dir)
	}
	list, more, err := readNames(dir, "", maxNames)
	if err != nil {
		return p.unreadable(ctx, dir, err)
	}
	m.store.ensureDir(dir)
	known := newEntryReader(m.store, dir)
	subdirs, err := p.merge(ctx, r, dir, known, list)
	for err == nil && more {
		if list, more, err = readNames(dir, list.name(list.len()-1), maxNames); err != nil {
			return p.unreadable(ctx, dir, err)
		}
		var others []string
		others, err = p.merge(ctx, r, dir, known, list)
		subdirs = append(subdirs, others...)
	}
	if err == nil {
		err = p.gone(ctx, r, dir, known, "")
	}
	if err != nil || r.NoRecurse {
		return err
	}
	if err := p.lostDirs(ctx, dir, subdirs); err != nil {
		return err
	}
	for _, name := range subdirs {
		if err := p.walk(ctx, r, join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// unreadable handles a directory that cannot be listed. One that is gone takes its files with it; any other keeps them.
func (p *pass) unreadable(ctx context.Context, dir string, err error) error {
	p.m.log.Text("WARN: Error opening directory: '%s': %s ", dir, reason(err))
	if gone(err) {
		return p.lost(ctx, dir)
	}
	p.failed.Add(1)
	return nil
}

// merge goes through names in a directory and its baseline entries side by side and hands over what differs. It returns the
// directories to enter.
func (p *pass) merge(ctx context.Context, r *root, dir string, known *entryReader, list names) (subdirs []string, err error) {
	for i := range list.len() {
		name := list.name(i)
		if err := p.gone(ctx, r, dir, known, name); err != nil {
			return nil, err
		}
		var old *entry
		if k := known.peek(); k != nil && k.name == name {
			old = &k.entry
			known.advance()
		}
		isDir, err := p.visit(ctx, r, join(dir, name), old)
		if err != nil {
			return nil, err
		}
		if isDir {
			subdirs = append(subdirs, strings.Clone(name))
		}
	}
	return subdirs, nil
}

// gone hands over the baseline entries before name ("" = all): their files are not there any more.
func (p *pass) gone(ctx context.Context, r *root, dir string, known *entryReader, name string) error {
	for {
		k := known.peek()
		if k == nil || name != "" && k.name >= name {
			return nil
		}
		path := join(dir, k.name)
		known.advance()
		if r.taken(path) {
			continue
		}
		if err := p.emit(ctx, job{path: path}); err != nil {
			return err
		}
	}
}

// visit looks at one directory entry and compares it with its baseline entry old (nil = unknown). It reports whether the walk has to enter it.
func (p *pass) visit(ctx context.Context, r *root, path string, old *entry) (isDir bool, err error) {
	m := p.m
	if r.NoRecurse {
		info, err := stat(path)
		if err != nil && gone(err) {
			m.log.Text("ERR: Cannot stat %s: %s", path, reason(err))
		}
		if err == nil && info.kind == kindDir {
			return false, p.replaced(ctx, path, old)
		}
	}
	if m.ignore.match(path) {
		if old != nil {
			return false, m.store.remove(path)
		}
		return false, nil
	}
	info, err := lstat(path)
	switch {
	case err != nil && gone(err):
		return false, p.replaced(ctx, path, old)
	case err != nil:
		m.log.Text("Error accessing '%s'.", path)
		p.failed.Add(1)
		return false, nil
	case info.kind == kindDir:
		return true, p.replaced(ctx, path, old)
	case info.kind == kindOther:
		return false, p.replaced(ctx, path, old)
	}
	if !r.covers(path) || r.taken(path) {
		return false, nil
	}
	return false, p.file(ctx, r, path, &info, old)
}

// replaced hands over a known path that is no file any more.
func (p *pass) replaced(ctx context.Context, path string, old *entry) error {
	if old == nil {
		return nil
	}
	return p.emit(ctx, job{path: path})
}

// file hands over a file unless its attributes prove that it is unchanged.
func (p *pass) file(ctx context.Context, r *root, path string, info *fileInfo, old *entry) error {
	if p.files.Add(1)&1023 == 0 {
		p.show(false)
	}
	forward := p.forwards
	if !forward && old != nil && old.holds(r.set, info, linkTarget(path, info)) {
		return p.throttle.file(ctx, false)
	}
	return p.emit(ctx, job{path: path, forward: forward, walked: true, looked: true, info: *info})
}

// lostDirs handles the known directories below dir that are not there any more.
func (p *pass) lostDirs(ctx context.Context, dir string, present []string) error {
	for _, name := range p.m.store.children(dir) {
		if _, found := slices.BinarySearch(present, name); found {
			continue
		}
		path := join(dir, name)
		if p.m.ignore.match(path) {
			continue
		}
		if err := p.lost(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// lost hands over all files known at and below a directory that is gone.
func (p *pass) lost(ctx context.Context, dir string) error {
	m := p.m
	for _, d := range m.store.below(dir) {
		known := newEntryReader(m.store, d)
		for k := known.peek(); k != nil; k = known.peek() {
			if err := p.emit(ctx, job{path: join(d, k.name)}); err != nil {
				return err
			}
			known.advance()
		}
		p.lostPaths = append(p.lostPaths, d)
	}
	return nil
}

// dropLost forgets the directories that are gone. It comes after the checks of their files, which need the directory.
func (p *pass) dropLost() {
	for _, d := range p.lostPaths {
		if _, err := lstat(d); err != nil && gone(err) {
			p.m.store.removeDir(d)
		}
	}
}

// entryReader reads the entries of a directory piece by piece.
type entryReader struct {
	s    *store
	dir  uint64
	list []named
	at   int
	next string
	end  bool
}

func newEntryReader(s *store, dir string) *entryReader {
	n := s.dir(dir)
	return &entryReader{s: s, dir: n, end: n == 0}
}

// peek gives the current entry, nil at the end.
func (e *entryReader) peek() *named {
	for e.at == len(e.list) {
		if e.end {
			return nil
		}
		e.list, e.next = e.s.entries(e.list[:0], e.dir, e.next, chunk)
		e.at, e.end = 0, e.next == ""
	}
	return &e.list[e.at]
}

func (e *entryReader) advance() { e.at++ }

// show reports progress, at most ten times a second unless it is the end.
func (p *pass) show(end bool) {
	if !p.full || p.m.opts.Progress == nil {
		return
	}
	now := time.Now()
	if !end && now.Sub(p.lastShown) < 100*time.Millisecond {
		return
	}
	p.lastShown = now
	read, bytes := p.volume()
	p.m.opts.Progress(Progress{Root: p.root, Path: p.dir, Files: p.files.Load(), Read: read, Bytes: bytes, Known: p.known})
}

// volume sums up what the workers read.
func (p *pass) volume() (files, bytes int64) {
	for _, w := range p.workers {
		files += w.read.Load()
		bytes += w.bytes.Load()
	}
	return files, bytes
}

// reason is the text of the system's error behind err, capitalised as strerror(3) has it.
func reason(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	text := fmt.Sprint(err)
	if text != "" && text[0] >= 'a' && text[0] <= 'z' {
		text = string(text[0]-'a'+'A') + text[1:]
	}
	return text
}
