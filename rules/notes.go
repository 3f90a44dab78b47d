package rules

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/config/xmlconf"
)

// The functions of this file remark on what OSSEC understands otherwise than it reads (spec rules.md, patterns.md). The remarks are kept
// with the rule, for Lint.

// note keeps a remark on a construct that does not do what it seems to do.
func (r *reader) note(at *xmlconf.Node, format string, args ...any) {
	r.def.notes = append(r.def.notes, config.Problem{Pos: r.l.pos(at), Text: fmt.Sprintf(format, args...), Hint: r.where(at), Warning: true})
}

// noteAttributes remarks on attributes of the rule.
func (r *reader) noteAttributes(accuracy int) {
	d := r.def
	for _, a := range r.node.Attrs {
		switch name := strings.ToLower(a.Name); {
		case name == "noalert" && (a.Value == "0" || strings.EqualFold(a.Value, "no") || strings.EqualFold(a.Value, "false")):
			r.note(r.node, "noalert is on whatever its value; leave it out to have it off.")
		case name == "id" && len(a.Value) > 6:
			r.note(r.node, "Only the first 6 digits of an id are read: this is rule %d.", d.ID)
		case name == "level" && len(a.Value) > 4:
			r.note(r.node, "Only the first 4 digits of a level are read: %d.", d.Level)
		}
	}
	switch {
	case d.Level == 99 && accuracy != 0:
		r.note(r.node, "Level 99 is level 0.")
	case d.Level == 0 && accuracy == 0:
		r.note(r.node, "Level 0 with accuracy 0 becomes level 99.")
	case d.Level > 15:
		r.note(r.node, "Levels are 0 to 15; %d is taken as it is.", d.Level)
	}
	if d.overwrite && d.ID < 10 {
		r.note(r.node, "A root is not overwritten: this is another root of the same id.")
	}
}

// notePatterns remarks on joined texts: pairs of which one is ignored, and patterns that look like those of another language.
func (r *reader) notePatterns() {
	for s := range numSubjects {
		plain := r.def.plain[s]
		if plain == nil {
			continue
		}
		if r.def.pcre[s] != nil {
			r.note(r.child(s.element(true)), "<%s> is ignored, because there is a <%s>.", s.element(true), s.element(false))
		}
		text := ""
		switch {
		case s == subSrcGeo || s == subDstGeo:
		case s == subRegex:
			text = surprisingRegex(*plain)
		case (s == subSrcPort || s == subDstPort) && *plain != "" && strings.Trim(*plain, "0123456789|") == "":
			text = "A port is compared as a text: 22 is also found in 2200. Write ^22$."
		default:
			text = surprisingMatch(*plain)
		}
		if text != "" {
			r.note(r.child(s.element(false)), "%s", text)
		}
	}
}

// noteRelations remarks on parents and searches that exclude each other.
func (r *reader) noteRelations() {
	d := r.def
	switch {
	case d.ifSID != nil && d.ifLevel != nil:
		r.note(r.child("if_level"), "<if_level> has no effect beside <if_sid>.")
	case d.ifSID != nil && d.ifGroup != nil:
		r.note(r.child("if_group"), "<if_group> has no effect beside <if_sid>.")
	case d.ifLevel != nil && d.ifGroup != nil:
		r.note(r.child("if_group"), "<if_group> has no effect beside <if_level>.")
	}
	switch {
	case d.matchedSID >= 0 && d.matchedGrp != nil:
		r.note(r.child("if_matched_group"), "Beside <if_matched_sid> this only says below which rules the rule stands: what is counted is rule %d.", d.matchedSID)
	case d.matchedSID >= 0 && d.matchedRe != nil, d.matchedGrp != nil && d.matchedRe != nil:
		r.note(r.child("if_matched_regex"), "<if_matched_regex> has no effect beside the other <if_matched_...>.")
	}
	if d.matchedRe != nil && d.matchedSID < 0 && d.matchedGrp == nil {
		for bit, name := range map[checks]string{sameSrcPort: "same_src_port", sameDstPort: "same_dst_port", sameLocation: "same_location"} {
			if d.check&bit != 0 {
				r.note(r.child(name), "<%s> is not looked at by <if_matched_regex>.", name)
			}
		}
	}
	last := map[string]*xmlconf.Node{}
	for _, c := range r.node.Children {
		name := strings.ToLower(c.Name)
		switch name {
		case "decoded_as", "time", "weekday", "if_matched_sid", "category", "compiled_rule":
			if last[name] != nil {
				r.note(last[name], "Of several <%s> only the last one counts.", name)
			}
			last[name] = c
		}
	}
}

// noteGroups remarks on group names that run into one.
func (r *reader) noteGroups(n *xmlconf.Node) {
	g := r.def.Groups
	if g != "" && n.Text != "" && !strings.HasSuffix(g, ",") && !strings.HasPrefix(n.Text, ",") {
		r.note(n, "There is no comma between the groups '%s' and '%s': they become one name.", g, n.Text)
	}
}

// noteText remarks on single text conditions.
func (r *reader) noteText(n *xmlconf.Node, sub subject) {
	switch {
	case sub == subSrcGeo || sub == subDstGeo:
		r.note(n, "There is no GeoIP data: the condition never holds.")
	case strings.Contains(n.Text, "\n"):
		r.note(n, "The text holds a line break, which no log has.")
	}
}

// escape finds what is meant as an escape; backslashes stand in paths and names of Windows too.
var escape = regexp.MustCompile(`\\[.()\[\]*+?]|\\[dDsSwW][+*{]`)

// surprisingMatch says what is odd about an OS_Match; "" = nothing.
func surprisingMatch(p string) string {
	if strings.HasPrefix(p, "!") {
		return "There is no negation here: '!' is an ordinary character."
	}
	for alt := range strings.SplitSeq(p, "|") {
		inner := strings.TrimRight(strings.TrimLeft(alt, "^"), "$")
		switch {
		case inner == "" && strings.Trim(alt, "^$") == "" && len(alt) < 2:
			return "An empty alternative matches every text."
		case strings.ContainsAny(inner, "^$"):
			return "'^' and '$' are anchors wherever they stand: an alternative with one in its middle never matches."
		}
		if escape.MatchString(inner) {
			return "There are no escapes here: '\\' is an ordinary character. <regex> and <pcre2> have them."
		}
		if strings.Contains(inner, ".*") || strings.Contains(inner, ".+") {
			return "There are no wildcards here: '.', '*' and '+' are ordinary characters."
		}
	}
	if strings.HasSuffix(p, "\\") {
		return "'\\' does not escape '|' or '$': it is an ordinary character."
	}
	return ""
}

// surprisingRegex says what in an OS_Regex looks like another language; "" = nothing.
func surprisingRegex(p string) string {
	for i := 0; i < len(p); i++ {
		rest := p[i:]
		switch {
		case p[i] == '\\':
			i++
		case strings.HasPrefix(rest, ".*"), strings.HasPrefix(rest, ".+"):
			return "'.' is a literal dot here and '" + rest[1:2] + "' behind it an ordinary character; any characters are written \\.*"
		case strings.HasPrefix(rest, "(?"):
			return "'?' is an ordinary character here: this is a capturing group that holds it."
		case strings.HasPrefix(rest, ")+"), strings.HasPrefix(rest, ")*"), strings.HasPrefix(rest, ")?"):
			return "A group cannot be repeated here: '" + rest[1:2] + "' is an ordinary character."
		case strings.HasPrefix(rest, "[") && (strings.HasPrefix(rest[1:], "^") || len(rest) > 3 && rest[2] == '-'):
			return "There are no character classes here: '[' is an ordinary character. <pcre2> has them."
		}
	}
	return ""
}
