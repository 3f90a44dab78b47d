package syscheck

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/syscheck/sum"
)

// outcome is what a check found.
type outcome uint8

const (
	outcomeNone outcome = iota
	outcomeNew
	outcomeChanged
	outcomeDeleted
	outcomeFailed
)

// worker holds what one goroutine needs to check files.
type worker struct {
	m        *Monitor
	hasher   *sum.Hasher
	throttle *throttle // nil: full speed
	read     atomic.Int64
	bytes    atomic.Int64
	keep     []byte
}

func (m *Monitor) newWorker(t *throttle) *worker {
	return &worker{m: m, hasher: sum.NewHasher(), throttle: t}
}

// check compares the file at path with the baseline, sends the message that is due and then brings the baseline up to date (spec section
// 4.9 and 4.10). The error is that of the sink, of ctx or of the baseline; trouble
// with the file is logged.
func (w *worker) check(ctx context.Context, j job) (outcome, error) {
	m, path := w.m, j.path
	defer m.lock(path).Unlock()
	old, known := m.store.get(path)
	r := m.rootOf(path)
	info, err := lstat(path)
	if !j.walked {
		err = belowRoot(r, path, err)
	}
	if err != nil && !gone(err) {
		m.log.Text("Error accessing '%s'.", path)
		return outcomeFailed, nil
	}
	if err != nil || info.kind != kindRegular && info.kind != kindSymlink {
		if !known {
			return outcomeNone, nil
		}
		return outcomeDeleted, m.deleted(ctx, path)
	}
	if r == nil || !known && m.ignore.match(path) {
		return outcomeNone, nil
	}
	target := linkTarget(path, &info)
	if known && old.holds(r.set, &info, target) {
		if j.forward {
			return outcomeNone, m.send(ctx, message(old.text(), path, ""))
		}
		return outcomeNone, nil
	}
	return w.compare(ctx, r, path, &info, target, &old, known, j.forward)
}

// belowRoot corrects the result of lstat: a path that leads through a symbolic link below the root does not exist, because a walk does not
// come by it, whatever the system finds there.
func belowRoot(r *root, path string, err error) error {
	if err != nil && gone(err) || r == nil || path == r.path {
		return err
	}
	for dir, _ := split(path); len(dir) > len(r.path); dir, _ = split(dir) {
		if up, uerr := lstat(dir); uerr == nil && up.kind != kindDir || uerr != nil && gone(uerr) {
			return fs.ErrNotExist
		}
	}
	return err
}

// linkTarget looks at what a symbolic link leads to; nil if path is no link or leads nowhere.
func linkTarget(path string, info *fileInfo) *fileInfo {
	if info.kind != kindSymlink {
		return nil
	}
	t, err := stat(path)
	if err != nil {
		return nil
	}
	return &t
}

// deleted reports a file that is gone and forgets it, so that it is reported again when it comes back.
func (m *Monitor) deleted(ctx context.Context, path string) error {
	if err := m.send(ctx, message(sum.Deleted, path, "")); err != nil {
		return err
	}
	return m.store.remove(path)
}

// compare reads the file and decides between new, changed and unchanged.
func (w *worker) compare(ctx context.Context, r *root, path string, info, target *fileInfo, old *entry, known, forward bool) (outcome, error) {
	m := w.m
	e, content, err := w.build(ctx, r, path, info, target)
	if err != nil && ctx.Err() != nil {
		return outcomeFailed, ctx.Err()
	}
	if errors.Is(err, errVanished) { // its own event or the next scan will tell
		return outcomeNone, nil
	}
	failed := err != nil
	if failed {
		m.log.Warn("Unable to read file '%s' for checksum: %v", path, err)
		if known {
			return outcomeFailed, nil // no false change
		}
	}
	text := e.text()
	if known && old.set == r.set && !sum.RealChange(old.text(), text) {
		if forward {
			if err := m.send(ctx, message(text, path, "")); err != nil {
				return outcomeNone, err
			}
		}
		return outcomeNone, m.store.put(path, e)
	}
	diff := w.snapshot(r, path, e, content)
	if !known {
		diff = ""
	}
	if err := m.send(ctx, message(text, path, diff)); err != nil {
		return outcomeNone, err
	}
	if err := m.store.put(path, e); err != nil {
		return outcomeNone, err
	}
	switch {
	case failed:
		return outcomeFailed, nil
	case known:
		return outcomeChanged, nil
	}
	return outcomeNew, nil
}

// snapshot keeps a copy of a file of report_changes and gives the difference for the message.
func (w *worker) snapshot(r *root, path string, e *entry, content []byte) string {
	if !r.ReportChanges || e.link || content == nil {
		return ""
	}
	m := w.m
	diff, err := m.snaps.update(path, content, time.Unix(0, e.stamp.mtime))
	if err != nil {
		m.log.Every("syscheck snapshot", time.Minute).Error("Unable to keep a copy of '%s' for report_changes: %v", path, err)
		return ""
	}
	if diff != "" && m.nodiff.match(path) {
		return noDiffText
	}
	return diff
}

// errVanished says that the file was replaced or removed between looking at it and opening it.
var errVanished = errors.New("file changed while it was looked at")

// build makes the entry of a file that exists. With an error the entry is valid but has no hashes. content is the whole file if a
// snapshot of it may be wanted, else nil.
func (w *worker) build(ctx context.Context, r *root, path string, info, target *fileInfo) (e *entry, content []byte, err error) {
	e = &entry{set: r.set, link: info.kind == kindSymlink, stamp: contentStamp(info, target)}
	e.file = sum.File{Size: info.size, Mode: info.mode, UID: info.uid, GID: info.gid}
	if e.link && e.stamp == (stamp{}) {
		return e, nil, nil
	}
	if r.set&sum.Hashes == 0 && !r.ReportChanges {
		return e, nil, nil
	}
	now := time.Now().UnixNano()
	f, opened, err := openContent(path, e.link)
	switch {
	case err != nil && (gone(err) || errors.Is(err, errNotRegular) || replaced(err)):
		return e, nil, errVanished
	case err != nil:
		e.racy = true
		return e, nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	e.stamp = opened.stamp
	if !e.link {
		e.file.Size, e.file.Mode, e.file.UID, e.file.GID = opened.size, opened.mode, opened.uid, opened.gid
	}
	if opened.size > w.m.opts.MaxFileSize {
		w.m.log.Every("syscheck size", time.Hour).Warn("File '%s' is larger than %d bytes and is not hashed.", path, w.m.opts.MaxFileSize)
		return e, nil, nil
	}
	share := w.m.cfg.PrefilterCmd == "" && !r.ReportChanges && opened.size >= seenMin && opened.stamp.proves(now)
	if share {
		d, found, err := w.m.seen.find(ctx, opened.stamp, r.set&sum.Hashes)
		if err != nil {
			return e, nil, err
		}
		if found {
			e.file.Digests = d
			return e, nil, nil
		}
	}
	content, err = w.hash(ctx, r, path, f, e)
	after, rerr := f.restat()
	e.racy = err != nil || rerr != nil || after.stamp != opened.stamp || !opened.stamp.proves(now)
	if share {
		d := e.file.Digests
		if e.racy {
			d.Has = 0
		}
		w.m.seen.put(opened.stamp, d)
	}
	if err != nil {
		return e, nil, err
	}
	return e, content, nil
}

// hash reads the file once and fills in the digests.
func (w *worker) hash(ctx context.Context, r *root, path string, f content, e *entry) ([]byte, error) {
	set := e.set & sum.Hashes
	if w.m.cfg.PrefilterCmd != "" && set&(sum.MD5|sum.SHA1) != 0 {
		d, err := w.m.prefilter(ctx, w.hasher, path, set)
		if err != nil {
			return nil, err
		}
		e.file.Digests = d
		set &= sum.SHA256
	}
	limits := sum.Limits{Bytes: e.stamp.size}
	if e.stamp.size == 0 { // files of /proc have size 0 and content
		limits.Bytes = min(w.m.opts.MaxFileSize, maxUnsized)
	}
	if w.throttle != nil && w.throttle.rate > 0 {
		limits.Pace = w.throttle.bytes
	}
	keep := r.ReportChanges && !e.link && e.stamp.size <= w.m.opts.MaxSnapshot
	if keep {
		w.keep = w.keep[:0]
		limits.Keep = &w.keep
	}
	if set == 0 && !keep {
		return nil, nil
	}
	d, n, err := w.hasher.Read(ctx, f, set, limits)
	w.read.Add(1)
	w.bytes.Add(n)
	if err != nil {
		return nil, err
	}
	e.file.Merge(d)
	if !keep {
		return nil, nil
	}
	return append(make([]byte, 0, len(w.keep)), w.keep...), nil
}

// maxUnsized bounds the reading of a file that claims to be empty.
const maxUnsized = 16 << 20
