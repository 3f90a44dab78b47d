package syscheck

import (
	"context"
	"errors"
	"io/fs"
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

// begin compares the attributes of the file of t with the baseline. Unless that is enough for an outcome, it opens the file, which read and
// finish go on with (spec section 4.9 and 4.10). The error is that of the sink, of ctx or of the baseline; trouble with the file is logged.
func (w *worker) begin(ctx context.Context, t *task) (found outcome, done bool, err error) {
	m, path := w.m, t.path
	t.old, t.known = m.store.get(path)
	t.r = m.rootOf(path)
	if !t.looked {
		t.info, err = lstat(path)
	}
	if !t.walked {
		err = belowRoot(t.r, path, err)
	}
	if err != nil && !gone(err) {
		m.log.Text("Error accessing '%s'.", path)
		return outcomeFailed, true, nil
	}
	if err != nil || t.info.kind != kindRegular && t.info.kind != kindSymlink {
		switch {
		case t.known:
			return outcomeDeleted, true, m.deleted(ctx, path)
		case t.again:
			return outcomeNone, true, m.send(ctx, message(sum.Deleted, path, ""))
		}
		return outcomeNone, true, nil
	}
	if t.again || t.r == nil || !t.known && m.ignore.match(path) {
		return outcomeNone, true, nil
	}
	t.target = linkTarget(path, &t.info)
	if t.known && t.old.holds(t.r.set, &t.info, t.target) {
		if t.forward {
			return outcomeNone, true, m.send(ctx, message(t.old.text(), path, ""))
		}
		return outcomeNone, true, nil
	}
	reads, err := w.open(t)
	if errors.Is(err, errVanished) && t.looked { // since the walker came by
		t.looked = false
		return w.begin(ctx, t)
	}
	if reads {
		return outcomeNone, false, nil
	}
	found, err = w.conclude(ctx, t, nil, err)
	return found, true, err
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
	return m.store.reportedGone(path)
}

// conclude decides between new, changed and unchanged once all of the file is known that can be known; failed is why it could not be
// read. It sends the message that is due and then brings the baseline up to date.
func (w *worker) conclude(ctx context.Context, t *task, content []byte, failed error) (outcome, error) {
	m, path, e := w.m, t.path, t.entry
	if failed != nil && ctx.Err() != nil {
		return outcomeFailed, ctx.Err()
	}
	if errors.Is(failed, errVanished) { // its own event or the next scan will tell
		return outcomeNone, nil
	}
	if failed != nil {
		m.log.Warn("Unable to read file '%s' for checksum: %v", path, failed)
		if t.known {
			return outcomeFailed, nil // no false change
		}
	}
	text := e.text()
	if t.known && t.old.set == t.r.set && !sum.RealChange(t.old.text(), text) {
		if t.forward {
			if err := m.send(ctx, message(text, path, "")); err != nil {
				return outcomeNone, err
			}
		}
		return outcomeNone, m.store.put(path, e)
	}
	diff := w.snapshot(t.r, path, e, content)
	if !t.known {
		diff = ""
	}
	if err := m.send(ctx, message(text, path, diff)); err != nil {
		return outcomeNone, err
	}
	if err := m.store.put(path, e); err != nil {
		return outcomeNone, err
	}
	switch {
	case failed != nil:
		return outcomeFailed, nil
	case t.known:
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

// open makes the entry of a file that exists, and opens the file if it has to be read. With an error the entry is valid but has no hashes.
func (w *worker) open(t *task) (reads bool, err error) {
	r, info := t.r, &t.info
	e := &entry{set: r.set, link: info.kind == kindSymlink, stamp: contentStamp(info, t.target)}
	t.entry = e
	e.file = sum.File{Size: info.size, Mode: info.mode, UID: info.uid, GID: info.gid}
	if e.link && e.stamp == (stamp{}) {
		return false, nil
	}
	if r.set&sum.Hashes == 0 && !r.ReportChanges {
		return false, nil
	}
	t.begun = time.Now().UnixNano()
	f, opened, err := openContent(t.path, e.link)
	switch {
	case err != nil && (gone(err) || errors.Is(err, errNotRegular) || replaced(err)):
		return false, errVanished
	case err != nil:
		e.racy = true
		return false, err
	}
	e.stamp = opened.stamp
	if !e.link {
		e.file.Size, e.file.Mode, e.file.UID, e.file.GID = opened.size, opened.mode, opened.uid, opened.gid
	}
	if opened.size > w.m.opts.MaxFileSize {
		f.Close() //nolint:errcheck // opened for reading
		w.m.log.Every("syscheck size", time.Hour).Warn("File '%s' is larger than %d bytes and is not hashed.", t.path, w.m.opts.MaxFileSize)
		return false, nil
	}
	t.file, t.open = f, true
	t.share = w.m.cfg.PrefilterCmd == "" && !r.ReportChanges && opened.size >= seenMin && opened.stamp.proves(t.begun)
	return true, nil
}

// source says what of the open file has to be read: ok is false if nothing has.
func (w *worker) source(ctx context.Context, t *task) (src sum.Source, ok bool, err error) {
	e := t.entry
	src = sum.Source{Reader: t.file, Set: e.set & sum.Hashes, Limits: sum.Limits{Bytes: e.stamp.size}}
	if w.m.cfg.PrefilterCmd != "" && src.Set&(sum.MD5|sum.SHA1) != 0 {
		d, err := w.m.prefilter(ctx, t.path, src.Set)
		if err != nil {
			return src, false, err
		}
		e.file.Digests = d
		src.Set &= sum.SHA256
	}
	if e.stamp.size == 0 { // files of /proc have size 0 and content
		src.Limits.Bytes = min(w.m.opts.MaxFileSize, maxUnsized)
	}
	if w.throttle != nil && w.throttle.rate > 0 {
		src.Limits.Pace = w.throttle.bytes
	}
	if w.keeps(t) {
		t.kept = []byte{}
		src.Limits.Keep = &t.kept
	}
	return src, src.Set != 0 || t.kept != nil, nil
}

// keeps reports whether the content of a file may be wanted for a snapshot.
func (w *worker) keeps(t *task) bool {
	return t.r.ReportChanges && !t.entry.link && t.entry.stamp.size <= w.m.opts.MaxSnapshot
}

// finish takes what the reading of a file gave and concludes.
func (w *worker) finish(ctx context.Context, t *task, d sum.Digests, err error) (outcome, error) {
	e := t.entry
	after, rerr := t.file.restat()
	e.racy = err != nil || rerr != nil || after.stamp != e.stamp || !e.stamp.proves(t.begun)
	if err != nil {
		e.file.Digests = sum.Digests{}
	} else {
		e.file.Merge(d)
	}
	if t.owns && !e.racy {
		w.m.seen.put(e.stamp, e.file.Digests)
		t.owns = false
	}
	return w.conclude(ctx, t, t.kept, err)
}

// maxUnsized bounds the reading of a file that claims to be empty.
const maxUnsized = 16 << 20
