package rules

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/pattern"
)

// Bounds of the tree: rules that hang below every rule of a group double it each time, and a parent that stands at many positions is
// searched for in the whole tree.
const (
	maxPlaces = 1 << 19 // positions
	maxSteps  = 1 << 28 // positions looked at while linking
)

// place is a position in the tree while it is being built.
type place struct {
	rule *Rule
	kids siblings
}

// siblings are the places below one place, in order: a piece for each sort key, from the largest down.
type siblings []piece

type piece struct {
	key    int
	places []*place
}

func (s siblings) all() iter.Seq[*place] {
	return func(yield func(*place) bool) {
		for i := range s {
			for _, p := range s[i].places {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// tooLarge counts a step of linking and reports whether the tree is beyond its bounds.
func (l *loader) tooLarge() bool {
	l.steps++
	return l.steps > maxSteps || l.places > maxPlaces
}

// insert puts a new place of rule before the first sibling with a smaller key.
func (l *loader) insert(s *siblings, rule *Rule) {
	p := &place{rule: rule}
	l.places++
	l.placesOf[rule] = append(l.placesOf[rule], p)
	if l.moved {
		l.insertAmong(s, p)
		return
	}
	i, found := slices.BinarySearchFunc(*s, rule.key, func(x piece, key int) int { return cmp.Compare(key, x.key) })
	if !found {
		*s = slices.Insert(*s, i, piece{key: rule.key})
	}
	(*s)[i].places = append((*s)[i].places, p)
}

// insertAmong is insert once an overwriting rule has changed a key, after which siblings no longer stand in the order of their keys.
func (l *loader) insertAmong(s *siblings, p *place) {
	for i := range *s {
		x := &(*s)[i]
		for j, before := range x.places {
			if l.tooLarge() {
				return
			}
			if before.rule.key < p.rule.key {
				x.places = slices.Insert(x.places, j, p)
				return
			}
		}
	}
	if len(*s) == 0 {
		*s = siblings{{}}
	}
	x := &(*s)[len(*s)-1]
	x.places = append(x.places, p)
}

// attach hangs def into the tree (spec rules.md, section 5) and reports whether it found its place.
func (l *loader) attach(def *definition) bool {
	if def.ID < 10 {
		l.insert(&l.roots, def.Rule)
		return true
	}
	if def.ifSID == nil && def.ifGroup == nil && def.matchedGrp != nil {
		def.ifGroup = def.matchedGrp
	}
	if def.ifSID == nil && def.ifGroup == nil && def.matchedSID >= 0 {
		t := fmt.Sprint(def.matchedSID)
		def.ifSID = &t
	}
	switch {
	case def.ifSID != nil:
		return l.attachBySID(def)
	case def.ifLevel != nil:
		return l.attachByLevel(def)
	case def.ifGroup != nil:
		text := *def.ifGroup
		n := l.attachBelow(def, func(r *Rule) bool { return pattern.WordMatch(text, r.Groups) })
		if n == 0 {
			l.failParent(def, "rules_list: Group '%s' not found. Invalid 'if_group'.", text)
		}
		return n > 0
	}
	return l.attachToRoot(def)
}

func (l *loader) attachBySID(def *definition) bool {
	text := *def.ifSID
	if strings.Trim(text, "0123456789, ") != "" {
		l.failRule(def, "rules_list: Signature ID must be an integer. Exiting...")
		return false
	}
	ok := true
	named := map[int]bool{}
	for _, f := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' }) {
		id := number(f, 9)
		if named[id] {
			def.remark("<if_sid>", "Rule %d is named twice, so the rule is tried twice below it.", id)
		}
		named[id] = true
		found := 0
		if at := l.placesOf[l.byID[id]]; id >= 10 && len(at) == 1 {
			l.insertBelow(at[0], def, &found)
		} else {
			l.belowSID(l.roots, id, def, &found)
		}
		if found == 0 {
			ok = false
			if !l.broken[id] {
				l.failParent(def, "rules_list: Signature ID '%d' not found. Invalid 'if_sid'.", id)
			}
		}
	}
	if !ok {
		return false
	}
	if text == "" || strings.HasSuffix(text, ",") || strings.HasSuffix(text, " ") {
		def.remark("<if_sid>", "The list of parents ends in a separator, so the rule hangs below the root of its category too.")
		return l.attachToRoot(def)
	}
	return true
}

// remark keeps a remark on the rule, for Lint.
func (def *definition) remark(element, format string, args ...any) {
	def.notes = append(def.notes, config.Problem{Pos: def.Pos, Hint: fmt.Sprintf("(rule %d, %s)", def.ID, element), Warning: true, Text: fmt.Sprintf(format, args...)})
}

// belowSID attaches def below every place of rule id: depth first, the search in one list of siblings ends at the first hit.
func (l *loader) belowSID(s siblings, id int, def *definition, found *int) {
	for p := range s.all() {
		if l.tooLarge() {
			return
		}
		if p.rule.ID == id {
			l.insertBelow(p, def, found)
			return
		}
		l.belowSID(p.kids, id, def, found)
	}
}

func (l *loader) insertBelow(p *place, def *definition, found *int) {
	l.insert(&p.kids, def.Rule)
	def.Category = p.rule.Category
	def.addParent(p.rule.ID)
	*found++
}

func (r *Rule) addParent(id int) {
	for _, p := range r.Parents {
		if p == id {
			return
		}
	}
	r.Parents = append(r.Parents, id)
}

func (l *loader) attachByLevel(def *definition) bool {
	level := number(*def.ifLevel, 6)
	if level == 0 {
		l.report(config.Problem{Pos: def.Pos, Text: "Invalid level (atoi)", Hint: fmt.Sprintf("(rule %d is left out)", def.ID), Warning: true})
		return false
	}
	zero := 0
	n := l.attachBelow(def, func(r *Rule) bool {
		below := r.key >= level*100
		if below && finalLevel(r.key) == 0 {
			zero++
		}
		return below
	})
	if zero > 0 {
		def.remark("<if_level>", "<if_level> takes level 0 for 99: the rule stands below %d rules of level 0 too.", zero)
	}
	if n == 0 {
		l.failParent(def, "rules_list: Level ID '%d' not found. Invalid 'if_level'.", level*100)
	}
	return n > 0
}

// attachBelow attaches def below every place whose rule is wanted, at any depth, and counts them.
func (l *loader) attachBelow(def *definition, want func(*Rule) bool) int {
	n := 0
	var walk func(siblings)
	walk = func(s siblings) {
		for p := range s.all() {
			if l.tooLarge() {
				return
			}
			walk(p.kids)
			if p.rule != def.Rule && want(p.rule) {
				l.insert(&p.kids, def.Rule)
				def.addParent(p.rule.ID)
				n++
			}
		}
	}
	walk(l.roots)
	return n
}

func (l *loader) attachToRoot(def *definition) bool {
	for p := range l.roots.all() {
		if p.rule.Category == def.Category {
			l.insert(&p.kids, def.Rule)
			def.addParent(p.rule.ID)
			return true
		}
	}
	l.failParent(def, "rules_list: Category '%d' not found. Invalid 'category'.", categoryNumber(def.Category))
	return false
}

// failParent reports a missing parent, unless a file or a group could not be read and may hold it.
func (l *loader) failParent(def *definition, format string, args ...any) {
	if l.partial {
		def.ok = false
		return
	}
	l.failRule(def, format, args...)
	if l.nameless {
		l.probs[len(l.probs)-1].Hint += " Perhaps it is one of the rules above whose id could not be read."
	}
}

func (l *loader) failRule(def *definition, format string, args ...any) {
	def.ok = false
	l.report(config.Problem{Pos: def.Pos, Text: fmt.Sprintf(format, args...), Hint: fmt.Sprintf("(rule %d)", def.ID)})
}

// installSearch connects a correlation rule with what it counts: it marks the target of a sid search, and enters itself into the lists
// of the rules loaded so far that a group search counts.
func (l *loader) installSearch(def *definition, r *Rule) {
	if def.matchedSID >= 0 {
		if t := l.byID[def.matchedSID]; t != nil {
			t.sidTarget = true
			r.search.target = t
		}
	}
	if r.search.kind != searchGroup || def.matchedGrp == nil {
		return
	}
	m, err := pattern.CompileMatch(*def.matchedGrp)
	if err != nil {
		l.failRule(def, "ERROR: Syntax error on regex: '%s': %d.", *def.matchedGrp, patternCode(err))
		return
	}
	var walk func(siblings)
	walk = func(s siblings) {
		for p := range s.all() {
			if l.tooLarge() {
				return
			}
			if m.MatchString(p.rule.Groups) {
				p.rule.groupLists = append(p.rule.groupLists, r.index)
			}
			walk(p.kids)
		}
	}
	walk(l.roots)
}

// overwrite changes old to what def says (spec rules.md, section 6).
func (l *loader) overwrite(old *Rule, def *definition) {
	n := def.Rule
	o := *old
	l.noteOverwrite(old, def)
	l.moved = l.moved || old.key != n.key
	old.Rule = n.Rule
	old.NoAlert, old.Ignore, old.accuracy, old.key = n.NoAlert, n.Ignore, n.accuracy, n.key
	old.maxSize, old.timeframe, old.check, old.active = n.maxSize, n.timeframe, n.check, n.active
	old.flags, old.conds = n.flags, n.conds
	if l.opts.OssecExact {
		old.keepExact(&o, n)
		if def.matchedSID >= 0 {
			if t := l.byID[def.matchedSID]; t != nil {
				t.sidTarget = true
			}
		}
		return
	}
	old.Infos, old.ignoreKey, old.checkKey = n.Infos, n.ignoreKey, n.checkKey
	old.search = n.search
	l.forgetGroupList(old.index)
	if old.search.kind != searchNone {
		l.installSearch(def, old)
	}
}

// noteOverwrite remarks on what an overwriting rule cannot change.
func (l *loader) noteOverwrite(old *Rule, def *definition) {
	note := func(format string, args ...any) {
		old.notes = append(old.notes, config.Problem{Pos: def.Pos, Text: fmt.Sprintf(format, args...), Hint: fmt.Sprintf("(rule %d)", def.ID), Warning: true})
	}
	old.notes = append(old.notes[:0:0], def.notes...)
	if def.ifSID != nil {
		for _, f := range strings.FieldsFunc(*def.ifSID, func(c rune) bool { return c == ',' || c == ' ' }) {
			if id := number(f, 9); !slices.Contains(old.Parents, id) {
				note("overwrite does not move a rule: the parent %d has no effect, rule %d stays below %v.", id, def.ID, old.Parents)
			}
		}
	}
	if def.ifGroup != nil || def.ifLevel != nil {
		note("overwrite does not move a rule: if_group and if_level have no effect, rule %d stays below %v.", def.ID, old.Parents)
	}
	if old.key != def.key {
		note("overwrite does not sort a rule anew: rule %d is tried in the place of level %d.", def.ID, finalLevel(old.key))
	}
}

// keepExact restores what OSSEC's overwrite leaves as it was in o.
func (r *Rule) keepExact(o, n *Rule) {
	const kept = flagIgnore | flagCheckIgnored
	r.flags = r.flags&^kept | o.flags&kept
	for s := range r.conds.text {
		r.conds.text[s].pcre = o.conds.text[s].pcre
	}
	r.conds.text[subSrcGeo], r.conds.text[subDstGeo] = o.conds.text[subSrcGeo], o.conds.text[subDstGeo]
	r.conds.fields, r.conds.lists = o.conds.fields, o.conds.lists
	if o.search.kind == searchRegex {
		r.search.regex = n.search.regex
	}
	r.describe()
}

// forgetGroupList removes the correlation rule with this index from the rules that it counted.
func (l *loader) forgetGroupList(index int) {
	for _, r := range l.rs.rules {
		if len(r.groupLists) == 0 {
			continue
		}
		kept := r.groupLists[:0]
		for _, g := range r.groupLists {
			if g != index {
				kept = append(kept, g)
			}
		}
		r.groupLists = kept
	}
}
