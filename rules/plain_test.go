package rules

import (
	goflag "flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config/xmlconf"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/vectors"
	"github.com/vedette-hids/vedette/pattern"
	"github.com/vedette-hids/vedette/pattern/patterntest"
	"github.com/vedette-hids/vedette/rules/decode"
)

var (
	lineCount = goflag.Int("lines", 2000, "lines per ruleset of the comparison with the plain engine")
	lineSeed  = goflag.Uint64("seed", 1, "their seed")
)

// plainEngine is matching written down once more from the spec (rules.md, sections 7 to 10): it walks the tree, tests each condition with
// the plain patterns, and searches plain lists. It shares the loaded rules with the package, and its stores' types.
type plainEngine struct {
	model
	patterns map[matcher]*patterntest.Plain
	fts      Novelty
	diff     DiffStore
	ignored  IgnoreStore
	opened   map[int]int64

	ev       *event.Event
	p        *Prepared
	fact     *modelFact
	previous []string
}

func newPlainEngine(t testing.TB, rs *Ruleset) *plainEngine {
	e := &plainEngine{patterns: map[matcher]*patterntest.Plain{}}
	e.model = *newModel(rs)
	add := func(m matcher) {
		plain, err := plainPattern(m)
		if err != nil {
			t.Fatal(err)
		}
		e.patterns[m] = plain
	}
	for _, r := range rs.rules {
		for s := range r.conds.text {
			if m := r.conds.text[s].active(); m != nil {
				add(m)
			}
		}
		for i := range r.conds.fields {
			add(r.conds.fields[i].regex)
		}
	}
	e.reset()
	return e
}

func plainPattern(m matcher) (*patterntest.Plain, error) {
	switch m.(type) {
	case *pattern.Match:
		return patterntest.New(patterntest.Match, m.String())
	case *pattern.Regex:
		return patterntest.New(patterntest.Regex, m.String())
	}
	return patterntest.New(patterntest.PCRE2, m.String())
}

// reset forgets all earlier events.
func (e *plainEngine) reset() {
	rs := e.rs
	e.model = *newModel(rs)
	e.fts = decode.NewFTSStore(decode.FTSOptions{ListSize: rs.opts.FTSListSize, MinSize: rs.opts.FTSMinSizeForStr})
	e.diff, e.ignored, e.opened = NewMemoryDiffStore(), NewMemoryIgnoreStore(), map[int]int64{}
}

// plainOutcome is what the plain engine says of an event.
type plainOutcome struct {
	rule     *Rule
	reason   Reason
	previous []string
}

// next takes an event that the other engine has prepared and processed.
func (e *plainEngine) next(p *Prepared, now int64) (out plainOutcome) {
	e.ev, e.p, e.fact, e.previous = p.Event, p, &modelFact{ev: *p.Event, time: now}, nil
	if e.ev.Type == event.TypeOSSECAlert {
		out.rule = e.rs.byID[e.ev.ForwardedRule]
	} else {
		for i := int32(0); i < e.rs.roots && out.rule == nil; i++ {
			if e.rs.nodes[i].rule.Category == e.ev.Type {
				out.rule = e.evaluate(i)
			}
		}
	}
	r := out.rule
	switch {
	case r == nil:
		out.reason = NoRule
		return out
	case r.Level == 0:
		out.reason = LevelZero
		return out
	}
	if at, open := e.opened[r.ID]; open && r.Ignore > 0 && now-at < int64(r.Ignore) {
		out.reason = InIgnoreWindow
		return out
	}
	if r.flags&flagCheckIgnored != 0 && e.ignored.Has(r.checkKey.line(e.ev)) {
		out.reason = InIgnoreStore
		return out
	}
	e.opened[r.ID] = now
	if r.flags&flagIgnore != 0 {
		e.ignored.Add(r.ignoreKey.line(e.ev))
	}
	e.fact.rule = r
	e.store(e.fact)
	out.previous = e.previous
	return out
}

func (e *plainEngine) evaluate(i int32) *Rule {
	n := &e.rs.nodes[i]
	if !e.holds(n.rule) {
		return nil
	}
	for c := n.first; c < n.last; c++ {
		if r := e.evaluate(c); r != nil {
			return r
		}
	}
	if n.rule.NoAlert {
		return nil
	}
	return n.rule
}

// holds tests the conditions of a rule in the order of section 7.
func (e *plainEngine) holds(r *Rule) bool {
	c := &r.conds
	if c.decoded && e.ev.DecodedAs != c.decodedAs {
		return false
	}
	for _, s := range []subject{subProgram, subID, subLog, subRegex} {
		if !e.text(r, s) {
			return false
		}
	}
	if c.action != nil && (!e.ev.Fields.Has(event.Action) || e.ev.Fields.Value(event.Action) != *c.action) {
		return false
	}
	if !e.text(r, subURL) {
		return false
	}
	for i := range c.fields {
		v, ok := "", false
		for _, d := range e.ev.Dynamic {
			if !ok && strings.EqualFold(d.Name, c.fields[i].name) {
				v, ok = d.Value, true
			}
		}
		if !ok || !e.found(c.fields[i].regex, v) {
			return false
		}
	}
	if !e.address(c.srcIP, event.SrcIP) || !e.address(c.dstIP, event.DstIP) || !e.text(r, subSrcPort) || !e.text(r, subDstPort) ||
		!c.compiled.holds(e.ev) || !e.text(r, subUser) || !e.text(r, subSrcGeo) || !e.text(r, subDstGeo) || len(e.ev.Log) < r.maxSize {
		return false
	}
	now := e.ev.Received.In(e.rs.opts.Location)
	if c.time != nil && !c.time.contains(now.Hour(), now.Minute()) || c.weekday != nil && !c.weekday.contains(now.Weekday()) {
		return false
	}
	if !e.text(r, subExtra) || !e.text(r, subHost) || !e.text(r, subStatus) {
		return false
	}
	return e.remembers(r)
}

func (e *plainEngine) remembers(r *Rule) bool {
	if r.flags&flagDiff != 0 {
		old, had, err := e.diff.Swap(diffHost(e.ev), r.ID, e.ev.Log)
		if err != nil || !had || old == e.ev.Log {
			return false
		}
		e.previous = []string{"Previous output:", old}
	}
	if r.flags&flagFTS != 0 && !e.fts.First(e.ev) {
		return false
	}
	for i := range r.conds.lists {
		if !r.conds.lists[i].holds(e.ev, false) {
			return false
		}
	}
	if !r.isCorrelation() || r.flags&flagDiff != 0 {
		return true
	}
	previous, ok := e.search(r, e.fact)
	if ok {
		e.previous = previous
	}
	return ok
}

func (e *plainEngine) found(m matcher, v string) bool {
	_, _, ok := e.patterns[m].Find(v)
	return ok
}

// text tests a text condition, where the rule has one.
func (e *plainEngine) text(r *Rule, s subject) bool {
	m := r.conds.text[s].plain
	if m == nil {
		m = r.conds.text[s].pcre
	}
	if m == nil {
		return true
	}
	f := &e.ev.Fields
	v, ok := "", true
	switch s {
	case subLog, subRegex:
		v = e.ev.Log
	case subProgram:
		v, ok = e.ev.ProgramName, e.ev.HasProgram
	case subHost:
		v = e.ev.Hostname
	case subUser:
		if v, ok = f.Get(event.DstUser); !ok {
			v, ok = f.Get(event.SrcUser)
		}
	case subSrcGeo, subDstGeo:
		ok = false
	default:
		v, ok = f.Get(map[subject]event.Field{subID: event.ID, subURL: event.URL, subSrcPort: event.SrcPort, subDstPort: event.DstPort,
			subStatus: event.Status, subExtra: event.Data}[s])
	}
	return ok && e.found(m, v)
}

func (e *plainEngine) address(tests []addrTest, f event.Field) bool {
	if tests == nil {
		return true
	}
	v, ok := e.ev.Fields.Get(f)
	a, valid := parseAddr(v)
	if !ok || !valid {
		return false
	}
	for _, t := range tests {
		if t.any || t.prefix.Contains(a.Unmap()) {
			return !t.negate
		}
	}
	return tests[len(tests)-1].negate
}

// decoderText is what a decoder wants of a line.
type decoderText struct {
	program, prematch, regex *patterntest.Plain
	parent                   string
	order                    []string
}

// decoderTexts reads decoder files for their patterns only.
func decoderTexts(t testing.TB, files []decode.Source) map[string][]*decoderText {
	out := map[string][]*decoderText{}
	for _, f := range files {
		doc, err := xmlconf.Read(f.Name, f.Data)
		if err == nil {
			err = doc.ApplyVariables()
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, root := range doc.Roots {
			d := &decoderText{}
			compile := func(kind patterntest.Kind, n *xmlconf.Node) *patterntest.Plain {
				p, err := patterntest.New(kind, n.Text)
				if err != nil {
					return nil
				}
				return p
			}
			name := root.Attrs[0].Value
			for _, c := range root.Children {
				switch strings.ToLower(c.Name) {
				case "program_name":
					d.program = compile(patterntest.Match, c)
				case "program_name_pcre2":
					d.program = compile(patterntest.PCRE2, c)
				case "prematch":
					d.prematch = compile(patterntest.Regex, c)
				case "prematch_pcre2":
					d.prematch = compile(patterntest.PCRE2, c)
				case "regex":
					d.regex = compile(patterntest.Regex, c)
				case "pcre2":
					d.regex = compile(patterntest.PCRE2, c)
				case "parent":
					d.parent = c.Text
				case "order":
					for _, o := range strings.Split(c.Text, ",") {
						d.order = append(d.order, strings.TrimSpace(o))
					}
				}
			}
			if d.parent != "" {
				name = d.parent
			}
			out[name] = append(out[name], d)
		}
	}
	return out
}

// fieldSubjects are the text conditions on decoded fields, by the names of an order.
var fieldSubjects = map[string]subject{"id": subID, "url": subURL, "srcport": subSrcPort, "dstport": subDstPort, "user": subUser, "dstuser": subUser,
	"srcuser": subUser, "status": subStatus, "extra_data": subExtra, "data": subExtra}

// chain makes a chain for the rule at node i with one of its decoders.
func (e *plainEngine) chain(i int32, texts map[string][]*decoderText, rnd *rand.Rand) patterntest.Chain {
	var path []*Rule
	for ; i >= 0; i = e.rs.nodes[i].parent {
		path = append([]*Rule{e.rs.nodes[i].rule}, path...)
	}
	var c patterntest.Chain
	fill := map[subject]*patterntest.Sampler{}
	named := map[string]*patterntest.Sampler{}
	var decoder string
	for _, r := range path {
		for s := range r.conds.text {
			m := r.conds.text[s].active()
			if m == nil {
				continue
			}
			sampler := e.patterns[m].Sampler()
			switch subject(s) {
			case subLog, subRegex:
				c.Texts = append(c.Texts, sampler)
			case subProgram:
				c.Program = sampler
			default:
				fill[subject(s)] = sampler
			}
		}
		if r.conds.decoded {
			decoder = r.conds.decodedAs
		}
		if r.conds.action != nil {
			named["action"] = patterntest.Literal(*r.conds.action)
		}
		for _, f := range r.conds.fields {
			named[strings.ToLower(f.name)] = e.patterns[f.regex].Sampler()
		}
		for _, a := range r.conds.srcIP {
			named["srcip"] = patterntest.Literal(a.prefix.Addr().String())
		}
	}
	all := texts[decoder]
	if len(all) == 0 {
		return c
	}
	d := all[rnd.IntN(len(all))]
	top := d
	if d.parent != "" {
		top = all[0]
	}
	var front []*patterntest.Sampler
	add := func(p *patterntest.Plain) *patterntest.Sampler {
		if p == nil {
			return nil
		}
		front = append(front, p.Sampler())
		return front[len(front)-1]
	}
	if top.program != nil {
		c.Program = top.program.Sampler()
	}
	add(top.prematch)
	if d != top {
		add(d.prematch)
	}
	if s := add(d.regex); s != nil {
		s.Fill = map[int]*patterntest.Sampler{}
		for i, name := range d.order {
			if f := named[strings.ToLower(name)]; f != nil {
				s.Fill[i+1] = f
			} else if f := fill[fieldSubjects[name]]; f != nil {
				s.Fill[i+1] = f
			} else if name == "srcip" || name == "dstip" {
				s.Fill[i+1] = patterntest.Literal([]string{"192.0.2.1", "10.0.0.1", "2001:db8::1", "192.0.2.77"}[rnd.IntN(4)])
			}
		}
	}
	if len(front) > 1 && rnd.IntN(2) == 0 {
		front = front[len(front)-1:]
	}
	c.Texts = append(front, c.Texts...)
	return c
}

func (e *plainEngine) mixer(t testing.TB, seed uint64, src Sources, logs []string) *patterntest.Mixer {
	m := &patterntest.Mixer{Rnd: rand.New(rand.NewPCG(seed, 5)), Logs: logs}
	texts := decoderTexts(t, src.Decoders)
	for _, p := range e.patterns {
		m.Texts = append(m.Texts, p.Sampler())
	}
	for range 4 {
		for i := range e.rs.nodes {
			m.Chains = append(m.Chains, e.chain(int32(i), texts, m.Rnd))
		}
	}
	for _, c := range m.Chains {
		if c.Program != nil {
			m.Programs = append(m.Programs, c.Program)
		}
	}
	return m
}

// TestMatchingEqualsThePlainEngine compares matching, correlation, first-time-seen and ignore windows with the plain form on mixed lines,
// with both rulesets of the corpus. With -lines and -seed it goes on for as long as one likes.
func TestMatchingEqualsThePlainEngine(t *testing.T) {
	for _, ruleset := range []string{"ossec-4.3.0", "ossec-2.9.1"} {
		var logs []string
		for _, source := range []string{"ossec-tests", "log-entries", "openssh", "linux", "apache"} {
			for _, l := range vectors.ReadFile[logLine](t, vectors.Corpus(t, "vectors", "logs", ruleset, source+".single.jsonl")) {
				logs = append(logs, l.Log)
			}
		}
		rs := loadCorpus(t, ruleset, corpusOptions())
		plain := newPlainEngine(t, rs)
		mixer := plain.mixer(t, *lineSeed, corpusSources(t, ruleset), logs)
		fast := &engine{rs: rs}
		clock := int64(1795000000)
		finals, bad := map[int]int{}, 0
		for i := range *lineCount {
			if i%2000 == 0 {
				plain.reset()
				fast.state = NewState(rs, Stores{})
			}
			if mixer.Rnd.IntN(3) == 0 {
				clock += mixer.Rnd.Int64N(30)
			}
			line := mixer.Next()
			out, ev := fast.line(line, time.Unix(clock, 0))
			fast.p.Event = ev
			want := plain.next(&fast.p, clock)
			if out.Rule != want.rule || out.Reason != want.reason || out.Alert != nil && !slices.Equal(out.Alert.Previous, want.previous) {
				t.Errorf("%s, seed %d, line %d %q: rule %v (%v), plain %v (%v)", ruleset, *lineSeed, i, line, ruleID(out.Rule), out.Reason, ruleID(want.rule), want.reason)
				if bad++; bad == 10 {
					break
				}
			}
			if out.Rule != nil {
				finals[out.Rule.ID]++
			}
		}
		t.Logf("%s, seed %d: %d lines, %d rules of %d met", ruleset, *lineSeed, *lineCount, len(finals), len(rs.rules))
		if len(finals) < 150 {
			t.Errorf("%s: the test is too tame: only %d rules were met", ruleset, len(finals))
		}
	}
}
