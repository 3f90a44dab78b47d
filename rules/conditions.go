package rules

import (
	"net/netip"
	"sync/atomic"

	"github.com/vedette-hids/vedette/pattern"
	"github.com/vedette-hids/vedette/rules/list"
)

// matcher is what the three pattern languages have in common.
type matcher interface {
	MatchString(s string) bool
	String() string
}

// pair is a condition that can be written in a plain language and in PCRE2. When both are present only the plain form is tested; the
// other one sleeps until an overwrite removes the plain form (spec rules.md, 4.1).
type pair struct{ plain, pcre matcher }

func (p pair) active() matcher {
	if p.plain != nil {
		return p.plain
	}
	return p.pcre
}

// subject is the part of an event that a text condition looks at.
type subject uint8

const (
	subLog   subject = iota // <match>
	subRegex                // <regex>, the log too
	subProgram
	subID
	subURL
	subSrcPort
	subDstPort
	subUser
	subStatus
	subExtra
	subHost
	subSrcGeo
	subDstGeo
	numSubjects
)

// subjectNames are the elements of the plain forms.
var subjectNames = [numSubjects]string{"match", "regex", "program_name", "id", "url", "srcport", "dstport", "user", "status",
	"extra_data", "hostname", "srcgeoip", "dstgeoip"}

// element is the name of the element that a condition is written with.
func (s subject) element(pcre bool) string {
	switch {
	case !pcre:
		return subjectNames[s]
	case s == subRegex:
		return "pcre2"
	}
	return subjectNames[s] + "_pcre2"
}

// conditions are the tests of a rule on the event alone: no memory, no order.
type conditions struct {
	decodedAs string
	decoded   bool // decodedAs is given
	text      [numSubjects]pair
	action    *string
	fields    []fieldTest
	srcIP     []addrTest
	dstIP     []addrTest
	compiled  compiledTest
	time      *timeRange
	weekday   *weekdays
	lists     []listTest
}

// fieldTest is a <field>: name compares without case.
type fieldTest struct {
	name  string
	regex *pattern.Regex
}

// addrTest is one <srcip> or <dstip>.
type addrTest struct {
	text   string
	prefix netip.Prefix
	any    bool
	negate bool
}

// listTest is a <list>.
type listTest struct {
	name   string
	handle *listHandle // nil: the list is not declared
	field  listField
	lookup lookup
	value  *pattern.Match // check_value; nil = none
}

// listHandle lets a list be replaced while a ruleset is in use.
type listHandle struct{ db atomic.Pointer[list.DB] }
