package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/config/xmlconf"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/pattern"
	"github.com/vedette-hids/vedette/rules/list"
)

// maxText is the largest text of a condition, in bytes.
const maxText = 2047

// definition is a <rule> as read: the rule itself and what decides where it goes.
type definition struct {
	*Rule
	overwrite  bool
	ifSID      *string
	ifLevel    *string
	ifGroup    *string
	matchedSID int // -1 = none
	matchedGrp *string
	matchedRe  *string
	context    bool // has if_matched_* or check_diff
	needs      bool // has something that only makes sense with context

	plain, pcre [numSubjects]*string
	action      *string
	description *string
	ok          bool
}

// reader turns one <rule> element into a definition and reports every fault in it.
type reader struct {
	l    *loader
	node *xmlconf.Node
	def  *definition
}

// fail reports an error of the rule. The hint names rule and element.
func (r *reader) fail(at *xmlconf.Node, code int, format string, args ...any) {
	r.failWhy(at, "", code, format, args...)
}

// failWhy is fail with the reason, for messages of OSSEC's that only say what is wrong.
func (r *reader) failWhy(at *xmlconf.Node, why string, code int, format string, args ...any) {
	r.def.ok = false
	hint := r.where(at)
	if why != "" {
		hint = strings.TrimSuffix(hint, ")") + ": " + why + ")"
	}
	r.l.report(config.Problem{Pos: r.l.pos(at), Code: code, Text: fmt.Sprintf(format, args...), Hint: hint})
}

// doubt reports something that OSSEC takes but that is most likely a mistake: an error, or a warning where OSSEC is to be followed.
func (r *reader) doubt(at *xmlconf.Node, code int, format string, args ...any) {
	if !r.l.opts.OssecExact {
		r.fail(at, code, format, args...)
		return
	}
	r.l.report(config.Problem{Pos: r.l.pos(at), Code: code, Text: fmt.Sprintf(format, args...), Hint: r.where(at), Warning: true})
}

func (r *reader) where(at *xmlconf.Node) string {
	switch {
	case at == r.node && r.def.ID < 0:
		return "(rule without id)"
	case at == r.node:
		return fmt.Sprintf("(rule %d)", r.def.ID)
	}
	return fmt.Sprintf("(rule %d, <%s>)", r.def.ID, at.Name)
}

// exactNames are the elements whose names compare with case.
var exactNames = map[string]bool{"same_id": true, "different_url": true, "different_srcip": true, "different_srcgeoip": true, "not_same_id": true}

// modifiers are the correlation modifiers; a negative one cancels.
var modifiers = map[string]struct {
	bit    checks
	cancel bool
}{
	"same_source_ip":     {sameSrcIP, false},
	"same_src_port":      {sameSrcPort, false},
	"same_dst_port":      {sameDstPort, false},
	"same_user":          {sameUser, false},
	"same_location":      {sameLocation, false},
	"same_id":            {sameID, false},
	"different_url":      {differentURL, false},
	"different_srcip":    {differentSrcIP, false},
	"different_srcgeoip": {differentSrcGeo, false},
	"not_same_source_ip": {sameSrcIP, true},
	"not_same_user":      {sameUser, true},
	"not_same_id":        {sameID, true},
	"not_same_agent":     {sameLocation, true},
}

// textElements tells subject and language of the text conditions.
var textElements = func() map[string]struct {
	sub  subject
	pcre bool
} {
	m := map[string]struct {
		sub  subject
		pcre bool
	}{}
	for s := range numSubjects {
		for _, pcre := range []bool{false, true} {
			m[s.element(pcre)] = struct {
				sub  subject
				pcre bool
			}{s, pcre}
		}
	}
	return m
}()

// element reads one child of the rule.
func (r *reader) element(n *xmlconf.Node) {
	name := strings.ToLower(n.Name)
	if exactNames[name] {
		name = n.Name
	}
	if m, ok := modifiers[name]; ok {
		if m.cancel {
			if r.def.check&m.bit == 0 {
				r.note(n, "<%s> only cancels the modifier that it negates, and none precedes it: it has no effect.", n.Name)
			}
			r.def.check &^= m.bit
		} else {
			r.def.check |= m.bit
			r.def.needs = true
			if m.bit == differentSrcIP {
				r.note(n, "<%s> is accepted but has no effect.", n.Name)
			}
		}
		return
	}
	if t, ok := textElements[name]; ok {
		r.noteText(n, t.sub)
		if t.pcre {
			r.join(n, &r.def.pcre[t.sub])
		} else {
			r.join(n, &r.def.plain[t.sub])
		}
		return
	}
	switch name {
	case "action":
		r.join(n, &r.def.action)
	case "if_sid":
		r.join(n, &r.def.ifSID)
	case "if_group":
		r.join(n, &r.def.ifGroup)
	case "if_level":
		if !digits(n.Text) || n.Text == "" {
			r.fail(n, 1274, "ERROR: Invalid configuration. Element 'if_level': %s.", n.Text)
			return
		}
		r.join(n, &r.def.ifLevel)
	case "if_matched_group":
		r.def.context = true
		r.join(n, &r.def.matchedGrp)
	case "if_matched_regex":
		r.def.context = true
		r.join(n, &r.def.matchedRe)
	case "if_matched_sid":
		r.def.context = true
		if !digits(n.Text) || n.Text == "" {
			r.fail(n, 1274, "ERROR: Invalid configuration. Element 'if_matched_sid': %s.", n.Text)
			return
		}
		r.def.matchedSID = number(n.Text, 6)
	case "if_fts":
		r.def.flags |= flagFTS
	case "check_diff":
		r.def.context = true
		r.def.flags |= flagDiff
	default:
		r.otherElement(name, n)
	}
}

func (r *reader) otherElement(name string, n *xmlconf.Node) {
	switch name {
	case "decoded_as":
		if d := r.l.rs.decoders; d != nil && !d.Known(n.Text) {
			r.fail(n, 0, "Invalid decoder name: '%s'.", n.Text)
		}
		r.def.conds.decodedAs, r.def.conds.decoded = n.Text, true
	case "category":
		r.category(n)
	case "srcip":
		r.address(n, &r.def.conds.srcIP)
	case "dstip":
		r.address(n, &r.def.conds.dstIP)
	case "field":
		r.field(n)
	case "time":
		r.time(n)
	case "weekday":
		r.weekday(n)
	case "compiled_rule":
		r.compiledRule(n)
	case "list":
		r.list(n)
	case "group":
		r.noteGroups(n)
		r.def.Groups += n.Text
	case "description":
		t := strings.Replace(n.Text, "\n", " ", 1)
		if r.def.description != nil {
			t = *r.def.description + t
		}
		r.def.description = &t
	case "info":
		r.info(n)
	case "cve":
		r.addInfo(Info{Type: "cve", Text: n.Text, Element: true})
	case "options":
		r.option(n)
	case "ignore":
		r.ftsSelection(n, "ignore", &r.def.ignoreKey, flagIgnore)
	case "check_if_ignored":
		r.ftsSelection(n, "check_if_ignored", &r.def.checkKey, flagCheckIgnored)
	default:
		r.fail(n, 0, "Invalid option '%s' for rule '%d'.", n.Name, r.def.ID)
	}
}

// join appends the text of n to *to.
func (r *reader) join(n *xmlconf.Node, to **string) {
	t := n.Text
	if len(t) > maxText {
		r.doubt(n, 1104, "ERROR: Maximum string size reached for: %s", t)
		return
	}
	if *to != nil {
		t = **to + t
	}
	*to = &t
}

var categories = map[string]event.DecoderType{"firewall": event.TypeFirewall, "ids": event.TypeIDS, "syslog": event.TypeSyslog,
	"web-log": event.TypeWebLog, "squid": event.TypeSquid, "windows": event.TypeWindows, "ossec": event.TypeOSSEC}

// categoryNumber is the number that messages show.
func categoryNumber(t event.DecoderType) int {
	switch t {
	case event.TypeIDS:
		return 2
	case event.TypeFirewall:
		return 3
	case event.TypeWebLog:
		return 7
	case event.TypeSquid:
		return 8
	case event.TypeWindows:
		return 9
	case event.TypeHostInfo:
		return 10
	case event.TypeOSSEC:
		return 11
	case event.TypeOSSECAlert:
		return 12
	}
	return 1
}

func (r *reader) category(n *xmlconf.Node) {
	c, ok := categories[n.Text]
	if !ok {
		r.failWhy(n, "there are firewall, ids, syslog, web-log, squid, windows and ossec", 1273, "ERROR: Invalid category '%s' chosen.", n.Text)
		return
	}
	r.def.Category = c
}

func (r *reader) address(n *xmlconf.Node, to *[]addrTest) {
	t, err := parseAddrTest(n.Text)
	if err != nil {
		r.failWhy(n, err.Error(), 1237, "ERROR: Invalid ip address: '%s'.", n.Text)
		return
	}
	*to = append(*to, t)
}

func (r *reader) field(n *xmlconf.Node) {
	if len(n.Attrs) == 0 {
		r.fail(n, 0, "Missing attribute 'name' for field.")
		return
	}
	if !strings.EqualFold(n.Attrs[0].Name, "name") {
		r.fail(n, 0, "Bad attribute '%s' for field.", n.Attrs[0].Name)
		return
	}
	re, err := pattern.CompileRegex(n.Text)
	if err != nil {
		r.badPattern(n, n.Text, err)
		return
	}
	if f := strings.ToLower(n.Attrs[0].Value); standardFields[f] {
		r.note(n, "'%s' is a standard field: <field> sees only the other names of a decoder's <order>, so it never holds.", f)
	}
	if odd := surprisingRegex(n.Text); odd != "" {
		r.note(n, "%s", odd)
	}
	r.def.conds.fields = append(r.def.conds.fields, fieldTest{n.Attrs[0].Value, re})
}

// standardFields are the names that a decoder's <order> fills into the event itself.
var standardFields = map[string]bool{"srcip": true, "dstip": true, "srcport": true, "dstport": true, "protocol": true, "action": true,
	"srcuser": true, "dstuser": true, "user": true, "id": true, "url": true, "data": true, "extra_data": true, "status": true,
	"system_name": true}

func (r *reader) time(n *xmlconf.Node) {
	t, doubts, fault := parseTime(n.Text)
	for _, d := range doubts {
		r.doubt(n, 1240, "ERROR: Invalid time format: '%s'.", d)
	}
	if fault != nil {
		if !fault.silent {
			r.failWhy(n, "a range is written 9:00 - 17:30 or 6 pm - 8:30 am", 1240, "ERROR: Invalid time format: '%s'.", fault.rest)
		}
		r.fail(n, 1274, "ERROR: Invalid configuration. Element 'time': %s.", n.Text)
		return
	}
	if low := strings.ToLower(n.Text); strings.Contains(low, "12 am") || strings.Contains(low, "12am") || strings.Contains(low, "12:00 am") || strings.Contains(low, "12:00am") {
		r.note(n, "12 am is noon here; midnight is 0:00.")
	}
	if t.from > t.to && t.negate {
		r.note(n, "A range over midnight loses its '!'.")
	}
	r.def.conds.time = t
}

func (r *reader) weekday(n *xmlconf.Node) {
	w, fault := parseWeekday(n.Text, !r.l.opts.OssecExact)
	if fault != nil {
		r.failWhy(n, "days are monday or mon to sunday or sun, weekdays, weekends", 1241, "ERROR: Invalid day format: '%s'.", fault.rest)
		r.fail(n, 1274, "ERROR: Invalid configuration. Element 'weekday': %s.", n.Text)
		return
	}
	r.def.conds.weekday = w
}

func (r *reader) compiledRule(n *xmlconf.Node) {
	c, ok := compiledRules[n.Text]
	if !ok {
		r.fail(n, 0, "ERROR: Compiled rule not found: '%s'", n.Text)
		r.fail(n, 1274, "ERROR: Invalid configuration. Element 'compiled_rule': %s.", n.Text)
		return
	}
	r.def.conds.compiled = c
}

// maxInfos is how many info texts a rule keeps.
const maxInfos = 9

func (r *reader) info(n *xmlconf.Node) {
	kind := "text"
	for _, a := range n.Attrs {
		v := strings.ToLower(a.Value)
		if !strings.EqualFold(a.Name, "type") || (v != "text" && v != "link" && v != "cve" && v != "osvdb") {
			r.fail(n, 0, "Invalid attribute '%s' = '%s' for info.", a.Name, a.Value)
			return
		}
		kind = v
	}
	r.addInfo(Info{Type: kind, Text: n.Text})
}

func (r *reader) addInfo(i Info) {
	if len(r.def.Infos) < maxInfos {
		r.def.Infos = append(r.def.Infos, i)
	} else {
		r.note(r.node, "Only %d <info> and <cve> are kept.", maxInfos)
	}
}

func (r *reader) option(n *xmlconf.Node) {
	switch n.Text {
	case "alert_by_email":
		r.def.Mail = true
	case "no_email_alert":
		r.def.Mail = false
	case "log_alert":
		r.def.Log = true
	case "no_log":
		r.def.Log = false
	case "no_ar":
		r.def.NoAR = true
	default:
		r.fail(n, 1235, "ERROR: Invalid value for element 'options': %s.", n.Text)
		r.fail(n, 0, "Invalid option 'options' for rule '%d'.", r.def.ID)
	}
}

func (r *reader) ftsSelection(n *xmlconf.Node, element string, to *ftsSet, f flag) {
	s, ok := parseFTSSet(n.Text)
	if !ok {
		r.fail(n, 0, "Wrong %s option: '%s'", element, n.Text)
		return
	}
	*to |= s
	r.def.flags |= f
}

func (r *reader) list(n *xmlconf.Node) {
	t := listTest{name: list.Name(n.Text)}
	t.handle = r.l.rs.lists[t.name]
	var field, look, check *string
	for i := range n.Attrs {
		a := &n.Attrs[i]
		switch strings.ToLower(a.Name) {
		case "field":
			field = &a.Value
		case "lookup":
			look = &a.Value
		case "check_value":
			check = &a.Value
		default:
			r.fail(n, 0, "List field=\"%s\" is not valid", a.Value)
			r.listElement(n)
			return
		}
	}
	switch {
	case len(n.Attrs) == 0:
		r.fail(n, 0, "List must have a correctly formatted field attribute")
		r.listElement(n)
		return
	case field == nil:
		r.fail(n, 0, "List requires the field=\"\" Attrubute")
		r.listElement(n)
		return
	}
	ok := false
	if t.field, ok = listFields[strings.ToLower(*field)]; !ok {
		r.listElement(n)
		r.fail(n, 0, "List match field=\"%s\" is not valid.", *field)
		return
	}
	if look != nil {
		if t.lookup, ok = lookups[strings.ToLower(*look)]; !ok {
			r.listElement(n)
			r.fail(n, 0, "List match lookup=\"%s\" is not valid.", *look)
			return
		}
	}
	if check != nil {
		m, err := pattern.CompileMatch(*check)
		if err != nil {
			r.badPattern(n, *check, err)
			return
		}
		t.value = m
	} else if t.lookup == matchKeyValue || t.lookup == addressMatchKeyValue {
		r.fail(n, 0, "List lookup=\"%s\" requires the attribute check_value.", *look)
		return
	}
	switch {
	case t.handle == nil:
		r.note(n, "The list '%s' is not declared in <rules>: the rule never matches.", t.name)
	case t.lookup == addressMatchKeyValue && !r.l.opts.OssecExact:
		r.note(n, "OSSEC inverts the result of address_match_key_value; here it is as the name says.")
	}
	if len(r.def.conds.lists) == 2 && !r.l.opts.OssecExact {
		r.note(n, "OSSEC enforces only the last two lists of a rule; here all are.")
	}
	r.def.conds.lists = append(r.def.conds.lists, t)
}

func (r *reader) listElement(n *xmlconf.Node) {
	r.fail(n, 1274, "ERROR: Invalid configuration. Element 'list': %s.", n.Text)
}

// child is the first element of the rule that has one of the names; the rule itself when there is none.
func (r *reader) child(name string) *xmlconf.Node {
	for _, c := range r.node.Children {
		if strings.EqualFold(c.Name, name) {
			return c
		}
	}
	return r.node
}

// badPattern reports a pattern that does not compile.
func (r *reader) badPattern(n *xmlconf.Node, p string, err error) {
	why := err.Error()
	if pe := (*pattern.Error)(nil); errors.As(err, &pe) {
		why = pe.Reason
		if pe.Offset >= 0 {
			why += fmt.Sprintf(", at byte %d", pe.Offset)
		}
	}
	r.failWhy(n, why, 1450, "ERROR: Syntax error on regex: '%s': %d.", p, patternCode(err))
}
