package rules

import (
	"math/bits"
	"net/netip"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/rules/decode"
)

// testKind says what a compiled test of a rule looks at.
type testKind uint8

const (
	testText testKind = iota
	testAction
	testField
	testSrcIP
	testDstIP
	testCompiled
	testMaxSize
	testTime
	testWeekday
	testNever // GeoIP data is never there
)

// test is one condition of a rule on the event alone, ready to run.
type test struct {
	kind    testKind
	subject subject
	m       matcher
	field   *fieldTest
}

// compileTests lists the rule's conditions, in the order of the spec (rules.md, section 7). decoded_as comes first and is not in the
// list, lists come last and are not in it either.
func (r *Rule) compileTests(opts *Options) {
	r.tests = r.tests[:0]
	add := func(t test) { r.tests = append(r.tests, t) }
	text := func(subs ...subject) {
		for _, s := range subs {
			if m := r.conds.text[s].active(); m != nil {
				if s == subSrcGeo || s == subDstGeo {
					add(test{kind: testNever, subject: s, m: m})
				} else {
					add(test{kind: testText, subject: s, m: m})
				}
			}
		}
	}
	c := &r.conds
	if opts.OssecExact && len(c.lists) > 2 {
		c.lists = c.lists[len(c.lists)-2:] // OSSEC enforces only the last two
	}
	text(subProgram, subID, subLog, subRegex)
	if c.action != nil {
		add(test{kind: testAction})
	}
	text(subURL)
	for i := range c.fields {
		add(test{kind: testField, field: &c.fields[i]})
	}
	if r.flags&flagPacket != 0 {
		if c.srcIP != nil {
			add(test{kind: testSrcIP})
		}
		if c.dstIP != nil {
			add(test{kind: testDstIP})
		}
		text(subSrcPort, subDstPort)
	}
	if r.flags&flagExtra == 0 {
		return
	}
	if c.compiled != compiledNone {
		add(test{kind: testCompiled})
	}
	text(subUser, subSrcGeo, subDstGeo)
	if r.maxSize > 0 {
		add(test{kind: testMaxSize})
	}
	if c.time != nil {
		add(test{kind: testTime})
	}
	if c.weekday != nil {
		add(test{kind: testWeekday})
	}
	text(subExtra, subHost, subStatus)
}

// value is the part of an event that a subject names.
func (s subject) value(ev *event.Event) (string, bool) {
	switch s {
	case subLog, subRegex:
		return ev.Log, true
	case subProgram:
		return ev.ProgramName, ev.HasProgram
	case subID:
		return ev.Fields.Get(event.ID)
	case subURL:
		return ev.Fields.Get(event.URL)
	case subSrcPort:
		return ev.Fields.Get(event.SrcPort)
	case subDstPort:
		return ev.Fields.Get(event.DstPort)
	case subUser:
		if v, ok := ev.Fields.Get(event.DstUser); ok {
			return v, true
		}
		return ev.Fields.Get(event.SrcUser)
	case subStatus:
		return ev.Fields.Get(event.Status)
	case subExtra:
		return ev.Fields.Get(event.Data)
	case subHost:
		return ev.Hostname, true
	}
	return "", false
}

// holds runs one test.
func (t *test) holds(r *Rule, p *Prepared) bool {
	ev := p.Event
	switch t.kind {
	case testText:
		v, ok := t.subject.value(ev)
		return ok && t.m.MatchString(v)
	case testAction:
		v, ok := ev.Fields.Get(event.Action)
		return ok && v == *r.conds.action
	case testField:
		return t.field.holds(ev)
	case testSrcIP:
		a, ok := p.addr(0, event.SrcIP)
		return ok && matchAddr(r.conds.srcIP, a)
	case testDstIP:
		a, ok := p.addr(1, event.DstIP)
		return ok && matchAddr(r.conds.dstIP, a)
	case testCompiled:
		return r.conds.compiled.holds(ev)
	case testMaxSize:
		return len(ev.Log) >= r.maxSize
	case testTime:
		p.clock()
		return r.conds.time.contains(int(p.minute)/60, int(p.minute)%60)
	case testWeekday:
		p.clock()
		return r.conds.weekday.contains(time.Weekday(p.day))
	}
	return false
}

func (f *fieldTest) holds(ev *event.Event) bool {
	for i := range ev.Dynamic {
		if d := &ev.Dynamic[i]; strings.EqualFold(d.Name, f.name) {
			return f.regex.MatchString(d.Value)
		}
	}
	return false
}

// direct tests everything about the event itself but the lists.
func (r *Rule) direct(p *Prepared) bool {
	if r.conds.decoded && p.Event.DecodedAs != r.conds.decodedAs {
		return false
	}
	for i := range r.tests {
		if !r.tests[i].holds(r, p) {
			return false
		}
	}
	return true
}

// listed tests the lists.
func (r *Rule) listed(p *Prepared) bool {
	for i := range r.conds.lists {
		if !r.conds.lists[i].holds(p.Event, p.rs.opts.OssecExact) {
			return false
		}
	}
	return true
}

// parsedIP is an address of the event, parsed when first asked for.
type parsedIP struct {
	addr  netip.Addr
	state int8 // 0 not parsed, 1 valid, -1 not
}

func (p *Prepared) addr(i int, f event.Field) (netip.Addr, bool) {
	ip := &p.ip[i]
	if ip.state == 0 {
		ip.state = -1
		if v, ok := p.Event.Fields.Get(f); ok {
			if a, ok := parseAddr(v); ok {
				ip.addr, ip.state = a.Unmap(), 1
			}
		}
	}
	return ip.addr, ip.state > 0
}

// clock computes minute of the day and day of the week at reception.
func (p *Prepared) clock() {
	if p.minute < 0 {
		t := p.Event.Received.In(p.rs.opts.Location)
		p.minute = int16(t.Hour()*60 + t.Minute())
		p.day = int8(t.Weekday())
	}
}

// Prepare does all work on an event that needs no memory of earlier events: pre-decoding and decoding (but for the kinds that their
// own stores decode: integrity, rootcheck, host information), firewall normalisation and the search for candidate rules. Any number of
// goroutines may prepare events at once, each with its own Scratch and Prepared.
func (rs *Ruleset) Prepare(ev *event.Event, sc *Scratch, p *Prepared) {
	switch ev.Kind {
	case event.KindSyscheck, event.KindRootcheck, event.KindHostinfo:
	default:
		decode.Predecode(ev, rs.opts.LocalHost)
		rs.decoders.Decode(ev, &sc.Decode)
	}
	rs.Candidates(ev, sc, p)
}

// Candidates is the second half of Prepare, for events that are decoded already.
func (rs *Ruleset) Candidates(ev *event.Event, sc *Scratch, p *Prepared) {
	p.Event, p.rs, p.steps, p.drop, p.minute = ev, rs, p.steps[:0], NotDropped, -1
	p.ip[0].state, p.ip[1].state = 0, 0
	if ev.Type == event.TypeFirewall && rs.opts.LogFirewall && !normaliseFirewall(ev) {
		p.drop = DroppedFirewall
		return
	}
	if ev.Type == event.TypeOSSECAlert {
		return
	}
	c := rs.classify(ev, sc)
	rs.scan(ev, c, sc)
	for i := int32(0); i < rs.roots; i++ {
		if rs.nodes[i].rule.Category == ev.Type && c.live[i>>6]>>(i&63)&1 != 0 && rs.visit(i, c, sc, p) {
			return
		}
	}
}

// visit appends the steps of the position i and of those below it. It reports whether a final rule among them is certain, so that no
// sibling need be looked at.
func (rs *Ruleset) visit(i int32, c *class, sc *Scratch, p *Prepared) bool {
	n := &rs.nodes[i]
	r := n.rule
	if !r.direct(p) {
		return false
	}
	st := step{node: i, stateful: r.stateful()}
	if len(r.conds.lists) > 0 && !r.listed(p) {
		if r.flags&(flagFTS|flagDiff) == 0 {
			return false
		}
		st.failed = true
	}
	at := len(p.steps)
	p.steps = append(p.steps, st)
	certain := false
	if !st.failed {
		certain = rs.visitRange(n.first, n.last, c, sc, p) || !r.NoAlert
	}
	p.steps[at].end = int32(len(p.steps))
	return certain && !st.stateful
}

// visitRange visits the siblings nodes[first:last] that the class and the filters allow.
func (rs *Ruleset) visitRange(first, last int32, c *class, sc *Scratch, p *Prepared) bool {
	if first >= last {
		return false
	}
	for w := first >> 6; w <= (last-1)>>6; w++ {
		word := c.live[w] & sc.hits[w]
		if word == 0 {
			continue
		}
		if lo := w << 6; lo < first {
			word &= ^uint64(0) << (first - lo)
		}
		if hi := (w + 1) << 6; hi > last {
			word &= ^uint64(0) >> (hi - last)
		}
		for ; word != 0; word &= word - 1 {
			if rs.visit(w<<6+int32(bits.TrailingZeros64(word)), c, sc, p) {
				return true
			}
		}
	}
	return false
}

// normaliseFirewall turns the action of a firewall event into one of OSSEC's words. It reports false for an incomplete event.
func normaliseFirewall(ev *event.Event) bool {
	action, ok := ev.Fields.Get(event.Action)
	if !ok || !ev.Fields.Has(event.SrcIP) || !ev.Fields.Has(event.DstIP) || !ev.Fields.Has(event.Protocol) {
		return false
	}
	ev.Fields.Set(event.Action, firewallAction(action))
	return true
}

func firewallAction(a string) string {
	if a != "" {
		switch a[0] {
		case 'd', 'D', 'r', 'R', 'b', 'B':
			return "DROP"
		case 'c', 'C', 't', 'T':
			return "CLOSED"
		case 'a', 'A', 'p', 'P', 'o', 'O':
			return "ALLOW"
		}
	}
	switch l := strings.ToLower(a); {
	case strings.Contains(l, "drop"):
		return "DROP"
	case strings.Contains(l, "accept"):
		return "ALLOW"
	}
	return "UNKNOWN"
}
