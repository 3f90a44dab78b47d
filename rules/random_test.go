package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/rules/list"
)

// ruleWriter writes random rules with every element that there is.
type ruleWriter struct {
	rnd *rand.Rand
	b   strings.Builder
	ids []int
}

func (w *ruleWriter) one(texts ...string) string { return texts[w.rnd.IntN(len(texts))] }

var randomWords = []string{"alpha", "bravo", "carol", "delta", "echo", "foxtrot"}

// condition writes one condition.
func (w *ruleWriter) condition() {
	word := randomWords[w.rnd.IntN(len(randomWords))]
	number := fmt.Sprint(w.rnd.IntN(4))
	plain := w.one(word, "^"+word, word+"$", word+"|"+w.one(randomWords...), "!"+word, "^"+number+"|"+word, "", "é|"+word)
	perl := w.one(word, "^"+word, word+"\\s", "(?:"+word+"|x)+", "["+word+"]{3}", "\\d$", "^.*"+word, word+"|^"+number)
	regex := w.one(word, "\\w+ "+word, "^"+word+"\\.*"+number, word+"|(\\d)$", "\\p")
	subject := w.one("match", "match", "match", "program_name", "id", "url", "srcport", "dstport", "user", "status", "extra_data", "hostname")
	switch w.rnd.IntN(15) {
	case 0, 1, 2, 3:
		fmt.Fprintf(&w.b, "<%s>%s</%s>", subject, plain, subject)
	case 4, 5, 6:
		fmt.Fprintf(&w.b, "<%s_pcre2>%s</%s_pcre2>", subject, perl, subject)
	case 7:
		fmt.Fprintf(&w.b, "<regex>%s</regex>", regex)
	case 8:
		fmt.Fprintf(&w.b, "<pcre2>%s</pcre2>", perl)
	case 9:
		element := w.one("srcip", "dstip")
		for range 1 + w.rnd.IntN(3) {
			fmt.Fprintf(&w.b, "<%s>%s</%s>", element, w.one("10.0.0.0/8", "!10.0.0.1", "10.0.0.2", "2001:db8::/32", "any", "!any", "::ffff:10.0.0.3"), element)
		}
	case 10:
		fmt.Fprintf(&w.b, `<field name="%s">%s</field>`, w.one("color", "SHAPE", "src", "none"), w.one("red", "^blue$", "\\w", "alpha|red"))
	case 11:
		w.b.WriteString(w.one("<action>v1</action>", "<action>alpha</action>", "<compiled_rule>check_id_size</compiled_rule>",
			"<compiled_rule>comp_srcuser_dstuser</compiled_rule>", "<compiled_rule>is_simple_http_request</compiled_rule>", "<if_fts/>", "<srcgeoip>x</srcgeoip>"))
	case 12:
		fmt.Fprintf(&w.b, `<list field="%s" lookup="%s"%s>lists/%s</list>`, w.one("srcip", "user", "id", "url", "hostname", "program_name", "action", "status"),
			w.one("match_key", "not_match_key", "match_key_value", "address_match_key", "not_address_match_key", "address_match_key_value"), ` check_value="`+plain+`"`, w.one("one", "two", "none"))
	case 13:
		w.b.WriteString(w.one("<time>8:00 - 17:00</time>", "<time>!9 am - 5 pm</time>", "<time>22:00 - 6:00</time>", "<weekday>weekends</weekday>", "<weekday>mon, tue wed</weekday>"))
	default:
		fmt.Fprintf(&w.b, "<decoded_as>%s</decoded_as>", w.one("kv", "dyn", "ftsd", "fw"))
	}
}

// rule writes one rule below some of those before.
func (w *ruleWriter) rule(id int) {
	attrs := fmt.Sprintf(`id="%d" level="%d"`, id, w.rnd.IntN(16))
	for _, a := range []string{` noalert="1"`, ` ignore="9"`, ` accuracy="0"`, ` maxsize="40"`} {
		if w.rnd.IntN(9) == 0 {
			attrs += a
		}
	}
	again := len(w.ids) > 5 && w.rnd.IntN(12) == 0
	if again {
		attrs = fmt.Sprintf(`id="%d" level="%d" overwrite="yes"`, w.ids[w.rnd.IntN(len(w.ids))], w.rnd.IntN(16))
	}
	parents := func() string {
		var ids []string
		for range 1 + w.rnd.IntN(3) {
			ids = append(ids, fmt.Sprint(w.ids[w.rnd.IntN(len(w.ids))]))
		}
		return strings.Join(ids, w.one(",", ", ", " "))
	}
	var below string
	correlated := false
	switch kind := w.rnd.IntN(12); {
	case len(w.ids) < 6 || kind < 3:
	case kind < 7:
		below = "<if_sid>" + parents() + "</if_sid>"
	case kind == 7:
		below = "<if_group>" + w.one("g1", "g2", "^base") + "</if_group>"
	case kind == 8:
		below = "<if_level>" + fmt.Sprint(9+w.rnd.IntN(5)) + "</if_level>"
	case kind == 9:
		below, correlated = "<if_matched_sid>"+fmt.Sprint(w.ids[w.rnd.IntN(len(w.ids))])+"</if_matched_sid>", true
	case kind == 10:
		below, correlated = "<if_matched_group>"+w.one("g1", "g2")+"</if_matched_group>", true
	default:
		below, correlated = "<if_matched_regex>"+w.one(randomWords...)+"</if_matched_regex><if_sid>"+parents()+"</if_sid>", true
	}
	if correlated {
		attrs += fmt.Sprintf(` frequency="%d" timeframe="%d"`, w.rnd.IntN(4), []int{5, 60, 500}[w.rnd.IntN(3)])
	}
	fmt.Fprintf(&w.b, "<rule %s>%s", attrs, below)
	for range w.rnd.IntN(4) {
		w.condition()
	}
	if correlated {
		for range w.rnd.IntN(3) {
			w.b.WriteString(w.one("<same_source_ip/>", "<same_user/>", "<same_id/>", "<same_location/>", "<same_src_port/>", "<different_url/>", "<not_same_user/>", "<same_dst_port/>"))
		}
	} else if w.rnd.IntN(20) == 0 {
		w.b.WriteString("<check_diff/>")
	}
	for _, e := range []string{"<group>g1,</group>", "<group>g2,</group>", "<ignore>user, srcip</ignore>", "<check_if_ignored>user, srcip</check_if_ignored>", "<category>ids</category>",
		"<options>no_log</options>"} {
		if w.rnd.IntN(7) == 0 {
			w.b.WriteString(e)
		}
	}
	w.b.WriteString("<description>d</description></rule>\n")
	if !again {
		w.ids = append(w.ids, id)
	}
}

// ruleset writes a whole file.
func (w *ruleWriter) ruleset(n int) string {
	w.b.WriteString(`<group name="base,">` + "\n")
	for i, c := range []string{"syslog", "ids", "firewall", "web-log", "ossec", "syslog"} {
		fmt.Fprintf(&w.b, `<rule id="%d" level="0" noalert="1"><category>%s</category></rule>`+"\n", i+1, c)
	}
	for i := range n {
		w.rule(100 + i)
	}
	return w.b.String() + "</group>"
}

// event writes a line that many of the conditions can hold for.
func (w *ruleWriter) event() string {
	word := func() string { return w.one(append(randomWords, "ALPHA", "x", "12345678901", "é", "\xe9", "")...) }
	value := func() string { return w.one(word(), word()+"?"+word(), fmt.Sprint(w.rnd.IntN(4)), "v1") }
	ip := func() string {
		return w.one("10.0.0.1", "10.0.0.2", "192.0.2.7", "2001:db8::5", "::ffff:10.0.0.3", "nonsense", "10.1")
	}
	head := fmt.Sprintf("Nov 23 10:00:00 %s ", w.one("host1", "alpha", "h", ""))
	switch w.rnd.IntN(9) {
	case 0:
		return head + fmt.Sprintf("dyn: color=%s shape=%s src=%s %s", w.one("red", "blue", word()), word(), ip(), word())
	case 1:
		return head + fmt.Sprintf("ftsd[7]: user=%s src=%s %s", word(), ip(), word())
	case 2:
		return fmt.Sprintf("FW: %s TCP %s:%d to %s:%d %s", w.one("drop", "accept", "v1"), ip(), w.rnd.IntN(99), ip(), w.rnd.IntN(99), word())
	case 3:
		return w.one("T-IDS: ", "T-WEB-LOG: ", "T-OSSEC: ", "T-WINDOWS: ") + word() + " " + word()
	case 4:
		return w.one("", head) + word() + " " + word()
	case 5:
		return head + w.one(randomWords...) + ": " + word() + " " + word()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%skv%s[1]: %s", head, w.one("", "alpha"), word())
	for _, f := range []string{"src", "dst"} {
		if w.rnd.IntN(3) != 0 {
			fmt.Fprintf(&b, " %s=%s", f, ip())
		}
	}
	for _, f := range []string{"sport", "dport", "suser", "duser", "id", "status", "url", "act", "data"} {
		if w.rnd.IntN(2) == 0 {
			fmt.Fprintf(&b, " %s=%s", f, value())
		}
	}
	return b.String() + " " + word()
}

// TestRandomRulesetsEqualThePlainEngine compares both engines on rulesets that have every element, in any combination that loads.
func TestRandomRulesetsEqualThePlainEngine(t *testing.T) {
	loaded, alerts, bad := 0, 0, 0
	for i := range max(45, *lineCount/50) {
		seed := *lineSeed<<32 + uint64(i)
		w := &ruleWriter{rnd: rand.New(rand.NewPCG(seed, 7))}
		text := w.ruleset(5 + w.rnd.IntN(60))
		opts := DefaultOptions()
		opts.SuppressRepeats, opts.LogFirewall, opts.LocalHost, opts.Location = false, w.rnd.IntN(2) == 0, "vm", time.UTC
		rs, probs := Load(Sources{Decoders: vectorDecoders(t), Rules: []File{{Name: "r.xml", Data: []byte(text)}}, Lists: []ListFile{
			{Name: list.Name("lists/one"), DB: list.Parse([]byte("10.0.:alpha\nalpha:bravo\n1:x\nv1:echo\n"))},
			{Name: list.Name("lists/two"), DB: list.Parse([]byte("10.0.0.1:\nbravo:carol\nkv:1\nhost1:2\n"))},
		}}, opts)
		if probs.Err() != nil || rs.Len() > 3000 {
			continue // if_sid names a rule that an error left out, for example
		}
		loaded++
		plain := newPlainEngine(t, rs)
		fast := &engine{rs: rs, state: NewState(rs, Stores{})}
		clock := int64(1700000000) + w.rnd.Int64N(7*86400)
		for n := range 300 {
			clock += w.rnd.Int64N(1 + w.rnd.Int64N(40))
			line := w.event()
			out, ev := fast.line(line, time.Unix(clock, 0))
			if out.Reason.Dropped() {
				continue
			}
			fast.p.Event = ev
			want := plain.next(&fast.p, clock)
			reason := out.Reason
			if reason == NotLogged {
				reason = NotDropped
			}
			if out.Rule != want.rule || reason != want.reason || out.Alert != nil && !slices.Equal(out.Alert.Previous, want.previous) {
				t.Errorf("seed %d, line %d %q: rule %v (%v) %q, plain %v (%v) %q\n%s", seed, n, line, ruleID(out.Rule), out.Reason, previous(out),
					ruleID(want.rule), want.reason, want.previous, text)
				bad++
				break
			}
			if out.Alert != nil {
				alerts++
			}
		}
		if bad > 3 {
			break
		}
	}
	t.Logf("%d rulesets, %d alerts", loaded, alerts)
	if loaded < 20 || alerts < 1000 {
		t.Errorf("the test is too tame: %d rulesets, %d alerts", loaded, alerts)
	}
}
