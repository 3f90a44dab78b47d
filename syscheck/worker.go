package syscheck

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/vedette-hids/vedette/syscheck/sum"
)

// worker is one goroutine that checks files. It has several files open and hashes them side by side. As it holds several paths and
// contents at a time, it waits for another worker only while it reads nothing itself.
type worker struct {
	m        *Monitor
	throttle *throttle // nil: full speed
	read     atomic.Int64
	bytes    atomic.Int64

	places  int // files open at a time
	queue   []job
	batch   *sum.Batch
	reading []*task // by the place in batch
	waiting []*task // for a worker that reads the same content now
	parked  *task   // cannot begin yet
	kept    int64   // bytes of contents that are read for snapshots
	spare   []*task
}

// task is a file on its way through a worker: begin, if needed open and read, conclude.
type task struct {
	job
	r       *root
	target  *fileInfo // of a symbolic link
	old     entry
	known   bool // old is valid
	entry   *entry
	begun   int64 // when the file was opened (ns)
	file    content
	open    bool // file is to be closed
	locked  bool
	share   bool            // the digests may come from, and go to, another file with the same content
	owns    bool            // others wait for what is read here
	wait    <-chan struct{} // the content is read by another worker
	keeping int64           // counted in the worker's kept
	kept    []byte          // content for a snapshot, else nil
	read    bool
}

func (m *Monitor) newWorker(t *throttle) *worker {
	w := &worker{m: m, throttle: t, batch: sum.NewBatch()}
	w.places = w.batch.Places()
	if t != nil && t.sleep > 0 || m.cfg.PrefilterCmd != "" { // gently, or at the speed of the command
		w.places = 1
	}
	w.reading = make([]*task, w.batch.Places())
	return w
}

// work checks files until there are no more.
func (w *worker) work(ctx context.Context, p *pass) error {
	defer w.drop()
	for {
		more, err := w.take(ctx, p)
		if err != nil {
			return err
		}
		if w.batch.Active() > 0 {
			err = w.step(ctx, p)
		} else if len(w.waiting) > 0 {
			err = w.await(ctx)
		} else if !more {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// busy is how many files are open.
func (w *worker) busy() int { return w.batch.Active() + len(w.waiting) }

// take begins with files until all places are taken. It waits for a file only while there is none. more is false when there will be none.
func (w *worker) take(ctx context.Context, p *pass) (more bool, err error) {
	if err := w.retry(ctx, p); err != nil {
		return true, err
	}
	for more = true; more && w.busy() < w.places && w.parked == nil; {
		var j job
		var ok bool
		if j, ok, more = w.next(p.jobs); !ok {
			return more, nil
		}
		if ctx.Err() != nil {
			return more, ctx.Err()
		}
		t := w.task(j)
		if !w.admit(t) {
			w.parked = t
			return more, nil
		}
		if err := w.start(ctx, p, t); err != nil {
			return more, err
		}
	}
	return more, nil
}

// next takes a job: ok is false if there is none now, more is false if there will be none.
func (w *worker) next(jobs <-chan []job) (j job, ok, more bool) {
	if len(w.queue) == 0 {
		if w.queue, more = w.receive(jobs); len(w.queue) == 0 {
			return job{}, false, more
		}
	}
	j, w.queue = w.queue[0], w.queue[1:]
	return j, true, true
}

// receive takes what the walker hands over. It waits only while no file is open.
func (w *worker) receive(jobs <-chan []job) (list []job, more bool) {
	if w.busy() == 0 {
		list, more = <-jobs
		return list, more
	}
	select {
	case list, more = <-jobs:
		return list, more
	default:
	}
	runtime.Gosched() // the walker may wait for this processor
	select {
	case list, more = <-jobs:
		return list, more
	default:
		return nil, true
	}
}

// task makes a task, if possible out of an old one.
func (w *worker) task(j job) *task {
	t := &task{}
	if n := len(w.spare); n > 0 {
		t = w.spare[n-1]
		w.spare = w.spare[:n-1]
	}
	*t = task{job: j}
	return t
}

// retry goes on with what could not go on before.
func (w *worker) retry(ctx context.Context, p *pass) error {
	for i := 0; i < len(w.waiting); {
		t := w.waiting[i]
		select {
		case <-t.wait:
		default:
			i++
			continue
		}
		w.waiting = slices.Delete(w.waiting, i, i+1)
		if err := w.content(ctx, p, t); err != nil {
			return err
		}
	}
	if t := w.parked; t != nil && w.busy() < w.places && w.admit(t) {
		w.parked = nil
		return w.start(ctx, p, t)
	}
	return nil
}

// admit locks the path of a task. It does not wait for it unless nothing is open, and gives false instead. Neither does it let the
// contents that are kept for snapshots grow without bound.
func (w *worker) admit(t *task) bool {
	if w.busy() == 0 {
		w.m.locks.lock(t.path)
		return true
	}
	if r := w.m.rootOf(t.path); r != nil && r.ReportChanges && w.kept > 0 {
		if info, err := lstat(t.path); err != nil || w.kept+keepSize(info.size) > w.m.opts.MaxSnapshot {
			return false
		}
	}
	return w.m.locks.tryLock(t.path)
}

// keepSize is how many bytes may have to be kept of a file of a size.
func keepSize(size int64) int64 {
	if size == 0 {
		return maxUnsized
	}
	return size
}

// start begins with a task whose path is locked.
func (w *worker) start(ctx context.Context, p *pass, t *task) error {
	t.locked = true
	found, done, err := w.begin(ctx, t)
	if err != nil || done {
		return w.end(ctx, p, t, found, err)
	}
	return w.content(ctx, p, t)
}

// content finds the digests of an open file, or begins to read it.
func (w *worker) content(ctx context.Context, p *pass, t *task) error {
	if t.share {
		d, found, wait := w.m.seen.find(t.entry.stamp, t.entry.set&sum.Hashes)
		switch {
		case wait != nil:
			t.wait = wait
			w.waiting = append(w.waiting, t)
			return nil
		case found:
			t.entry.file.Digests = d
			result, err := w.conclude(ctx, t, nil, nil)
			return w.end(ctx, p, t, result, err)
		}
		t.owns = true
	}
	src, ok, err := w.source(ctx, t)
	if !ok {
		return w.finished(ctx, p, t, sum.Digests{}, err)
	}
	if t.kept != nil {
		t.keeping = keepSize(t.entry.stamp.size)
		w.kept += t.keeping
	}
	place := w.batch.Free()
	w.reading[place] = t
	w.batch.Start(place, src)
	return nil
}

// step reads and hashes a part of all open files.
func (w *worker) step(ctx context.Context, p *pass) error {
	for _, e := range w.batch.Step(ctx) {
		t := w.reading[e.Place]
		t.read = true
		w.read.Add(1)
		w.bytes.Add(e.Bytes)
		w.reading[e.Place] = nil
		if err := w.finished(ctx, p, t, e.Digests, e.Err); err != nil {
			return err
		}
	}
	return nil
}

// finished concludes the check of a file that was read, or could not be.
func (w *worker) finished(ctx context.Context, p *pass, t *task, d sum.Digests, failed error) error {
	found, err := w.finish(ctx, t, d, failed)
	return w.end(ctx, p, t, found, err)
}

// end counts the outcome of a task and makes the pause that may be due. err is what ends the pass.
func (w *worker) end(ctx context.Context, p *pass, t *task, found outcome, err error) error {
	w.release(t)
	if err != nil {
		return err
	}
	p.counts[found].Add(1)
	if t.place != nil {
		t.place.open.Add(-1)
	}
	read := t.read
	if len(w.spare) < len(w.reading) {
		w.spare = append(w.spare, t)
	}
	return p.throttle.file(ctx, read)
}

// release gives back what a task holds.
func (w *worker) release(t *task) {
	if t.open {
		t.file.Close() //nolint:errcheck // opened for reading
		t.open = false
	}
	if t.owns {
		w.m.seen.put(t.entry.stamp, sum.Digests{})
		t.owns = false
	}
	w.kept -= t.keeping
	t.keeping = 0
	if t.locked {
		w.m.locks.unlock(t.path)
		t.locked = false
	}
}

// await waits for a content that another worker reads.
func (w *worker) await(ctx context.Context) error {
	select {
	case <-w.waiting[0].wait:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drop gives up what an error left.
func (w *worker) drop() {
	w.batch.Reset()
	for i, t := range w.reading {
		if t != nil {
			w.release(t)
			w.reading[i] = nil
		}
	}
	for _, t := range w.waiting {
		w.release(t)
	}
	w.queue, w.waiting, w.parked = nil, nil, nil
}
