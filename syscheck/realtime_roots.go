package syscheck

import (
	"context"
	"slices"
	"time"
)

// rootSeen is what stood at a realtime root when it was looked at last.
type rootSeen struct {
	kind          kind
	inode, device uint64
	info          fileInfo // of a single file, with the stamp of what a symbolic link leads to
}

// lookEvery is how often the realtime roots themselves are looked at.
const lookEvery = 2 * time.Second

// lookLoop notices what no watch can tell, because it happens to a root itself: a configured directory that comes, comes back, or is replaced
// by another one, and a change of a configured single file.
func (rt *realtime) lookLoop(ctx context.Context) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	seen := make([]rootSeen, len(rt.m.roots))
	for i, r := range rt.m.roots {
		seen[i] = lookAt(r)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for i, r := range rt.m.roots {
			before, now := seen[i], lookAt(r)
			seen[i] = now
			if before != now || now.kind == kindDir && rt.tookUnwatched(r.path) {
				rt.rootChanged(r, before.kind, now.kind)
			}
		}
	}
}

// lookAt looks at a root; nothing is seen of one that is not watched in real time, or cannot be looked at.
func lookAt(r *root) (s rootSeen) {
	if !r.Realtime {
		return s
	}
	info, err := stat(r.path)
	if err == nil && info.kind == kindDir {
		return rootSeen{kind: kindDir, inode: info.stamp.inode, device: info.stamp.device}
	}
	if own, lerr := lstat(r.path); lerr == nil {
		s.kind, s.info = own.kind, own
		if own.kind == kindSymlink && err == nil {
			s.info.stamp = info.stamp
		}
	}
	return s
}

// rootChanged asks for a look at a root. The watches of a directory that stood there tell nothing about the root any more. What a directory
// held that is not there is not reported as deleted, as in a scan: the place may be a mount point.
func (rt *realtime) rootChanged(r *root, before, now kind) {
	if before == kindDir {
		rt.forget(r.path)
		if now == kindOther || now == kindSymlink {
			return
		}
	}
	if now == kindDir {
		rt.m.log.Info("Directory set for real time monitoring: '%s'.", r.path)
	}
	rt.collect(r.path, true, time.Now())
}

// unwatch notes that the kernel ended the watch of a directory, because that is gone. The next one may have the same inode.
func (rt *realtime) unwatch(dir string) {
	if !slices.ContainsFunc(rt.m.roots, func(r *root) bool { return r.Realtime && r.path == dir }) {
		return
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.unwatched[dir] = true
}

// tookUnwatched reports whether the watch of a root ended, once.
func (rt *realtime) tookUnwatched(dir string) bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	was := rt.unwatched[dir]
	delete(rt.unwatched, dir)
	return was
}

// forget ends the watches at and below dir.
func (rt *realtime) forget(dir string) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.watcher != nil {
		rt.watcher.removeTree(dir)
	}
}
