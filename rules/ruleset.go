package rules

import (
	"slices"
	"sort"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/rules/decode"
	"github.com/vedette-hids/vedette/rules/list"
)

// Ruleset is a compiled set of decoders, lists and rules. It is immutable (but for ReplaceList), safe for concurrent use, and can be
// swapped for another one while a State goes on (State.Swap).
type Ruleset struct {
	opts     Options
	decoders *decode.Decoders
	lists    map[string]*listHandle
	rules    []*Rule // in load order
	byID     map[int]*Rule
	nodes    []node // the tree, breadth first: siblings stand together, in order
	roots    int32  // nodes[:roots]
	filter   filter
	decoded  map[string]int32 // decoder names that <decoded_as> mentions
	maxFreq  int              // largest frequency attribute
	searches []*Rule          // correlation rules
}

// node is one position of a rule in the tree.
type node struct {
	rule        *Rule
	parent      int32 // -1 = root
	first, last int32 // children are nodes[first:last]
}

// Options are the options that the ruleset was compiled with, defaults filled in.
func (rs *Ruleset) Options() Options { return rs.opts }

// Decoders are the ruleset's decoders.
func (rs *Ruleset) Decoders() *decode.Decoders { return rs.decoders }

// Rule finds a rule by id, nil when there is none. Of several roots of one id it is the first.
func (rs *Ruleset) Rule(id int) *Rule { return rs.byID[id] }

// Rules are all rules in load order. The caller must not change the slice.
func (rs *Ruleset) Rules() []*Rule { return rs.rules }

// Len is the number of tree positions, which is what OSSEC reports as "Total rules enabled".
func (rs *Ruleset) Len() int { return len(rs.nodes) }

// ReplaceList gives a declared list new content, nil for "no file", and reports whether the list is declared. It may be called while
// events are being matched.
func (rs *Ruleset) ReplaceList(name string, db *list.DB) bool {
	h := rs.lists[list.Name(name)]
	if h != nil {
		h.db.Store(db)
	}
	return h != nil
}

// InTreeOrder calls f for every rule once, depth first, the order in which statistics list them.
func (rs *Ruleset) InTreeOrder(f func(*Rule)) {
	seen := make([]bool, len(rs.rules))
	var walk func(first, last int32)
	walk = func(first, last int32) {
		for i := first; i < last; i++ {
			n := &rs.nodes[i]
			if !seen[n.rule.index] {
				seen[n.rule.index] = true
				f(n.rule)
			}
			walk(n.first, n.last)
		}
	}
	walk(0, rs.roots)
}

// freeze turns the tree of places into the arrays that matching uses.
func (rs *Ruleset) freeze(roots siblings, places int) {
	rs.nodes = make([]node, 0, places)
	rs.byID = make(map[int]*Rule, len(rs.rules))
	queue := slices.Collect(roots.all())
	for _, p := range queue {
		rs.nodes = append(rs.nodes, node{rule: p.rule, parent: -1})
	}
	rs.roots = int32(len(queue))
	for i := 0; i < len(queue); i++ {
		rs.nodes[i].first = int32(len(rs.nodes))
		for k := range queue[i].kids.all() {
			queue = append(queue, k)
			rs.nodes = append(rs.nodes, node{rule: k.rule, parent: int32(i)})
		}
		rs.nodes[i].last = int32(len(rs.nodes))
	}
	for _, r := range rs.rules {
		if _, dup := rs.byID[r.ID]; !dup {
			rs.byID[r.ID] = r
		}
		r.Level = finalLevel(r.key)
		rs.maxFreq = max(rs.maxFreq, r.Frequency)
		if r.isCorrelation() {
			rs.searches = append(rs.searches, r)
		}
		r.compileTests(&rs.opts)
	}
	rs.internDecoders()
	rs.buildFilter()
}

// finalLevel is the level that a sort key stands for.
func finalLevel(key int) int {
	switch {
	case key == 9900:
		return 0
	case key >= 100:
		return key / 100
	}
	return key
}

// internDecoders numbers the decoder names that rules mention, from 1.
func (rs *Ruleset) internDecoders() {
	rs.decoded = map[string]int32{}
	var names []string
	for _, r := range rs.rules {
		if r.conds.decoded {
			names = append(names, r.conds.decodedAs)
		}
	}
	sort.Strings(names)
	for _, n := range names {
		if _, ok := rs.decoded[n]; !ok {
			rs.decoded[n] = int32(len(rs.decoded)) + 1
		}
	}
}

// decodeOptions are the decoder options that follow from opts.
func decodeOptions(opts Options, known func(int) bool) decode.Options {
	return decode.Options{OrderSize: opts.DecoderOrderSize, Exact: opts.OssecExact, RuleKnown: known, Warn: opts.Warn}
}

// Scratch is the working memory of one worker that prepares events. The zero value is ready; it must not be shared between goroutines.
// It grows to a bounded size.
type Scratch struct {
	Decode decode.Scratch

	owner    *Ruleset // whose classes are cached
	classes  map[classKey]*class
	programs map[string]uint32 // program name → signature
	sigs     map[string]uint32 // set of matching program patterns → signature
	hits     []uint64          // positions that the filters allow, for the present event
	lits     hitSet
}

// Prepared is an event with everything about it that does not depend on earlier events: decoded, and its candidate rules found. It
// travels from the parallel part to the ordered part of the pipeline. Reset by Prepare, it may be used again and again.
type Prepared struct {
	Event *event.Event

	rs     *Ruleset
	steps  []step
	drop   Reason // the event is not to be matched at all
	ip     [2]parsedIP
	minute int16 // of the day, -1 = not computed
	day    int8
}

// step is a candidate: a position whose conditions on the event hold, as do those of the positions above it. The candidates below it
// are the steps up to end.
type step struct {
	node     int32
	end      int32
	stateful bool
	failed   bool // a list does not hold: only the side effects of if_fts and check_diff are left
}
