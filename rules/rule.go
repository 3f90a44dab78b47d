package rules

import (
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/pattern"
)

// Rule is a loaded rule. It is immutable once its Ruleset is loaded.
type Rule struct {
	event.Rule // what alerts and outputs know of it

	Pos      config.Position // where it stands; for an overwritten rule the place of the first definition
	Infos    []Info
	NoAlert  bool // never final itself, only its children are
	Ignore   int  // seconds of the ignore window, 0 = none
	Category event.DecoderType
	Parents  []int // ids of the rules that it hangs below, in position order, without repetition

	notes      []config.Problem // surprising constructs, for Lint
	index      int              // in Ruleset.rules
	accuracy   bool
	key        int // sort key among siblings
	maxSize    int
	timeframe  int
	conds      conditions
	tests      []test // conds, ready to run
	flags      flag
	check      checks // modifiers of the correlation search
	search     search
	active     bool  // search is in use (the latest definition has if_matched_*)
	groupLists []int // indexes of group correlation rules that count this one, once per position
	sidTarget  bool
	ignoreKey  ftsSet
	checkKey   ftsSet
}

// Info is one <info> or <cve> text. Type is text, link, cve or osvdb.
// Element tells a <cve> element from <info type="cve">: outputs
// show the one as the member cve, the other as a part of info (spec outputs.md, section 3.1).
type Info struct {
	Type, Text string
	Element    bool
}

type flag uint8

const (
	flagFTS flag = 1 << iota
	flagDiff
	flagIgnore       // <ignore> element
	flagCheckIgnored // <check_if_ignored> element
	flagPacket       // has conditions of the packet class
	flagExtra        // has conditions of the extra class
)

// searchKind is the memory that a correlation rule searches.
type searchKind uint8

const (
	searchNone searchKind = iota
	searchSID
	searchGroup
	searchRegex
)

// search is the correlation part of a rule.
type search struct {
	kind   searchKind
	target *Rule          // searchSID: the counted rule, nil = there is none ("No sid search.")
	regex  *pattern.Regex // searchRegex: nil = every event of the same decoder type
	group  string         // searchGroup: the text of if_matched_group
}

// checks are the correlation modifiers.
type checks uint16

const (
	sameSrcIP checks = 1 << iota
	sameSrcPort
	sameDstPort
	sameUser
	sameLocation
	sameID
	differentURL
	differentSrcGeo
	differentSrcIP // accepted, without effect
	sameType       // not an element: what the regex search always asks
)

// isCorrelation reports whether the rule searches earlier events.
func (r *Rule) isCorrelation() bool { return r.active && r.search.kind != searchNone }

// stateful reports whether the outcome of the rule's conditions depends on earlier events.
func (r *Rule) stateful() bool { return r.flags&(flagFTS|flagDiff) != 0 || r.isCorrelation() }
