package rules

import (
	"errors"
	"strings"

	"github.com/vedette-hids/vedette/config/xmlconf"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/pattern"
)

// read turns a <rule> element, the index-th of a group whose name is group, into a definition. ok is false in it when anything was
// wrong; it is nil when not even the id is known.
func (l *loader) read(group string, n *xmlconf.Node, index int) *definition {
	def := &definition{Rule: &Rule{Pos: l.pos(n), accuracy: true, Category: event.TypeSyslog}, matchedSID: -1, ok: true}
	def.Groups = group
	r := &reader{l: l, node: n, def: def}
	if len(n.Attrs) == 0 {
		r.fail(n, 0, "Invalid rule '%d'. You must specify an ID and a level at least.", index)
		return nil
	}
	if !r.attributes(index) {
		if def.ID >= 0 && !def.overwrite {
			return def
		}
		return nil
	}
	if len(n.Children) == 0 {
		r.fail(n, 0, "Rule '%d' without any option. It may lead to false positives and some other problems for the system. Exiting.", def.ID)
		return def
	}
	def.Log = def.Level >= l.opts.LogLevel
	def.Mail = def.Level >= l.opts.EmailLevel
	for _, c := range n.Children {
		r.element(c)
	}
	r.compile()
	r.notePatterns()
	r.noteRelations()
	if (def.needs || def.Frequency > 0) && !def.context {
		r.fail(n, 0, "Invalid use of frequency/context options. Missing if_matched on rule '%d'.", def.ID)
	}
	r.finish()
	return def
}

// attributes reads the attributes of <rule>.
func (r *reader) attributes(index int) bool {
	d := r.def
	d.ID, d.Level = -1, -1
	d.timeframe = r.l.opts.DefaultTimeframe
	accuracy := 1
	numbers := []struct {
		name, called string
		digits       int
		to           *int
	}{
		{"id", "rule id", 6, &d.ID}, {"level", "level", 4, &d.Level}, {"maxsize", "maxsize", 4, &d.maxSize},
		{"timeframe", "timeframe", 5, &d.timeframe}, {"frequency", "frequency", 4, &d.Frequency},
		{"accuracy", "accuracy", 4, &accuracy}, {"ignore", "ignore_time", 6, &d.Ignore},
	}
	for _, a := range r.node.Attrs {
		name := strings.ToLower(a.Name)
		known := false
		for _, n := range numbers {
			if n.name != name {
				continue
			}
			known = true
			if !digits(a.Value) {
				r.fail(r.node, 0, "rules_op: Invalid %s: %s. Must be integer", n.called, a.Value)
			} else if a.Value != "" {
				*n.to = number(a.Value, n.digits)
			}
		}
		switch {
		case known:
		case name == "noalert":
			d.NoAlert = true
		case name == "overwrite":
			if a.Value != "yes" && a.Value != "no" {
				r.fail(r.node, 0, "rules_op: Invalid overwrite: %s. Can only by 'yes' or 'no'.", a.Value)
			}
			d.overwrite = a.Value == "yes"
		default:
			r.fail(r.node, 0, "rules_op: Invalid attribute \"%s\". Only id, level, maxsize, accuracy, noalert and timeframe are allowed.", a.Name)
		}
	}
	if !d.ok {
		r.fail(r.node, 0, "Invalid attribute for rule.")
		return false
	}
	if d.ID < 0 || d.Level < 0 {
		r.fail(r.node, 0, "No rule id or level specified for rule '%d'.", index)
		return false
	}
	d.accuracy = accuracy != 0
	r.noteAttributes(accuracy)
	if d.maxSize > 0 {
		d.flags |= flagExtra
	}
	return true
}

// compile compiles the joined texts.
func (r *reader) compile() {
	d := r.def
	for s := subject(0); s < numSubjects; s++ {
		if d.plain[s] != nil {
			d.conds.text[s].plain = r.pattern(s, *d.plain[s], false)
		}
		// Where both forms are present the ignored one is not compiled, but for three elements where it sleeps.
		sleeps := s == subRegex || s == subID || s == subSrcPort
		if d.pcre[s] != nil && (d.plain[s] == nil || sleeps) {
			d.conds.text[s].pcre = r.pattern(s, *d.pcre[s], true)
		}
		if d.plain[s] != nil || d.pcre[s] != nil {
			d.flags |= classOf(s)
		}
	}
	d.conds.action = d.action
	if d.matchedRe != nil {
		if re, err := pattern.CompileRegex(*d.matchedRe); err != nil {
			r.badPattern(r.child("if_matched_regex"), *d.matchedRe, err)
		} else {
			d.search.regex = re
		}
	}
}

// pattern compiles one condition; nil when it has an error, which is reported.
func (r *reader) pattern(s subject, text string, pcre bool) matcher {
	var m matcher
	var err error
	switch {
	case pcre:
		m, err = pattern.CompilePCRE2(text)
	case s == subRegex:
		m, err = pattern.CompileRegex(text)
	default:
		m, err = pattern.CompileMatch(text)
	}
	if err != nil {
		r.badPattern(r.child(s.element(pcre)), text, err)
		return nil
	}
	return m
}

// classOf is the class flag of a text condition.
func classOf(s subject) flag {
	switch s {
	case subSrcPort, subDstPort:
		return flagPacket
	case subUser, subStatus, subExtra, subHost, subSrcGeo, subDstGeo:
		return flagExtra
	}
	return 0
}

// finish fills what follows from the rest.
func (r *reader) finish() {
	d := r.def
	c := &d.conds
	if c.srcIP != nil || c.dstIP != nil {
		d.flags |= flagPacket
	}
	if c.time != nil || c.weekday != nil || c.compiled != compiledNone || d.flags&flagDiff != 0 {
		d.flags |= flagExtra
	}
	d.Description = "(null)" // what OSSEC prints
	if d.description != nil {
		d.Description = *d.description
	}
	d.describe()
	d.active = d.matchedSID >= 0 || d.matchedGrp != nil || d.matchedRe != nil
	switch {
	case !d.active:
	case d.matchedSID >= 0:
		d.search.kind = searchSID
	case d.matchedGrp != nil:
		d.search.kind, d.search.group = searchGroup, *d.matchedGrp
	default:
		d.search.kind = searchRegex
	}
	d.key = sortKey(d.Level, d.accuracy)
}

// describe fills the info texts that outputs print.
func (r *Rule) describe() {
	r.Info, r.CVE = "", ""
	for _, i := range r.Infos {
		if i.Element {
			r.CVE = i.Text
		} else {
			r.Info += i.Text
		}
	}
}

// sortKey orders siblings: level 0 first, then descending levels, then the rules of accuracy 0.
func sortKey(level int, accuracy bool) int {
	if level == 0 {
		level = 99
	}
	if accuracy {
		return level * 100
	}
	return level
}

// digits reports whether s consists of digits only; the empty string does.
func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// number reads the first n digits of s.
func number(s string, n int) int {
	v := 0
	for i := 0; i < len(s) && i < n; i++ {
		v = v*10 + int(s[i]-'0')
	}
	return v
}

// patternCode is OSSEC's number of a pattern error.
func patternCode(err error) int {
	var pe *pattern.Error
	if errors.As(err, &pe) {
		return pe.Code
	}
	return 6
}
