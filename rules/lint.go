package rules

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/rules/decode"
)

// Lint reports what loads but is most likely not what its author meant: rules that can never match or never be reached, and constructs
// that OSSEC understands in a surprising way (spec rules.md, section 18). All problems are warnings, in order of file and line.
func (rs *Ruleset) Lint() config.Problems {
	l := &linter{rs: rs, facts: rs.decoders.Facts()}
	for _, r := range rs.rules {
		l.out = append(l.out, r.notes...)
		l.rule(r)
	}
	l.unreachable()
	l.siblings(0, rs.roots)
	for i := range rs.nodes {
		n := &rs.nodes[i]
		l.siblings(n.first, n.last)
		if n.rule.NoAlert && n.first == n.last && !l.seen(n.rule) {
			l.add(n.rule, "It has noalert and no child rules: it does nothing.")
		}
	}
	sort.SliceStable(l.out, func(i, j int) bool {
		a, b := l.out[i].Pos, l.out[j].Pos
		if a.File != b.File {
			return l.fileOrder(a.File) < l.fileOrder(b.File)
		}
		return a.Line < b.Line
	})
	return l.out
}

type linter struct {
	rs    *Ruleset
	facts map[string]*decode.Facts
	out   config.Problems
	done  map[*Rule]bool
	files map[string]int
}

// seen reports whether a rule was reported for its position before; rules can have several.
func (l *linter) seen(r *Rule) bool {
	if l.done == nil {
		l.done = map[*Rule]bool{}
	}
	was := l.done[r]
	l.done[r] = true
	return was
}

func (l *linter) fileOrder(name string) int {
	if l.files == nil {
		l.files = map[string]int{}
		for _, r := range l.rs.rules {
			if _, ok := l.files[r.Pos.File]; !ok {
				l.files[r.Pos.File] = len(l.files)
			}
		}
	}
	return l.files[name]
}

func (l *linter) add(r *Rule, format string, args ...any) {
	l.out = append(l.out, config.Problem{Pos: r.Pos, Text: fmt.Sprintf(format, args...), Hint: fmt.Sprintf("(rule %d)", r.ID), Warning: true})
}

// rule looks at one rule by itself.
func (l *linter) rule(r *Rule) {
	l.addresses(r, "srcip", r.conds.srcIP)
	l.addresses(r, "dstip", r.conds.dstIP)
	if r.conds.decoded && l.facts[r.conds.decodedAs] == nil {
		l.add(r, "No event is ever decoded as '%s': child decoders carry their parent's name unless they have use_own_name.", r.conds.decodedAs)
	}
	if r.sidTarget && len(r.groupLists) > 0 {
		l.add(r, "It is counted by an if_matched_sid rule; therefore the if_matched_group rule %d does not count it.", l.rs.rules[r.groupLists[0]].ID)
	}
	if !r.sidTarget && repeats(r.groupLists) {
		l.add(r, "It stands at several positions of the tree, so an if_matched_group rule counts each of its events several times.")
	}
	if !r.isCorrelation() {
		return
	}
	o := &l.rs.opts
	switch {
	case r.Level == 0:
		l.add(r, "A correlation rule of level 0 never matches.")
	case r.search.kind == searchSID && r.search.target == nil:
		l.add(r, "The rule that if_matched_sid names is not loaded before this one: the rule never matches.")
	case r.search.kind == searchSID && r.Frequency+1 > o.SIDPrevMatchedMax:
		l.add(r, "frequency %d needs more than the %d events that are kept (analysisd.sid_prev_matched_max): the rule never matches.", r.Frequency, o.SIDPrevMatchedMax)
	case r.search.kind != searchSID && r.Frequency >= o.MemorySize:
		l.add(r, "frequency %d needs more than the %d events that are kept (memory_size): the rule never matches.", r.Frequency, o.MemorySize)
	case r.flags&flagDiff != 0:
		l.add(r, "check_diff switches the search for earlier events off.")
	}
}

// addresses reports a list of addresses whose last entry is negated after plain ones: what no entry contains is then accepted.
func (l *linter) addresses(r *Rule, element string, ts []addrTest) {
	plain := false
	for _, t := range ts {
		plain = plain || !t.negate
	}
	if plain && len(ts) > 1 && ts[len(ts)-1].negate {
		l.add(r, "The first <%s> that contains an address decides, and an address in none of them is accepted because the last one is negated.", element)
	}
}

func repeats(list []int) bool {
	for i := 1; i < len(list); i++ {
		for j := range i {
			if list[i] == list[j] {
				return true
			}
		}
	}
	return false
}

// siblings reports rules behind one that takes every event.
func (l *linter) siblings(first, last int32) {
	for i := first; i < last; i++ {
		a := l.rs.nodes[i].rule
		if a.NoAlert || a.stateful() || len(a.tests) > 0 || len(a.conds.lists) > 0 {
			continue
		}
		for j := i + 1; j < last; j++ {
			b := l.rs.nodes[j].rule
			if b == a || (l.rs.nodes[i].parent < 0 && a.Category != b.Category) {
				continue
			}
			if !a.conds.decoded || (b.conds.decoded && b.conds.decodedAs == a.conds.decodedAs) {
				l.add(b, "It is never reached: its sibling %d (%s:%d) is tried first and takes every such event.", a.ID, a.Pos.File, a.Pos.Line)
			}
		}
	}
}

// unreachable reports rules that no event can get to, wherever they stand in the tree: because of its root's category, of the decoders that
// the rules above ask for, or of what these decoders never fill in.
func (l *linter) unreachable() {
	why := map[*Rule]string{}
	reachable := map[*Rule]bool{}
	var walk func(first, last int32, category event.DecoderType, decoder string, above *Rule)
	walk = func(first, last int32, category event.DecoderType, decoder string, above *Rule) {
		for i := first; i < last; i++ {
			r := l.rs.nodes[i].rule
			if above == nil {
				category = r.Category
			}
			decoder, above := decoder, above
			reason := ""
			switch {
			case !r.conds.decoded:
			case decoder != "" && decoder != r.conds.decodedAs:
				reason = fmt.Sprintf("It never matches: it asks for the decoder '%s', and rule %d above it for '%s'.", r.conds.decodedAs, above.ID, decoder)
			default:
				decoder, above = r.conds.decodedAs, r
			}
			if reason == "" {
				reason = l.undecodable(r, category, decoder)
			}
			if reason == "" {
				reachable[r] = true
			} else if why[r] == "" {
				why[r] = reason
			}
			if above == nil {
				above = r
			}
			walk(l.rs.nodes[i].first, l.rs.nodes[i].last, category, decoder, above)
		}
	}
	walk(0, l.rs.roots, 0, "", nil)
	for _, r := range l.rs.rules {
		if !reachable[r] && why[r] != "" {
			l.add(r, "%s", why[r])
		}
	}
}

// undecodable says why a rule never matches below a root of this category, with events of this decoder ("" = any); "" if it can.
func (l *linter) undecodable(r *Rule, category event.DecoderType, decoder string) string {
	f := l.facts[decoder]
	if f != nil && f.Plugin {
		return ""
	}
	if f != nil && r.conds.decoded && !slices.Contains(f.Types, category) {
		return fmt.Sprintf("It never matches: events decoded as '%s' are %s, but the rule stands below a root for %s.", decoder, joinTypes(f.Types), typeName(category))
	}
	if r.flags&flagFTS != 0 && f != nil && !f.FTS {
		return fmt.Sprintf("It never matches: <if_fts> needs <fts> in the decoder, and '%s' has none.", decoder)
	}
	for i := range r.conds.fields {
		name := r.conds.fields[i].name
		if standardFields[strings.ToLower(name)] {
			continue // has a remark already
		}
		declared := func(f *decode.Facts) bool {
			return slices.ContainsFunc(f.Fields, func(s string) bool { return strings.EqualFold(s, name) })
		}
		if f != nil && !declared(f) {
			return fmt.Sprintf("It never matches: the decoder '%s' has no field '%s' in its <order>.", decoder, name)
		}
		found := false
		for _, f := range l.facts {
			found = found || declared(f)
		}
		if !found {
			return fmt.Sprintf("It never matches: no decoder has a field '%s' in its <order>.", name)
		}
	}
	return ""
}

func joinTypes(types []event.DecoderType) string {
	var names []string
	for _, t := range types {
		names = append(names, typeName(t))
	}
	return strings.Join(names, " or ")
}

// typeName is how decoders and rules call a type.
func typeName(t event.DecoderType) string {
	for name, c := range categories {
		if c == t {
			return name
		}
	}
	return "host-information"
}
