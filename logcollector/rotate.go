package logcollector

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
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

// change goes over to the file that has the name now. The one that is open is read to its end; as programs go on writing into a renamed
// file until they are told, it is followed for a while longer.
func (c *Collector) change(w *follower, now time.Time) (more bool) {
	if st, err := statFile(w.f); err == nil {
		if !w.stream && st.size > w.size {
			w.calm = false
			return true // something came just now
		}
		w.mtime = st.mtime
	}
	c.cur = w
	w.asm.Flush(0, true, c.emit)
	w.settle(c)
	n := w.notice
	if n == "" {
		n = rotated
	}
	if c.tell(n, w.path); c.err != nil {
		return false
	}
	switch {
	case w.stream, n == reduced: // nobody writes into a copy
		if !c.finish(w) {
			return false
		}
		c.remember(w)
		w.close()
	default:
		c.leave(w, now)
	}
	return c.next(w, now)
}

// leave goes on with the file of w in a follower of its own.
func (c *Collector) leave(w *follower, now time.Time) {
	old := *w
	old.key = fmt.Sprintf("%s\x00%x:%x", w.path, w.id.dev, w.id.ino)
	old.retired, old.ready, old.last = true, false, now
	c.order = append(c.order, &old)
	c.store.drop(w.key) // its position is under the new key from now on
	w.f = nil
	if f, err := c.formatOf(w.entry, w.path); err == nil { // it was accepted before
		w.format = f
	}
}

// next opens the file that comes after the one that was followed: usually the one that has the name, but when the name went to another
// file more than once since we last looked, those between come first.
func (c *Collector) next(w *follower, now time.Time) bool {
	after := w.mtime
	if w.offset > 0 {
		after-- // times are coarse: a file may have been filled and renamed within the same tick
	}
	w.parked, w.had, w.id = false, false, identity{}
	opened := c.open(w, now)
	// Looked for after opening, as the name may have gone to another file until then.
	c.rounds++
	if path, ok := c.between(w, after, math.MaxInt64); ok {
		f := w.f
		if c.openOther(w, path, now) {
			if f != nil {
				f.Close()
			}
			return true
		}
	}
	w.seeking = !opened
	return opened
}

// openOther follows a file beside the name from its beginning.
func (c *Collector) openOther(w *follower, path string, now time.Time) bool {
	f, st, err := openFile(path)
	if err != nil {
		return false
	}
	if !st.regular() || c.reading(st.id) {
		f.Close()
		return false
	}
	w.begin(f, st)
	w.last = now
	return true
}

// reading reports whether a file is open.
func (c *Collector) reading(id identity) bool {
	return slices.ContainsFunc(c.order, func(w *follower) bool { return w.f != nil && w.id == id })
}

// missedCopy is for a file of which nothing has been read: what was written into it until it was copied away and emptied, since we last
// looked, is read first. It reports whether there is such a copy.
func (c *Collector) missedCopy(w *follower, cur status, now time.Time) bool {
	after := w.mtime
	if w.size > 0 { // as in next
		after--
	}
	path, ok := c.between(w, after, cur.mtime)
	if !ok {
		return false
	}
	f := w.f
	if !c.openOther(w, path, now) {
		return false
	}
	f.Close()
	w.notice = reduced
	return true
}

// between finds the oldest rotated file beside the name that is not known and was last written to after one time, and not after another (ns).
func (c *Collector) between(w *follower, after, limit int64) (string, bool) {
	var best string
	var bestTime int64
	now, err := statPath(w.path)
	if err != nil {
		now = status{} // nothing has the name at this moment
	}
	for _, path := range c.rotatedNames(w.path) {
		st, err := statPath(path)
		if err != nil || !st.regular() || st.id == w.id || st.id == now.id || st.mtime <= after || st.mtime > limit || st.size == 0 || c.follows(path) || c.reading(st.id) {
			continue
		}
		if _, done := c.done(path, st); done || sameBeginning(path, w.path, min(st.size, now.size)) {
			continue // read already; or the present file is being copied away just now
		}
		if best == "" || st.mtime < bestTime {
			best, bestTime = path, st.mtime
		}
	}
	return best, best != ""
}

// sameBeginning reports whether two files have the first n bytes in common, as far as fingerprints go.
func sameBeginning(a, b string, n int64) bool {
	if n == 0 {
		return false
	}
	var prints [2]fingerprint
	for i, path := range []string{a, b} {
		f, _, err := openFile(path)
		if err != nil {
			return false
		}
		prints[i] = takePrint(f, n)
		f.Close()
	}
	return prints[0] == prints[1]
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
	for _, path := range c.rotatedNames(w.path) {
		if st, err := statPath(path); err != nil || st.id != w.id {
			continue
		}
		f, st, err := openFile(path)
		if err != nil {
			return false
		}
		if st.id == w.id { // whether it was emptied before is looked at when it is read
			w.f, w.parked, w.last = f, false, now
			return true
		}
		f.Close()
	}
	if f, st, ok := c.copyOf(w); ok {
		w.f, w.id, w.parked, w.last = f, st.id, false, now
		return true
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

// copyOf opens the copy of a file that was emptied, if there is one that holds what was read.
func (c *Collector) copyOf(w *follower) (*os.File, status, bool) {
	if w.print.Len == 0 {
		return nil, status{}, false
	}
	for _, path := range c.rotatedNames(w.path) {
		f, st, err := openFile(path)
		if err != nil {
			continue
		}
		if st.regular() && st.id != w.id && st.size >= w.offset && st.mtime >= w.mtime && w.print.of(f) && !c.reading(st.id) {
			return f, st, true
		}
		f.Close()
	}
	return nil, status{}, false
}

// elsewhereRead reports whether the file that a match of a glob stands for is being read under another name, which it has lost, or is a copy
// of one that is. It is left until that is finished with, so that rotation to a name that the glob matches as well does not send everything
// twice.
func (c *Collector) elsewhereRead(path string, st status) bool {
	return c.lostName(st.id) || (st.regular() && c.isCopy(path, st))
}

// adopt goes on where another follower has stopped.
func (c *Collector) adopt(w *follower, st status) {
	if done, ok := c.done(w.path, st); ok {
		w.id, w.offset, w.safe, w.print, w.mtime, w.parked = done.ID, done.Offset, done.Offset, done.Print, done.Mtime, true
		w.calm, w.partial, w.long, w.skip = false, false, false, false
	}
}

// isCopy reports whether a file that a glob matches is a copy, made by rotation, of one that is followed and has not been emptied yet.
func (c *Collector) isCopy(path string, st status) bool {
	for _, original := range originalNames(path) {
		w := c.byPath[original]
		if w == nil || w.f == nil || w.print.Len == 0 || w.id == st.id {
			continue
		}
		if f, _, err := openFile(path); err == nil {
			same := w.print.of(f)
			f.Close()
			if same {
				return true
			}
		}
	}
	return false
}

// originalNames lists the names of which rotation may have made a name: the inverse of rotatedName.
func originalNames(path string) []string {
	dir, base := filepath.Split(path)
	ext := filepath.Ext(base)
	var names []string
	for i := 1; i < len(base); i++ {
		if rotationMark(base[i:]) {
			names = append(names, dir+base[:i])
		}
		if ext != "" && i < len(base)-len(ext) && rotationMark(base[i:len(base)-len(ext)]) {
			names = append(names, dir+base[:i]+ext)
		}
	}
	return names
}

// listing is what a directory held when it was read.
type listing struct {
	dir   status
	round int
	names []string // sorted
}

// maxListings is how many directories are remembered.
const maxListings = 256

// list gives the sorted names of a directory. It is read once in a round at most, and only when it has changed.
func (c *Collector) list(dir string) []string {
	if dir == "" {
		dir = "."
	}
	st, err := statPath(dir)
	old := c.listings[dir]
	if old != nil && err == nil && st.id == old.dir.id && st.mtime == old.dir.mtime &&
		(old.round == c.rounds || time.Since(time.Unix(0, st.mtime)) > calmAfter) {
		return old.names
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	if len(c.listings) >= maxListings {
		clear(c.listings)
	}
	l := &listing{dir: st, round: c.rounds}
	for _, e := range entries {
		l.names = append(l.names, e.Name())
	}
	c.listings[dir] = l
	return l.names
}

// rotatedNames lists the files beside path whose names are made of its name as rotation does: "app.log.1", "app.log-20261124",
// "app-20261124.log", "app.1.log", "app.log.old".
func (c *Collector) rotatedNames(path string) []string {
	dir, base := filepath.Split(path)
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	all := c.list(dir)
	i, _ := slices.BinarySearch(all, stem)
	var names []string
	for ; i < len(all) && strings.HasPrefix(all[i], stem); i++ {
		if rotatedName(base, all[i]) {
			names = append(names, dir+all[i])
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

// done reports whether the file behind a path is one that was read to its end, and how far that was. Its inode number alone does not tell.
func (c *Collector) done(path string, st status) (position, bool) {
	pos, ok := c.finished[st.id]
	if !ok || pos.Print.Len == 0 || pos.Offset > st.size {
		return position{}, false
	}
	f, _, err := openFile(path)
	if err != nil {
		return position{}, false
	}
	defer f.Close()
	return pos, pos.Print.of(f)
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
