package rules

import (
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/rules/decode"
)

// Reason says why an event made no alert.
type Reason uint8

// The reasons, in the order in which they are decided.
const (
	NotDropped      Reason = iota // there is an alert, or nothing is known
	DroppedRepeat                 // its text equals one of the last three: neither matched nor archived nor counted
	DroppedFirewall               // a firewall event without action, addresses or protocol: likewise
	NoRule                        // no rule matched
	LevelZero                     // the final rule has level 0
	InIgnoreWindow                // the final rule is in its ignore window
	InIgnoreStore                 // check_if_ignored found the event in the ignore store
	NotLogged                     // stored for correlation, but the rule is neither logged nor has it responses
)

var reasonTexts = [...]string{"", "repeated text", "incomplete firewall event", "no rule matched", "rule of level 0",
	"rule in its ignore window", "event in the ignore store", "rule is not logged and has no response"}

func (r Reason) String() string { return reasonTexts[r] }

// Dropped reports whether the event left the pipeline before matching: it must not be archived either.
func (r Reason) Dropped() bool { return r == DroppedRepeat || r == DroppedFirewall }

// Outcome is what became of an event.
type Outcome struct {
	Rule   *Rule        // final rule, level 0 included; nil when none matched
	Fired  int          // matches of Rule since the last hourly reset, this one included
	Alert  *event.Alert // nil when there is none; with Rule.Log false it is for responses only
	Extra  *event.Alert // statistical alert, to be written before Alert; almost always nil
	Reason Reason       // why Alert is nil
	Trace  []Step       // the rules tried, by Trace only
}

// Step is one rule that was tried, as the verbose test tool prints it.
type Step struct {
	Rule     *Rule
	Matched  bool
	Children bool // its child rules are tried next
}

// Stores are the persistent parts of a State. Nil stores are kept in memory only.
type Stores struct {
	FTS         Novelty
	Ignore      IgnoreStore
	Diff        DiffStore
	Accumulator *decode.Accumulator
	Stats       *Statistics       // nil = no statistics
	Error       func(text string) // takes run-time messages ("ERROR: No sid search."); nil discards
}

// State is the ordered part of matching: everything that depends on earlier events. Events must be given to it one by one, in the
// order of their arrival; it is not safe for concurrent use. It survives the swap of its ruleset.
type State struct {
	rs     *Ruleset
	stores Stores
	corr   *correlator
	shards []shard
	fired  []int   // by rule index, since the last hourly reset
	opened []int64 // by rule index: when the ignore window opened, 0 = never
	seq    uint64
	hour   int64 // hour of the last event, for the reset of fired

	// For the event in hand.
	sc       Scratch
	ev       *event.Event
	now      int64
	shard    int
	mark     int
	previous []string
	spare    []string
}

// shard is what OSSEC keeps per matching thread.
type shard struct {
	texts     [3]string // last different accepted texts, a ring
	locations [3]string
	at        int
	filled    int
}

// NewState makes the state for rs.
func NewState(rs *Ruleset, stores Stores) *State {
	if stores.FTS == nil {
		stores.FTS = decode.NewFTSStore(decode.FTSOptions{ListSize: rs.opts.FTSListSize, MinSize: rs.opts.FTSMinSizeForStr})
	}
	if stores.Accumulator == nil {
		stores.Accumulator = decode.NewAccumulator()
	}
	if stores.Ignore == nil {
		stores.Ignore = NewMemoryIgnoreStore()
	}
	if stores.Diff == nil {
		stores.Diff = NewMemoryDiffStore()
	}
	s := &State{stores: stores, corr: newCorrelator(rs.opts.Shards), shards: make([]shard, rs.opts.Shards), hour: -1}
	s.Swap(rs)
	return s
}

// Swap changes the ruleset. Correlation memories, ignore windows and counters of rules that are in both are kept, by rule id. The number
// of shards and the sizes of the FTS store stay as they were.
func (s *State) Swap(rs *Ruleset) {
	fired, opened := make([]int, len(rs.rules)), make([]int64, len(rs.rules))
	if s.rs != nil {
		for _, r := range s.rs.rules {
			if n := rs.byID[r.ID]; n != nil {
				fired[n.index] = max(fired[n.index], s.fired[r.index])
				opened[n.index] = max(opened[n.index], s.opened[r.index])
			}
		}
	}
	s.rs, s.fired, s.opened = rs, fired, opened
	s.corr.bind(rs)
}

// Ruleset is the ruleset in use.
func (s *State) Ruleset() *Ruleset { return s.rs }

// Seq is the number of the last alert.
func (s *State) Seq() uint64 { return s.seq }

// SetSeq makes the next alert number seq+1, to go on after a restart.
func (s *State) SetSeq(seq uint64) { s.seq = seq }

// Process takes the next event. now is the time of its reception; time conditions use Event.Received. The strings of the event are kept for
// correlation and must not change later.
func (s *State) Process(p *Prepared, now time.Time) Outcome { return s.process(p, now, false) }

// Trace is Process with the list of the rules tried, in order. It runs without indexes.
func (s *State) Trace(p *Prepared, now time.Time) Outcome { return s.process(p, now, true) }

func (s *State) process(p *Prepared, now time.Time, trace bool) Outcome {
	s.take(p, now)
	ev := p.Event
	if s.rs.opts.SuppressRepeats && ev.Type == event.TypeSyslog && s.repeated(ev) {
		return Outcome{Reason: DroppedRepeat}
	}
	if p.drop != NotDropped {
		return Outcome{Reason: p.drop}
	}
	var out Outcome
	if st := s.stores.Stats; st != nil {
		out.Extra = s.statistics(st, ev, now)
	} else {
		s.resetHourly(now)
	}
	switch {
	case ev.Type == event.TypeOSSECAlert:
		out.Rule = s.rs.byID[ev.ForwardedRule]
		if out.Rule != nil {
			s.fired[out.Rule.index]++
		}
	case trace:
		t := tracer{s: s, p: p}
		out.Rule = t.run()
		out.Trace = t.steps
	default:
		out.Rule = s.decide(p)
	}
	if st := s.stores.Stats; st != nil && out.Rule != nil {
		st.alerts++
	}
	s.conclude(&out)
	s.ev = nil
	return out
}

// take makes p the event in hand and repeats its preparation where that is necessary.
func (s *State) take(p *Prepared, now time.Time) {
	ev := p.Event
	if ev.Accumulate {
		s.stores.Accumulator.Update(ev, now)
		s.rs.Candidates(ev, &s.sc, p)
	} else if p.rs != s.rs {
		s.rs.Candidates(ev, &s.sc, p)
	}
	s.ev, s.now, s.mark, s.previous = ev, now.Unix(), 0, s.previous[:0]
	s.shard = 0
	if len(s.shards) > 1 {
		s.shard = int(locationHash(ev.Location) % uint32(len(s.shards)))
	}
}

// locationHash spreads locations over shards as OSSEC spreads them over matching threads.
func locationHash(location string) uint32 {
	h := uint32(5381)
	for i := 0; i < len(location); i++ {
		h = h*33 + uint32(location[i])
	}
	return h
}

// repeated reports whether the text equals one of the last three different ones, and remembers it if not.
func (s *State) repeated(ev *event.Event) bool {
	sh := &s.shards[s.shard]
	for i := range sh.filled {
		if sh.texts[i] == ev.FullLog && (!s.rs.opts.SuppressByLocation || sh.locations[i] == ev.Location) {
			return true
		}
	}
	sh.texts[sh.at], sh.locations[sh.at] = ev.FullLog, ev.Location
	sh.at = (sh.at + 1) % len(sh.texts)
	sh.filled = min(sh.filled+1, len(sh.texts))
	return false
}

// resetHourly zeroes the counters of the rules when the hour changes.
func (s *State) resetHourly(now time.Time) {
	_, offset := now.In(s.rs.opts.Location).Zone()
	hour := (now.Unix() + int64(offset)) / 3600
	if hour != s.hour {
		s.hour = hour
		clear(s.fired)
	}
}

// decide finds the final rule among the candidates.
func (s *State) decide(p *Prepared) *Rule {
	for i := int32(0); i < int32(len(p.steps)); i = p.steps[i].end {
		if r := s.evaluate(p, i); r != nil {
			return r
		}
	}
	return nil
}

// evaluate gives the final rule below and at the candidate i, nil when there is none.
func (s *State) evaluate(p *Prepared, i int32) *Rule {
	st := &p.steps[i]
	r := s.rs.nodes[st.node].rule
	if st.stateful && !s.remembers(r, st.failed) {
		return nil
	}
	for j := i + 1; j < st.end; j = p.steps[j].end {
		if c := s.evaluate(p, j); c != nil {
			return c
		}
	}
	if r.NoAlert {
		return nil
	}
	s.fired[r.index]++
	return r
}

// remembers tests the stateful conditions of r in their order: check_diff, if_fts, (lists,) correlation. listFailed is the result of the
// lists, which were asked before but come in between.
func (s *State) remembers(r *Rule, listFailed bool) bool {
	if r.flags&flagDiff != 0 && !s.differs(r) {
		return false
	}
	if r.flags&flagFTS != 0 && !s.first() {
		return false
	}
	if listFailed {
		return false
	}
	if !r.isCorrelation() || r.flags&flagDiff != 0 {
		return true
	}
	out, ok, missing := s.corr.search(r, s.ev, s.now, s.shard, &s.mark, s.spare)
	if missing {
		s.message("ERROR: No sid search.")
	}
	if ok {
		s.previous, s.spare = out, s.previous
	}
	return ok
}

func (s *State) first() bool {
	if s.ev.FirstSeen {
		return true
	}
	return s.ev.FTS && s.stores.FTS.First(s.ev)
}

// differs is check_diff.
func (s *State) differs(r *Rule) bool {
	if len(s.ev.Log) >= maxDiffText {
		s.message("ERROR: check_diff: the log is too large to be compared.")
		return false
	}
	old, had, err := s.stores.Diff.Swap(diffHost(s.ev), r.ID, s.ev.Log)
	if err != nil {
		s.message("ERROR: check_diff: " + err.Error())
		return false
	}
	if !had || old == s.ev.Log {
		return false
	}
	s.previous = append(s.previous[:0], "Previous output:", old)
	return true
}

// diffHost is the agent's name, or the hostname.
func diffHost(ev *event.Event) string {
	if strings.HasPrefix(ev.Hostname, "(") {
		name, _, _ := strings.Cut(ev.Hostname[1:], ")")
		return name
	}
	return ev.Hostname
}

func (s *State) message(text string) {
	if s.stores.Error != nil {
		s.stores.Error(text)
	}
}

// conclude decides what follows from the final rule (spec rules.md, section 8).
func (s *State) conclude(out *Outcome) {
	r := out.Rule
	switch {
	case r == nil:
		out.Reason = NoRule
		return
	}
	out.Fired = s.fired[r.index]
	switch {
	case r.Level == 0:
		out.Reason = LevelZero
		return
	case r.Ignore > 0 && s.opened[r.index] != 0 && s.now-s.opened[r.index] < int64(r.Ignore):
		out.Reason = InIgnoreWindow
		return
	case r.flags&flagCheckIgnored != 0 && s.stores.Ignore.Has(r.checkSelection(s.rs.opts.OssecExact).line(s.ev)):
		out.Reason = InIgnoreStore
		return
	}
	if r.Ignore > 0 {
		s.opened[r.index] = s.now
	}
	if r.flags&flagIgnore != 0 {
		s.stores.Ignore.Add(r.ignoreKey.line(s.ev))
	}
	if r.Log || s.rs.opts.Responds == nil || s.rs.opts.Responds(&r.Rule) {
		out.Alert = s.alert(&r.Rule, s.fired[r.index])
		out.Alert.Previous = append([]string(nil), s.previous...)
	} else {
		out.Reason = NotLogged
	}
	s.corr.store(s.ev, r, s.now, s.mark, s.shard)
}

// checkSelection is what check_if_ignored looks at; OSSEC takes the data from the selection of <ignore>.
func (r *Rule) checkSelection(exact bool) ftsSet {
	if exact {
		return r.checkKey&^setData | r.ignoreKey&setData
	}
	return r.checkKey
}

// alert numbers an alert.
func (s *State) alert(r *event.Rule, fired int) *event.Alert {
	s.seq++
	return &event.Alert{Epoch: s.now, Seq: s.seq, Rule: r, FiredTimes: fired, Event: s.ev}
}
