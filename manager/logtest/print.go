package logtest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/rules"
)

// phases prints pre-decoding and decoding.
func (t *tool) phases(ev *event.Event) {
	programName := "(null)"
	if ev.HasProgram {
		programName = ev.ProgramName
	}
	t.printf("\n\n**Phase 1: Completed pre-decoding.\n       full event: '%s'\n       hostname: '%s'\n       program_name: '%s'\n       log: '%s'\n",
		ev.FullLog, ev.Hostname, programName, ev.Log)
	if t.set.Rules.Decoders().Tops(ev.HasProgram) {
		t.printf("\n**Phase 2: Completed decoding.\n")
		if ev.Decoder == "" {
			t.printf("       No decoder matched.\n")
		}
	}
	for _, c := range t.sc.Decode.Captured {
		t.printf("       %s: '%s'\n", c.Label, c.Value)
	}
	t.printf("       decoder: '%s'\n", orNull(ev.Decoder))
	if ev.Accumulate {
		t.printf("\n**ACCUMULATOR: LEVEL UP!!**\n\n")
	}
}

func orNull(s string) string {
	if s == "" {
		return "(null)"
	}
	return s
}

// outcome prints the tried rules, the explanation and the final rule.
func (t *tool) outcome(out *rules.Outcome, x *rules.Explanation) {
	if t.verbose {
		t.printf("\n**Rule debugging:\n%s", rules.AppendTrace(nil, out.Trace))
	}
	if x != nil {
		t.printf("\n**Rule explanation:\n%s", indent(t.explanation(x)))
	}
	r := out.Rule
	if r == nil {
		return
	}
	t.printf("\n**Phase 3: Completed filtering (rules).\n       Rule id: '%d'\n       Level: '%d'\n       Description: '%s'\n", r.ID, r.Level, r.Description)
	for _, in := range r.Infos {
		t.printf("       Info - %s: '%s'\n", infoLabel(in.Type), in.Text)
	}
	if alerted(out) {
		t.printf("**Alert to be generated.\n\n\n")
	}
}

func alerted(out *rules.Outcome) bool { return out.Alert != nil && out.Alert.Rule.Log }

// infoLabel is how the tool calls a type of information.
func infoLabel(typ string) string {
	switch typ {
	case "link":
		return "Link"
	case "cve", "osvdb":
		return strings.ToUpper(typ)
	case "bugtrack", "bugtrackid":
		return "BUGTRACKID"
	}
	return "Text"
}

func indent(text string) string {
	var b strings.Builder
	for l := range strings.Lines(text) {
		b.WriteString("    " + l)
	}
	return b.String()
}

// alert prints an alert as it stands in alerts.log.
func (t *tool) alert(out *rules.Outcome) {
	if !alerted(out) {
		return
	}
	t.out.Write(alert.AppendText(nil, out.Alert)) //nolint:errcheck // flush reports it
}

// explanation is the whole tree of tried rules, or what concerns the rule that was asked for.
func (t *tool) explanation(x *rules.Explanation) string {
	if t.explainRule == 0 {
		return x.String()
	}
	return Why(t.set.Rules, x, t.explainRule)
}

// Why tells from an explanation why a rule does or does not match: the way down to it, as far as it was gone.
func Why(rs *rules.Ruleset, x *rules.Explanation, id int) string {
	r := rs.Rule(id)
	if r == nil {
		return fmt.Sprintf("rule %d is not loaded\n", id)
	}
	var b strings.Builder
	if x.Reason != rules.NotDropped {
		fmt.Fprintf(&b, "the event is not matched: %s\n", x.Reason)
		return b.String()
	}
	writeWays(&b, x, id)
	if b.Len() == 0 {
		notTried(&b, rs, x, r)
	}
	if x.Final != nil && x.Final.ID != id {
		fmt.Fprintf(&b, "the event ends in rule %d (level %d) %s\n", x.Final.ID, x.Final.Level, x.Final.Description)
	}
	return b.String()
}

// writeWays prints the way down to each place of a rule and reports whether one of them was gone to its end with success.
func writeWays(b *strings.Builder, x *rules.Explanation, id int) (matched bool) {
	for _, way := range waysTo(x.Tried, id) {
		for depth, e := range way {
			fmt.Fprintf(b, "%s%s\n", strings.Repeat("  ", depth), verdict(e))
		}
		matched = matched || way[len(way)-1].Matched
	}
	return matched
}

// notTried says why a rule was not even looked at: the rules above it did not match, or one beside it took the event before.
func notTried(b *strings.Builder, rs *rules.Ruleset, x *rules.Explanation, r *rules.Rule) {
	above := false
	for _, p := range r.Parents {
		before := b.Len()
		above = writeWays(b, x, p) || above
		if parent := rs.Rule(p); parent != nil && b.Len() == before {
			notTried(b, rs, x, parent)
		}
	}
	switch {
	case len(r.Parents) == 0 && x.Final != nil:
		fmt.Fprintf(b, "rule %d was not tried: it is for other kinds of events, or comes after rule %d\n", r.ID, x.Final.ID)
	case len(r.Parents) == 0:
		fmt.Fprintf(b, "rule %d was not tried: it is for other kinds of events\n", r.ID)
	case above && x.Final != nil:
		fmt.Fprintf(b, "rule %d was not tried: rule %d comes before it and took the event\n", r.ID, x.Final.ID)
	default:
		fmt.Fprintf(b, "rule %d was not tried: it is a child of %s\n", r.ID, joinIDs(r.Parents))
	}
}

func joinIDs(ids []int) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.Itoa(id)
	}
	return strings.Join(texts, ", ")
}

// waysTo gives the tried rules from a root down to each place of a rule.
func waysTo(tried []*rules.Explained, id int) (ways [][]*rules.Explained) {
	for _, e := range tried {
		if e.Rule.ID == id {
			ways = append(ways, []*rules.Explained{e})
			continue
		}
		for _, w := range waysTo(e.Tried, id) {
			ways = append(ways, append([]*rules.Explained{e}, w...))
		}
	}
	return ways
}

func verdict(e *rules.Explained) string {
	s := fmt.Sprintf("rule %d (level %d) ", e.Rule.ID, e.Rule.Level)
	switch {
	case !e.Matched:
		return s + "does not match: " + e.Tests[len(e.Tests)-1].String()
	case e.Final:
		return s + "matches, and the event ends here"
	}
	return s + "matches"
}

// judge compares an event with the expectation of -U; the last event decides the exit code.
func (t *tool) judge(ev *event.Event, out *rules.Outcome) {
	t.printf("lf->decoder_info->name: '%s'\nut_decoder_name       : '%s'\n", orNull(ev.Decoder), t.wantDecoder)
	r := out.Rule
	switch {
	case !strings.EqualFold(ev.Decoder, t.wantDecoder) || ev.Decoder == "":
		t.code = exitDecoder
		if ev.Decoder == "" {
			t.printf("decoder matched : 'NULL'\n")
		} else {
			t.printf("decoder matched : '%s'\ndecoder expected: '%s'\n", ev.Decoder, t.wantDecoder)
		}
	case r == nil:
		t.code = exitNoRule
		t.log.Line(fmt.Sprintf("%s: No rule matched for decoder '%s'. Verify that rules exist for this decoder and check if rules have required dependencies (if_sid, if_matched_sid, if_matched_group, etc.).",
			program, ev.Decoder))
	case strconv.Itoa(r.ID) != t.wantRule:
		t.code = exitRule
	case strconv.Itoa(r.Level) != t.wantLevel:
		t.code = exitLevel
	default:
		t.code = 0
		t.out.WriteString("0\n") //nolint:errcheck // flush reports it
	}
}
