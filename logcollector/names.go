package logcollector

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/config"
)

// entry is one <localfile> of the configuration.
type entry struct {
	cfg     config.Localfile
	glob    bool
	dated   bool
	pattern string    // of a glob, as package filepath wants it
	current *follower // of a dated name
	dir     status    // of the directory of a glob when it was last expanded
}

func newEntry(f config.Localfile) *entry {
	e := &entry{cfg: f, glob: hasMeta(f.Location)}
	if e.glob { // POSIX negates with "!", package filepath with "^"
		e.pattern = strings.ReplaceAll(f.Location, "[!", "[^")
	}
	e.dated = !e.glob && strings.Contains(f.Location, "%")
	return e
}

// matches reports whether a glob matches a path. Names that begin with a dot match only a pattern that says so.
func (e *entry) matches(path string) bool {
	ok, err := filepath.Match(e.pattern, path)
	return err == nil && ok && !hides(e.pattern, path)
}

// hides reports whether a path that matches a pattern has a hidden name where the pattern has none.
func hides(pattern, path string) bool {
	if !strings.Contains(path, "/.") && path[:1] != "." {
		return false
	}
	p, n := strings.Split(pattern, "/"), strings.Split(path, "/")
	for i := range min(len(p), len(n)) {
		if strings.HasPrefix(n[i], ".") && !strings.HasPrefix(p[i], ".") && !strings.HasPrefix(p[i], `\.`) {
			return true
		}
	}
	return false
}

// expand lists what a glob matches now, sorted.
func (e *entry) expand() ([]string, error) {
	names, err := filepath.Glob(e.pattern)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return slices.DeleteFunc(names, func(n string) bool { return hides(e.pattern, n) }), nil
}

// unchanged reports whether nothing can have appeared in the directory of a glob since it was last expanded.
func (e *entry) unchanged() bool {
	dir := filepath.Dir(e.pattern)
	if hasMeta(dir) {
		return false
	}
	st, err := statPath(dir)
	if err != nil {
		return false
	}
	old := e.dir
	e.dir = st
	return st.id == old.id && st.mtime == old.mtime && time.Since(time.Unix(0, st.mtime)) > calmAfter
}

// location is the path as the queue wants it: the receiver splits at the first colon, and refuses "..".
func location(path string) string {
	if strings.Contains(path, "..") && strings.Contains(path, "/") {
		path = filepath.Clean(path)
	}
	return strings.ReplaceAll(path, ":", `\`)
}

// add makes the follower of a path; nil when it is followed already or its format refuses the path.
func (c *Collector) add(e *entry, path string, now time.Time) *follower {
	if c.byPath[path] != nil || c.refused[path] {
		return nil
	}
	w := c.newFollower(e, path, now)
	if w == nil {
		c.refused[path] = true
		c.log.Code(1953, "ERROR", "Invalid DJB multilog file: '%s'.", path)
		return nil
	}
	if d, ok := w.asm.(*djb); ok {
		c.log.Info("Using program name '%s' for DJB multilog file: '%s'.", d.program, path)
	}
	c.byPath[path] = w
	c.order = append(c.order, w)
	return w
}

// newFollower makes a follower; nil when the path does not suit the format.
func (c *Collector) newFollower(e *entry, path string, now time.Time) *follower {
	f, err := c.formatOf(e, path)
	if err != nil {
		return nil
	}
	return &follower{entry: e, path: path, key: path, location: location(path), format: f, last: now}
}

func (c *Collector) formatOf(e *entry, path string) (format, error) {
	return formatFor(e.cfg.Format, e.cfg.Lines, path, c.opts.Hostname, c.log, c.opts.Now)
}

// forget ends following a path.
func (c *Collector) forget(w *follower) {
	w.close()
	w.dropped = true
	c.store.drop(w.key)
	if c.byPath[w.path] == w {
		delete(c.byPath, w.path)
	}
	if i := slices.Index(c.order, w); i >= 0 {
		c.order = slices.Delete(c.order, i, i+1)
	}
	if w.entry.current == w {
		w.entry.current = nil
	}
	c.watch.remove(w)
}

// begin takes up what was followed in an earlier run, and opens everything else for the first time: at its end, or at its beginning when
// its place in the configuration was followed before, because then it has appeared since.
func (c *Collector) begin() {
	now := c.opts.Now()
	c.order, c.byPath, c.finished, c.refused = nil, map[string]*follower{}, map[identity]position{}, map[string]bool{}
	c.ready, c.turn = nil, 0
	c.elsewhere = map[string]map[identity]string{}
	for _, k := range c.commands {
		if k.last.IsZero() {
			k.last = now // the first run is after one interval, so that a start is not a burst of commands
		}
	}
	earlier := map[string][]string{}
	configured := map[string]bool{}
	for _, e := range c.entries {
		configured[e.cfg.Location] = true
	}
	left := map[string][]string{} // files that have lost their names
	for key, pos := range c.store.known {
		switch {
		case !configured[pos.Entry]:
		case strings.Contains(key, "\x00"):
			left[pos.Entry] = append(left[pos.Entry], key)
		default:
			earlier[pos.Entry] = append(earlier[pos.Entry], key)
		}
	}
	c.store.forgetAll(func(entry string) bool { return !configured[entry] })
	for _, e := range c.entries {
		for _, key := range left[e.cfg.Location] {
			c.beginLeft(e, key, now)
		}
		switch {
		case e.glob:
			c.beginGlob(e, earlier[e.cfg.Location], now)
		case e.dated:
			c.beginDated(e, earlier[e.cfg.Location], now)
		default:
			c.start(e, e.cfg.Location, now)
		}
		c.store.follow(e.cfg.Location)
	}
	c.elsewhere = nil
	if _, err := c.save(); err != nil { // so that what is written from now on is not missed, even if we are killed
		c.log.Every("save", time.Hour).Error("%v", err)
	}
}

// beginLeft goes on with a file that had lost its name when the last run ended, if it is still there.
func (c *Collector) beginLeft(e *entry, key string, now time.Time) {
	path, _, _ := strings.Cut(key, "\x00")
	w, pos := c.newFollower(e, path, now), c.store.known[key]
	if w != nil && pos.Print.Len > 0 { // of an empty file only the inode number is known, which may be another file's by now
		w.key, w.retired, w.absent = key, true, true
		c.resume(w, pos, now)
	}
	if w == nil || w.f == nil {
		c.store.drop(key)
		return
	}
	c.order = append(c.order, w)
	c.wake(w)
}

func (c *Collector) beginGlob(e *entry, earlier []string, now time.Time) {
	names, err := e.expand()
	if err != nil || len(names) == 0 {
		c.log.Code(1121, "ERROR", "Glob error. Invalid pattern: '%s'.", e.cfg.Location)
	}
	slices.Sort(earlier)
	for _, path := range earlier {
		c.start(e, path, now)
	}
	seen := c.store.entries[e.cfg.Location]
	for _, path := range names {
		if seen {
			c.discover(e, path, now)
		} else if st, err := statPath(path); err == nil && collectable(st) {
			c.start(e, path, now)
		}
	}
}

// collectable reports whether a match of a glob is something to read: devices are read only by their own names.
func collectable(st status) bool { return st.regular() || st.mode == fs.ModeNamedPipe }

func (c *Collector) beginDated(e *entry, earlier []string, now time.Time) {
	path := strftime(e.cfg.Location, now)
	c.log.Code(1952, "INFO", "Monitoring variable log file: '%s'.", path)
	slices.SortFunc(earlier, func(a, b string) int { return int(min(1, max(-1, c.store.known[a].Mtime-c.store.known[b].Mtime))) })
	var since int64
	for _, old := range earlier {
		since = c.store.known[old].Mtime
		if old != path {
			if w := c.start(e, old, now); w != nil {
				w.retired = true
			}
		}
	}
	if since > 0 {
		for _, name := range datesBetween(e.cfg.Location, time.Unix(0, since).In(now.Location()), now) {
			if st, err := statPath(name); err != nil || !st.regular() {
				continue
			}
			if w := c.add(e, name, now); w != nil { // a day that passed while nothing was followed
				w.retired = true
				c.open(w, now)
				c.wake(w)
			}
		}
	}
	e.current = c.start(e, path, now)
}

// datesBetween lists the names that a dated location had between two times, without those at the times.
func datesBetween(location string, from, to time.Time) []string {
	step := time.Hour
	if strings.Contains(location, "%M") || strings.Contains(location, "%R") || strings.Contains(location, "%T") {
		step = time.Minute
	}
	if limit := to.Add(-1000 * step); from.Before(limit) {
		from = limit
	}
	first, last := strftime(location, from), strftime(location, to)
	var names []string
	for t := from; t.Before(to); t = t.Add(step) {
		if n := strftime(location, t); n != first && n != last && (len(names) == 0 || names[len(names)-1] != n) {
			names = append(names, n)
		}
	}
	return names
}

// start follows a path from the start of the collector on.
func (c *Collector) start(e *entry, path string, now time.Time) *follower {
	w := c.add(e, path, now)
	if w == nil {
		return nil
	}
	pos, known := c.store.known[path]
	if known {
		c.resume(w, pos, now)
	} else {
		c.first(w, now)
	}
	if e.glob && w.f == nil && !w.parked { // renamed or removed while nothing was followed
		if _, err := statPath(path); err != nil {
			c.forget(w)
			return nil
		}
	}
	c.log.Code(1950, "INFO", "Analyzing file: '%s'.", path)
	c.wake(w)
	return w
}

// first opens a file that was never followed.
func (c *Collector) first(w *follower, now time.Time) {
	st, err := statPath(w.path)
	if err == nil && st.mode.IsDir() {
		c.arrive(w, st, nil, now)
		return
	}
	if !c.open(w, now) {
		if err == nil && st.regular() && !c.store.entries[w.entry.cfg.Location] { // not allowed, for now: what it holds already is not news
			w.id, w.offset, w.safe, w.parked = st.id, st.size, st.size, true
		}
		return
	}
	if st, err := statFile(w.f); err == nil && !c.store.entries[w.entry.cfg.Location] {
		w.toEnd(st)
	}
}

// resume goes on in a file that was followed in an earlier run, wherever it is now.
func (c *Collector) resume(w *follower, pos position, now time.Time) {
	w.id, w.offset, w.safe, w.mtime, w.print, w.parked = pos.ID, pos.Offset, pos.Offset, pos.Mtime, pos.Print, true
	if r, ok := w.asm.(remembering); ok {
		r.Recall(pos.State)
	}
	st, err := statPath(w.path)
	if err == nil && st.id == w.id {
		c.open(w, now)
		return
	}
	if path := c.renamed(w); path != "" {
		if f, st, err := openFile(path); err == nil {
			// One that begins differently was emptied before it was renamed, or its inode number is another file's now.
			if st.id == w.id && ((w.print.Len > 0 && w.print.of(f)) || rotatedName(filepath.Base(w.path), filepath.Base(path))) {
				w.f, w.parked, w.last = f, false, now
				return
			}
			f.Close()
		}
	}
	if f, st, ok := c.copyOf(w); ok {
		w.f, w.id, w.parked, w.last = f, st.id, false, now
		return
	}
	w.parked, w.had = false, true
	if err != nil {
		c.missing(w, err)
	}
}

// renamed finds the file that a follower followed under another name in the same directory, "" when it is not there.
func (c *Collector) renamed(w *follower) string {
	dir := filepath.Dir(w.path)
	if c.elsewhere[dir] == nil {
		c.elsewhere[dir] = identities(dir)
	}
	return c.elsewhere[dir][w.id]
}

// names looks for what dated names and globs stand for now.
func (c *Collector) names(now time.Time) {
	for _, e := range c.entries {
		switch {
		case e.glob:
			if e.unchanged() && !c.waiting[e] {
				continue
			}
			delete(c.waiting, e)
			names, err := e.expand()
			if err != nil {
				continue
			}
			for _, path := range names {
				if c.byPath[path] == nil {
					c.discover(e, path, now)
				}
			}
		case e.dated:
			c.newDate(e, now)
		}
	}
}

// discover follows a new match of a glob from its beginning.
func (c *Collector) discover(e *entry, path string, now time.Time) {
	st, err := statPath(path)
	if err != nil || !collectable(st) {
		return
	}
	if c.elsewhereRead(path, st) {
		c.waiting[e] = true
		return
	}
	w := c.add(e, path, now)
	if w == nil {
		return
	}
	c.log.Code(1950, "INFO", "Analyzing file: '%s'.", path)
	c.adopt(w, st)
	c.wake(w)
}

// lostName reports whether a file is followed by a follower whose name it has lost.
func (c *Collector) lostName(id identity) bool {
	for _, w := range c.order {
		if w.id == id && w.f != nil {
			if st, err := statPath(w.path); err != nil || st.id != id {
				return true
			}
		}
	}
	return false
}

// newDate changes over to a new dated name. The old file is followed for a while, as programs do not change over at the same moment.
func (c *Collector) newDate(e *entry, now time.Time) {
	path := strftime(e.cfg.Location, now)
	old := e.current
	if old != nil && old.path == path {
		return
	}
	if w := c.byPath[path]; w != nil && w.entry == e { // the clock was put back
		w.retired, e.current = false, w
	} else if w := c.add(e, path, now); w != nil {
		c.log.Code(1952, "INFO", "Monitoring variable log file: '%s'.", path)
		e.current = w
		c.wake(w)
	} else {
		return
	}
	if old != nil {
		old.retired, old.last = true, now
	}
}

// retire leaves a file with an outdated name when nothing has come for a while.
func (c *Collector) retire(w *follower, now time.Time) {
	if w.f != nil && now.Sub(w.last) < goneAfter {
		return
	}
	if w.f == nil || c.finish(w) {
		c.remember(w)
		c.forget(w)
	}
}

func hasMeta(path string) bool { return strings.ContainsAny(path, "*?[") }
