package logcollector

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// tell sends a notice about a file (spec logcollector.md, section 10).
func (c *Collector) tell(n notice, path string) {
	text := fmt.Sprintf(string(n), path)
	if len(text) > 511 {
		text = text[:511]
	}
	c.deliver(event.Message{Kind: event.KindLog, Location: "ossec-logcollector", Text: text})
}

// change goes over to the file that has the name now; the one that is open is read to its end.
func (c *Collector) change(w *follower, now time.Time) (more bool) {
	if !c.finish(w) {
		return false
	}
	if st, err := statFile(w.f); err == nil {
		if !w.stream && st.size > w.size {
			return true // something came just now
		}
		w.mtime = st.mtime
	}
	c.remember(w)
	w.close()
	n := w.notice
	if n == "" {
		n = rotated
	}
	return c.next(w, n, now)
}

// next opens the file that comes after the one that was followed: usually the one that has the name, but when the name went to another
// file more than once since we last looked, those between come first.
func (c *Collector) next(w *follower, n notice, now time.Time) bool {
	if c.tell(n, w.path); c.err != nil {
		return false
	}
	path, ok := c.between(w)
	old := w.id
	w.parked, w.had, w.id = false, false, identity{}
	if ok {
		if f, st, err := openFile(path); err == nil {
			if st.regular() && st.id != old {
				w.begin(f, st)
				w.last = now
				return true
			}
			f.Close()
		}
	}
	if !c.open(w, now) {
		w.had = true // the notice was sent for nothing; a file that comes later is told of again
		return false
	}
	return true
}

// between finds the oldest rotated file beside the name that was written after the file that was followed.
func (c *Collector) between(w *follower) (string, bool) {
	var best string
	var bestTime int64
	now, err := statPath(w.path)
	if err != nil {
		return "", false
	}
	for _, path := range rotatedNames(w.path) {
		st, err := statPath(path)
		if err != nil || !st.regular() || st.id == w.id || st.id == now.id || st.mtime <= w.mtime || st.size == 0 || c.follows(path) {
			continue
		}
		if _, done := c.finished[st.id]; done {
			continue
		}
		if best == "" || st.mtime < bestTime {
			best, bestTime = path, st.mtime
		}
	}
	return best, best != ""
}

// follows reports whether a path is followed, or will be, under its own name.
func (c *Collector) follows(path string) bool {
	if c.byPath[path] != nil {
		return true
	}
	for _, e := range c.entries {
		if e.glob && e.matches(path) {
			return true
		}
	}
	return false
}

// reopenRotated opens a parked file that has got another name since.
func (c *Collector) reopenRotated(w *follower, now time.Time) bool {
	for _, path := range rotatedNames(w.path) {
		if st, err := statPath(path); err != nil || st.id != w.id {
			continue
		}
		f, st, err := openFile(path)
		if err != nil {
			return false
		}
		if st.id == w.id && w.print.of(f) {
			w.f, w.parked, w.last = f, false, now
			return true
		}
		f.Close()
	}
	return false
}

// emptied is for a file that has become shorter than what was read, or begins differently: copied away and emptied, usually. What had not
// been read of it is in the copy, which is read first.
func (c *Collector) emptied(w *follower, now time.Time) (more bool) {
	if f, st, ok := c.copyOf(w); ok {
		w.close()
		w.f, w.id, w.notice = f, st.id, reduced
		w.size, w.calm = 0, false
		return true
	}
	w.partial, w.rest = false, nil // a begun line is lost with the file
	if !c.finish(w) {
		return false
	}
	if c.tell(reduced, w.path); c.err != nil {
		return false
	}
	f := w.f
	st, err := statFile(f)
	if err != nil {
		c.broken(w, err)
		return false
	}
	w.begin(f, st)
	w.last = now
	return true
}

// copyOf opens the copy of a file that was emptied, if there is one that holds more than what was read.
func (c *Collector) copyOf(w *follower) (*os.File, status, bool) {
	if w.print.Len == 0 {
		return nil, status{}, false
	}
	for _, path := range rotatedNames(w.path) {
		f, st, err := openFile(path)
		if err != nil {
			continue
		}
		if st.regular() && st.id != w.id && st.size > w.offset && st.mtime >= w.mtime && w.print.of(f) && c.byPath[path] == nil {
			return f, st, true
		}
		f.Close()
	}
	return nil, status{}, false
}

// rotatedNames lists the files beside path whose names are made of its name as rotation does: "app.log.1", "app.log-20261124",
// "app-20261124.log", "app.1.log", "app.log.old".
func rotatedNames(path string) []string {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean("./" + dir))
	if filepath.IsAbs(path) {
		entries, err = os.ReadDir(dir)
	}
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if rotatedName(base, e.Name()) {
			names = append(names, dir+e.Name())
		}
	}
	return names
}

func rotatedName(base, name string) bool {
	if rest, ok := strings.CutPrefix(name, base); ok && rotationMark(rest) {
		return true
	}
	ext := filepath.Ext(base)
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(base, ext))
	if !ok || ext == "" {
		return false
	}
	rest, ok = strings.CutSuffix(rest, ext)
	return ok && rotationMark(rest)
}

// rotationMark reports whether s is what rotation adds to a name: a separator and a number, a date or "old".
func rotationMark(s string) bool {
	if len(s) < 2 || strings.IndexByte(".-_", s[0]) < 0 {
		return false
	}
	if s[1:] == "old" {
		return true
	}
	digits := false
	for i := 1; i < len(s); i++ {
		digits = digits || digit(s[i])
		if !digit(s[i]) && strings.IndexByte(".-_T:", s[i]) < 0 {
			return false
		}
	}
	return digits
}

// maxFinished is how many files that were read to their end are remembered.
const maxFinished = 4096

// remember notes that the file of a follower is read to its end, so that it is not read again when it turns up under another name that a
// glob matches.
func (c *Collector) remember(w *follower) {
	if w.stream || w.id == (identity{}) {
		return
	}
	if len(c.finished) >= maxFinished {
		for id := range c.finished { // any one: this many renames at once do not happen
			delete(c.finished, id)
			break
		}
	}
	c.finished[w.id] = position{ID: w.id, Offset: w.offset, Print: w.print, Mtime: w.mtime}
}

// park closes files that have been calm, so that others can be opened when there are more files than descriptors. It reports whether there
// was one.
func (c *Collector) park() bool {
	n := 0
	for _, w := range c.order {
		if w.f != nil && !w.stream && w.calm && !w.ready && !w.retired {
			w.close()
			w.parked = true
			if n++; n == 64 {
				break
			}
		}
	}
	c.log.Every("park", time.Hour).Warn("there are more files than descriptors; quiet files are closed until they change.")
	return n > 0
}
