package rules

import (
	"encoding/binary"

	"github.com/vedette-hids/vedette/event"
)

// maxPrevious is how many earlier logs an alert lists.
const maxPrevious = 11

// correlator holds the memories that correlation rules search (spec rules.md, section 9). It is used by one goroutine.
//
// A search is defined as a walk over a window from the newest fact to the oldest. Where a rule asks for equal values or for a pattern
// the walk would pass over many foreign facts; then the facts are indexed in a view by the values that must be equal, and only those of
// the event's own values are visited. The result is the same, which the tests prove against the plain walk.
type correlator struct {
	rs     *Ruleset
	sid    map[int]*window // by id of the counted rule
	groups map[int]*window // by id of the correlation rule
	recent []*window       // by shard
	shared bool            // several shards: no views, facts may leave from the middle

	sidOf   []*window   // by rule index
	groupOf [][]*window // by rule index: the windows that count the rule, once per position
	viewOf  []*view     // by rule index
	free    []*fact
	probe   fact // the event of the present search
	key     []byte
	naive   bool // tests only: never use views
}

func newCorrelator(shards int) *correlator {
	c := &correlator{sid: map[int]*window{}, groups: map[int]*window{}, shared: shards > 1}
	for range shards {
		c.recent = append(c.recent, &window{})
	}
	return c
}

// bind makes the windows fit rs and keeps those whose rules are still there.
func (c *correlator) bind(rs *Ruleset) {
	c.rs = rs
	sid, groups := map[int]*window{}, map[int]*window{}
	c.sidOf = make([]*window, len(rs.rules))
	c.groupOf = make([][]*window, len(rs.rules))
	c.viewOf = make([]*view, len(rs.rules))
	keep := func(from, to map[int]*window, id int) *window {
		w := to[id]
		if w == nil {
			if w = from[id]; w == nil {
				w = &window{}
			}
			w.views = nil
			to[id] = w
		}
		return w
	}
	for _, w := range c.recent {
		w.views = nil
	}
	for _, r := range rs.rules {
		if r.sidTarget {
			c.sidOf[r.index] = keep(c.sid, sid, r.ID)
		}
		for _, g := range r.groupLists {
			c.groupOf[r.index] = append(c.groupOf[r.index], keep(c.groups, groups, rs.rules[g].ID))
		}
	}
	c.sid, c.groups = sid, groups
}

// store keeps an event whose final rule is r (spec rules.md, section 8 step 7).
func (c *correlator) store(ev *event.Event, r *Rule, epoch int64, mark, shard int) {
	f := c.newFact()
	f.remember(ev, epoch)
	f.refs = f.inRef[:0]
	f.mark = mark
	if w := c.sidOf[r.index]; w != nil {
		f.sid = w
		w.push(f)
		if w.len() > c.rs.opts.SIDPrevMatchedMax {
			w.pop().sid = nil
		}
	} else {
		for _, g := range c.groupOf[r.index] {
			f.group = append(f.group, g)
			g.push(f)
		}
	}
	w := c.recent[shard]
	w.push(f)
	if w.len() > c.rs.opts.MemorySize {
		c.trim(w)
	}
}

func (c *correlator) newFact() *fact {
	if n := len(c.free); n > 0 {
		f := c.free[n-1]
		c.free = c.free[:n-1]
		return f
	}
	return &fact{}
}

// trim drops the ten oldest facts of a full memory, then all that are much older than the newest.
func (c *correlator) trim(w *window) {
	newest := w.at(w.next - 1).epoch
	for i := 0; w.len() > 1; i++ {
		oldest := w.at(w.base)
		if i >= 10 && newest-oldest.epoch <= int64(c.rs.maxFreq) {
			return
		}
		c.drop(w.pop())
	}
}

// drop removes a fact that left the recent memory from the other lists: itself from the list of its rule, and the oldest one from each
// group list that it was in.
func (c *correlator) drop(f *fact) {
	if f.sid != nil {
		f.sid.remove(f)
		f.sid = nil
	}
	for _, g := range f.group {
		if old := g.pop(); old != nil && old != f {
			c.recycle(old)
		}
	}
	c.recycle(f)
}

// recycle reuses a fact that no window holds any more.
func (c *correlator) recycle(f *fact) {
	if len(f.refs) == 0 && len(c.free) < 64 {
		c.free = append(c.free, f)
	}
}

// search looks whether ev fires the correlation rule r, and marks what it counted. missing is true when there is nothing to search.
func (c *correlator) search(r *Rule, ev *event.Event, now int64, shard int, mark *int, previous []string) (out []string, ok, missing bool) {
	w, missing := c.windowOf(r, shard)
	if w == nil || w.len() == 0 || r.Level == 0 { // every mark, 0 included, stops a search of level 0
		return nil, false, missing
	}
	s := c.run(r, ev, w, now)
	s.previous = previous[:0]
	var e *fact
	if c.useView(&s) {
		e = s.byView()
	} else {
		e = s.walk()
	}
	if e == nil {
		return nil, false, false
	}
	*mark = r.Level
	w.at(w.next - 1).setMark(r.Level)
	e.setMark(r.Level)
	return s.previous, true, false
}

// windowOf is the memory that r searches.
func (c *correlator) windowOf(r *Rule, shard int) (w *window, missing bool) {
	switch r.search.kind {
	case searchSID:
		if r.search.target == nil {
			return nil, true
		}
		return c.sidOf[r.search.target.index], false
	case searchGroup:
		return c.groups[r.ID], false
	}
	return c.recent[shard], false
}

func (c *correlator) run(r *Rule, ev *event.Event, w *window, now int64) searchRun {
	s := searchRun{c: c, r: r, ev: ev, w: w, now: now, check: r.check}
	if r.search.kind == searchRegex {
		s.check &^= sameSrcPort | sameDstPort | sameLocation
	}
	return s
}

// peek searches without marking and without views. n is the number of facts counted before the deciding one.
func (c *correlator) peek(r *Rule, ev *event.Event, now int64, shard int) (n int, ok bool) {
	w, _ := c.windowOf(r, shard)
	if w == nil || w.len() == 0 {
		return 0, false
	}
	s := c.run(r, ev, w, now)
	e := s.walk()
	return s.n, e != nil
}

// searchRun is one search.
type searchRun struct {
	c        *correlator
	r        *Rule
	ev       *event.Event
	w        *window
	now      int64
	check    checks
	n        int
	previous []string
}

// walk is the search as the spec writes it.
func (s *searchRun) walk() *fact {
	for seq := s.w.next; seq > s.w.base; seq-- {
		e := s.w.at(seq - 1)
		if s.now-e.epoch > int64(s.r.timeframe) || e.mark >= s.r.Level {
			return nil
		}
		if s.r.search.kind == searchRegex && !s.counts(e) {
			continue
		}
		if !s.holds(e) {
			continue
		}
		if s.count(e) {
			return e
		}
	}
	return nil
}

// counts is the extra condition of the regex kind.
func (s *searchRun) counts(e *fact) bool {
	return e.typ == s.ev.Type && (s.r.search.regex == nil || s.r.search.regex.MatchString(e.log))
}

// count counts e and reports whether it is the deciding one.
func (s *searchRun) count(e *fact) bool {
	if s.n < s.r.Frequency {
		s.n++
		s.list(e)
		return false
	}
	if s.r.search.kind == searchSID {
		s.list(e)
	}
	return true
}

func (s *searchRun) list(e *fact) {
	if len(s.previous) < maxPrevious {
		s.previous = append(s.previous, e.full)
	}
}

// holds tests the modifiers between the event and an earlier one.
func (s *searchRun) holds(e *fact) bool {
	c := s.check
	f := &s.ev.Fields
	switch {
	case c&sameSrcIP != 0 && !same(f, event.SrcIP, e, e.srcIP),
		c&sameSrcPort != 0 && !same(f, event.SrcPort, e, e.srcPort),
		c&sameDstPort != 0 && !same(f, event.DstPort, e, e.dstPort),
		c&sameUser != 0 && !same(f, event.DstUser, e, e.dstUser),
		c&sameID != 0 && !same(f, event.ID, e, e.id),
		c&sameLocation != 0 && s.ev.Hostname != e.host,
		c&differentSrcGeo != 0:
		return false
	}
	if c&differentURL != 0 {
		url, ok := f.Get(event.URL)
		return ok && e.has(event.URL) && url != e.url
	}
	return true
}

func same(f *event.Fields, k event.Field, e *fact, v string) bool {
	cur, ok := f.Get(k)
	return ok && e.has(k) && cur == v
}

// view is an index of a window for one correlation rule: the facts that can count, by the values that must be equal. It follows the
// window lazily, when it is searched.
type view struct {
	check  checks
	next   uint64 // first fact of the window that is not indexed
	chains map[string][]uint64
	held   int // sequence numbers in chains
}

// keyed are the modifiers that a view can index.
const keyed = sameSrcIP | sameSrcPort | sameDstPort | sameUser | sameID | sameLocation

// minView is the length from which an index beats the walk.
const minView = 24

// useView decides whether to search by index: for long windows in order of time, when the rule passes over foreign facts.
func (c *correlator) useView(s *searchRun) bool {
	if c.naive || c.shared || s.w.len() < minView || !s.w.ordered() {
		return false
	}
	return s.check&keyed != 0 || (s.r.search.kind == searchRegex && s.r.search.regex != nil)
}

func (v *view) forget() { v.next, v.chains, v.held = 0, nil, 0 }

// follow brings the view up to date with the window.
func (v *view) follow(s *searchRun) {
	if v.held > 2*s.w.len()+64 {
		v.forget()
	}
	if v.chains == nil {
		v.chains = map[string][]uint64{}
	}
	for v.next = max(v.next, s.w.base); v.next < s.w.next; v.next++ {
		e := s.w.at(v.next)
		if s.r.search.kind == searchRegex && s.r.search.regex != nil && !s.r.search.regex.MatchString(e.log) {
			continue
		}
		key, ok := e.appendKey(s.c.key[:0], v.check)
		s.c.key = key
		if !ok {
			continue
		}
		chain := v.chains[string(key)]
		if len(chain) > 16 && chain[len(chain)/2] < s.w.base {
			n := copy(chain, chain[len(chain)/2:])
			v.held -= len(chain) - n
			chain = chain[:n]
		}
		v.chains[string(key)] = append(chain, v.next)
		v.held++
	}
}

// byView gives what walk gives. With facts in order of time the walk fails exactly when it meets a fact that is too old or marked, so
// only the counted facts before the first such one matter.
func (s *searchRun) byView() *fact {
	v := s.c.viewOf[s.r.index]
	if v == nil {
		v = &view{check: s.check & keyed}
		if s.r.search.kind == searchRegex {
			v.check |= sameType
		}
		s.c.viewOf[s.r.index] = v
		s.w.views = append(s.w.views, v)
	}
	v.follow(s)
	s.c.probe.remember(s.ev, s.now)
	key, ok := s.c.probe.appendKey(s.c.key[:0], v.check)
	s.c.key = key
	if !ok {
		return nil
	}
	chain := v.chains[string(key)]
	barrier := s.w.barrier(s.r.Level)
	for i := len(chain) - 1; i >= 0 && chain[i] >= barrier; i-- {
		e := s.w.at(chain[i])
		if s.now-e.epoch > int64(s.r.timeframe) {
			return nil
		}
		if s.holds(e) && s.count(e) {
			return e
		}
	}
	return nil
}

// appendKey appends the values that check compares, each with its length; ok is false when one of them is missing.
func (f *fact) appendKey(b []byte, check checks) ([]byte, bool) {
	ok := true
	if check&sameType != 0 {
		b = append(b, byte(f.typ))
	}
	add := func(bit checks, present bool, v string) {
		if check&bit != 0 {
			ok = ok && present
			b = binary.AppendUvarint(b, uint64(len(v)))
			b = append(b, v...)
		}
	}
	add(sameSrcIP, f.has(event.SrcIP), f.srcIP)
	add(sameSrcPort, f.has(event.SrcPort), f.srcPort)
	add(sameDstPort, f.has(event.DstPort), f.dstPort)
	add(sameUser, f.has(event.DstUser), f.dstUser)
	add(sameID, f.has(event.ID), f.id)
	add(sameLocation, true, f.host)
	return b, ok
}
