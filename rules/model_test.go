package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// model is correlation as the spec writes it (rules.md, section 9): plain lists, searched from the newest fact to the oldest.
type model struct {
	rs     *Ruleset
	sid    map[int][]*modelFact
	group  map[int][]*modelFact
	recent []*modelFact
}

type modelFact struct {
	rule *Rule
	ev   event.Event
	time int64
	mark int
}

func newModel(rs *Ruleset) *model {
	return &model{rs: rs, sid: map[int][]*modelFact{}, group: map[int][]*modelFact{}}
}

func (m *model) search(r *Rule, cur *modelFact) (previous []string, ok bool) {
	var list []*modelFact
	switch r.search.kind {
	case searchSID:
		if r.search.target == nil {
			return nil, false
		}
		list = m.sid[r.search.target.ID]
	case searchGroup:
		list = m.group[r.ID]
	case searchRegex:
		list = m.recent
	}
	n := 0
	for i := len(list) - 1; i >= 0; i-- {
		e := list[i]
		if cur.time-e.time > int64(r.timeframe) || e.mark >= r.Level {
			return nil, false
		}
		if r.search.kind == searchRegex && (e.ev.Type != cur.ev.Type || r.search.regex != nil && !r.search.regex.MatchString(e.ev.Log)) {
			continue
		}
		if !modelHolds(r, &cur.ev, &e.ev) {
			continue
		}
		if n < r.Frequency || r.search.kind == searchSID {
			previous = append(previous, e.ev.FullLog)
		}
		if n < r.Frequency {
			n++
			continue
		}
		cur.mark, e.mark, list[len(list)-1].mark = r.Level, r.Level, r.Level
		return previous[:min(len(previous), 11)], true
	}
	return nil, false
}

func modelHolds(r *Rule, c, e *event.Event) bool {
	eq := func(bit checks, f event.Field) bool {
		if r.check&bit == 0 {
			return true
		}
		a, okA := c.Fields.Get(f)
		b, okB := e.Fields.Get(f)
		return okA && okB && a == b
	}
	if !eq(sameSrcIP, event.SrcIP) || !eq(sameUser, event.DstUser) || !eq(sameID, event.ID) {
		return false
	}
	if r.search.kind != searchRegex {
		if !eq(sameSrcPort, event.SrcPort) || !eq(sameDstPort, event.DstPort) || r.check&sameLocation != 0 && c.Hostname != e.Hostname {
			return false
		}
	}
	if r.check&differentSrcGeo != 0 {
		return false
	}
	if r.check&differentURL != 0 {
		a, okA := c.Fields.Get(event.URL)
		b, okB := e.Fields.Get(event.URL)
		return okA && okB && a != b
	}
	return true
}

func (m *model) store(f *modelFact) {
	o := &m.rs.opts
	if f.rule.sidTarget {
		l := append(m.sid[f.rule.ID], f)
		if len(l) > o.SIDPrevMatchedMax {
			l = l[1:]
		}
		m.sid[f.rule.ID] = l
	} else {
		for _, g := range f.rule.groupLists {
			id := m.rs.rules[g].ID
			m.group[id] = append(m.group[id], f)
		}
	}
	m.recent = append(m.recent, f)
	if len(m.recent) <= o.MemorySize {
		return
	}
	for i := 0; len(m.recent) > 1 && (i < 10 || f.time-m.recent[0].time > int64(m.rs.maxFreq)); i++ {
		old := m.recent[0]
		m.recent = m.recent[1:]
		id := old.rule.ID
		m.sid[id] = slices.DeleteFunc(m.sid[id], func(x *modelFact) bool { return x == old })
		if !old.rule.sidTarget {
			for _, g := range old.rule.groupLists {
				id := m.rs.rules[g].ID
				if len(m.group[id]) > 0 {
					m.group[id] = m.group[id][1:]
				}
			}
		}
	}
}

// process matches an event by walking the tree as the spec writes it.
func (m *model) process(p *Prepared, now int64, opened map[int]int64) (*Rule, []string) {
	cur := &modelFact{ev: *p.Event, time: now}
	var previous []string
	var evaluate func(i int32) *Rule
	evaluate = func(i int32) *Rule {
		n := &m.rs.nodes[i]
		r := n.rule
		if !r.direct(p) {
			return nil
		}
		if r.isCorrelation() {
			prev, ok := m.search(r, cur)
			if !ok {
				return nil
			}
			previous = prev
		}
		for c := n.first; c < n.last; c++ {
			if f := evaluate(c); f != nil {
				return f
			}
		}
		if r.NoAlert {
			return nil
		}
		return r
	}
	for i := int32(0); i < m.rs.roots; i++ {
		if m.rs.nodes[i].rule.Category != p.Event.Type {
			continue
		}
		if r := evaluate(i); r != nil {
			cur.rule = r
			if r.Level == 0 {
				return r, nil
			}
			if at, ok := opened[r.ID]; r.Ignore > 0 && ok && now-at < int64(r.Ignore) {
				return r, nil
			}
			opened[r.ID] = now
			m.store(cur)
			return r, previous
		}
	}
	return nil, nil
}

// randomCorrelation writes a ruleset full of correlation rules.
func randomCorrelation(rnd *rand.Rand) string {
	var b strings.Builder
	b.WriteString(`<group name="base,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="3" level="0" noalert="1"><category>ids</category></rule>`)
	words := []string{"alpha", "bravo", "carol", "delta"}
	for i, w := range words {
		fmt.Fprintf(&b, `<rule id="%d" level="%d"><match>%s</match><group>g%d,</group></rule>`, 100+i, 3+i, w, i%2)
	}
	mods := []string{"same_source_ip", "same_user", "same_id", "same_location", "same_src_port", "same_dst_port", "different_url", "not_same_user"}
	for i := range 6 + rnd.IntN(6) {
		attrs := fmt.Sprintf(`id="%d" level="%d" frequency="%d" timeframe="%d"`, 200+i, 1+rnd.IntN(14), rnd.IntN(5), []int{0, 5, 60, 500}[rnd.IntN(4)])
		if rnd.IntN(5) == 0 {
			attrs += ` noalert="1"`
		}
		if rnd.IntN(6) == 0 {
			attrs += ` ignore="7"`
		}
		fmt.Fprintf(&b, "<rule %s>", attrs)
		switch rnd.IntN(4) {
		case 0:
			fmt.Fprintf(&b, "<if_matched_sid>%d</if_matched_sid>", 100+rnd.IntN(2))
		case 1:
			fmt.Fprintf(&b, "<if_matched_group>g%d</if_matched_group>", rnd.IntN(2))
		case 2:
			fmt.Fprintf(&b, "<if_matched_regex>%s</if_matched_regex><if_sid>%d</if_sid>", words[rnd.IntN(4)], 100+rnd.IntN(4))
		case 3:
			fmt.Fprintf(&b, "<if_matched_sid>%d</if_matched_sid><if_sid>102, 103</if_sid>", 100+rnd.IntN(2))
		}
		if rnd.IntN(4) != 0 {
			fmt.Fprintf(&b, "<%s/>", mods[rnd.IntN(len(mods))])
		}
		if rnd.IntN(3) == 0 {
			fmt.Fprintf(&b, "<%s/>", mods[rnd.IntN(len(mods))])
		}
		if rnd.IntN(3) == 0 {
			b.WriteString("<group>g1,</group>")
		}
		b.WriteString("</rule>")
	}
	b.WriteString("</group>")
	return b.String()
}

func randomLine(rnd *rand.Rand, n int) string {
	word := []string{"alpha", "bravo", "carol", "delta", "other"}[rnd.IntN(5)]
	if rnd.IntN(12) == 0 {
		return fmt.Sprintf("T-IDS: %s %d", word, n)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Nov 23 10:00:00 host%d kv[1]: %s n%d", rnd.IntN(3), word, n)
	for _, f := range []string{"src", "duser", "id", "url", "sport", "dport"} {
		if rnd.IntN(4) != 0 {
			fmt.Fprintf(&b, " %s=v%d", f, rnd.IntN(1+rnd.IntN(6)))
		}
	}
	return b.String()
}

// TestCorrelationEqualsTheModel compares the engine with the model on random rulesets and events, with small memories so that all of
// their edges are met.
func TestCorrelationEqualsTheModel(t *testing.T) {
	fired, views := 0, 0
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		opts := DefaultOptions()
		opts.SuppressRepeats = false
		opts.Location = time.UTC
		opts.SIDPrevMatchedMax = []int{16, 64, 400}[rnd.IntN(3)]
		text := randomCorrelation(rnd)
		rs, probs := Load(Sources{Decoders: vectorDecoders(t), Rules: []File{{Name: "r.xml", Data: []byte(text)}}}, opts)
		if err := probs.Err(); err != nil {
			continue // if_group of a rule without group, for example
		}
		rs.opts.MemorySize = []int{40, 150, 8192}[rnd.IntN(3)]
		e := &engine{rs: rs, state: NewState(rs, Stores{})}
		m := newModel(rs)
		opened := map[int]int64{}
		clock := int64(1700000000)
		for i := range 1500 {
			switch rnd.IntN(20) {
			case 0:
				clock += int64(rnd.IntN(80))
			case 1, 2, 3:
				clock++
			case 4:
				if rnd.IntN(30) == 0 {
					clock -= int64(rnd.IntN(10))
				}
			}
			now := time.Unix(clock, 0)
			out, ev := e.line(randomLine(rnd, i), now)
			e.p.Event = ev
			want, previous := m.process(&e.p, clock, opened)
			if out.Rule != want {
				t.Fatalf("seed %d event %d %q: rule %v, the model says %v\n%s", seed, i, ev.FullLog, ruleID(out.Rule), ruleID(want), text)
			}
			if out.Alert != nil && !slices.Equal(out.Alert.Previous, previous) {
				t.Fatalf("seed %d event %d: previous %q, the model says %q\n%s", seed, i, out.Alert.Previous, previous, text)
			}
			if out.Alert != nil && out.Rule.ID >= 200 {
				fired++
			}
		}
		for _, v := range e.state.corr.viewOf {
			if v != nil {
				views++
			}
		}
	}
	if fired < 1000 || views < 50 {
		t.Errorf("the test is too tame: %d correlations, %d views", fired, views)
	}
}

func ruleID(r *Rule) string {
	if r == nil {
		return "none"
	}
	return fmt.Sprint(r.ID)
}
