package decode

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/pattern"
)

func decodeLog(d *Decoders, log string) *event.Event {
	ev := newLogEvent(log)
	Predecode(ev, "m")
	d.Decode(ev, &Scratch{})
	return ev
}

const scatteredDecoders = `
<decoder name="p"><prematch>^p </prematch></decoder>
<decoder name="g"><parent>p</parent><prematch>go</prematch><regex>a=(\S+)</regex><order>user</order></decoder>
<decoder name="other"><parent>p</parent><prematch>other</prematch><regex>c=(\S+)</regex><order>id</order></decoder>
<decoder name="g"><parent>p</parent><regex>b=(\S+)</regex><order>srcip</order></decoder>
<decoder name="none"><program_name>^none$</program_name></decoder>`

func TestScatteredGroupIsFollowedByName(t *testing.T) {
	for _, c := range []struct {
		exact         bool
		log           string
		user, ip, num string
	}{
		{false, "p go a=1 b=2 c=3", "1", "2", ""},
		{true, "p go a=1 b=2 c=3", "1", "", "3"}, // the foreign node comes next and ends the group
		{false, "p other a=1 b=2 c=3", "", "", "3"},
		{true, "p other a=1 b=2 c=3", "", "2", ""}, // the failed head hides the node behind it
	} {
		ev := decodeLog(mustLoad(t, Options{Exact: c.exact}, scatteredDecoders), c.log)
		user, ip, num := ev.Fields.Value(event.DstUser), ev.Fields.Value(event.SrcIP), ev.Fields.Value(event.ID)
		if user != c.user || ip != c.ip || num != c.num {
			t.Errorf("exact %v, %q: user %q, srcip %q, id %q; want %q, %q, %q", c.exact, c.log, user, ip, num, c.user, c.ip, c.num)
		}
	}
}

func TestForwardedAlert(t *testing.T) {
	var warned []string
	d := mustLoad(t, Options{
		RuleKnown: func(id int) bool { return id == 5715 },
		Warn:      func(s string) { warned = append(warned, s) },
	}, `<decoder name="oa"><prematch>^ossec: Alert Level:|^Alert Level: </prematch><plugin_decoder>OSSECAlert_Decoder</plugin_decoder></decoder>`)
	ev := decodeLog(d, "ossec: Alert Level: 3; Rule: 5715 - SSH ok.; Location: (a) 192.0.2.9->/v; srcip: 192.0.2.1; x: y; user: bob;  sshd: full log ")
	if ev.Type != event.TypeOSSECAlert || ev.ForwardedRule != 5715 || ev.Location != "stdin|(a) 192.0.2.9->/v" || ev.Hostname != ev.Location ||
		ev.Fields.Value(event.SrcIP) != "192.0.2.1" || ev.Fields.Value(event.DstUser) != "bob" || ev.Log != "sshd: full log" || ev.FullLog != ev.Log {
		t.Errorf("event %+v", ev)
	}
	ev = decodeLog(d, "Alert Level: 3; Rule: 99 - x; Location: a; user: b;  log")
	if ev.ForwardedRule != 0 || ev.Type != event.TypeOSSECAlert || len(warned) != 1 || ev.Location != "stdin" {
		t.Errorf("unknown rule: event %+v, warnings %q", ev, warned)
	}
	for _, log := range []string{"Alert Level: 3", "Alert Level: 3; Rule: 5715 x", "Alert Level: 3; Rule: 5715 x; Location: a", "Alert Level: 3; Rule: 5715 - x; Location: a; no log"} {
		if ev = decodeLog(d, log); ev.ForwardedRule != 0 || ev.Location != "stdin" {
			t.Errorf("%q: taken for complete: %+v", log, ev)
		}
	}
}

func TestDecodeClearsAnEarlierResult(t *testing.T) {
	d := mustLoad(t, Options{}, `<decoder name="a"><prematch>^F</prematch><regex>(\d) (\S+)</regex><order>id, own</order>
		<fts>id</fts><type>ids</type><accumulate/></decoder>`)
	ev, sc := newLogEvent("F 1 x"), &Scratch{Trace: true}
	Predecode(ev, "m")
	d.Decode(ev, sc)
	if v, _ := ev.DynamicValue("own"); v != "x" || !ev.FTS || !ev.Accumulate || len(sc.Captured) != 2 {
		t.Fatalf("event %+v, captured %q", ev, sc.Captured)
	}
	ev.Log = "nothing"
	d.Decode(ev, sc)
	if ev.Decoder != "" || ev.DecodedAs != "" || ev.FTS || ev.Accumulate || ev.Type != event.TypeSyslog || len(ev.Dynamic) != 0 ||
		ev.Fields != (event.Fields{}) || len(sc.Captured) != 0 {
		t.Errorf("something stays: %+v, %q", ev, sc.Captured)
	}
}

func TestProgramCacheIsBounded(t *testing.T) {
	d := mustLoad(t, Options{}, `<decoder name="a"><program_name>^app</program_name></decoder>`)
	sc := &Scratch{}
	for i := range 3 * maxCachedPrograms {
		ev := newLogEvent(fmt.Sprintf("Dec 29 10:00:01 h app%d: x", i))
		Predecode(ev, "m")
		d.Decode(ev, sc)
		if ev.Decoder != "a" {
			t.Fatalf("program %d is not decoded", i)
		}
	}
	long := newLogEvent("Dec 29 10:00:01 h app" + strings.Repeat("x", 200) + ": x")
	Predecode(long, "m")
	d.Decode(long, sc)
	if len(sc.programs) > maxCachedPrograms || long.Decoder != "a" {
		t.Errorf("%d names cached, long name decoded as %q", len(sc.programs), long.Decoder)
	}
	other := mustLoad(t, Options{}, `<decoder name="b"><program_name>^app</program_name></decoder>`)
	other.Decode(long, sc)
	if long.Decoder != "b" {
		t.Error("the cache of another set was used")
	}
}

func TestDecodeIsSafeForConcurrentUse(t *testing.T) {
	d := mustLoad(t, Options{}, syntheticDecoders(300))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			sc := &Scratch{}
			for i := range 300 {
				ev := newLogEvent(fmt.Sprintf("Dec 29 10:00:01 h app%dd[1]: login ann from 192.0.2.1", i))
				Predecode(ev, "m")
				d.Decode(ev, sc)
				want := ""
				if i%3 == 0 {
					want = fmt.Sprintf("app%d", i)
				}
				if ev.Decoder != want || (want != "" && ev.Fields.Value(event.SrcIP) != "192.0.2.1") {
					t.Errorf("app %d: decoder %q", i, ev.Decoder)
				}
			}
		})
	}
	wg.Wait()
}

func TestSyntheticDecodersEqualPlainWalk(t *testing.T) {
	d := mustLoad(t, Options{}, syntheticDecoders(300))
	sc := &Scratch{}
	for i := range 300 {
		for _, log := range []string{"dev%d: event x", "Dev%d: EVENT x", "a unit-%d-message b", "app%dd: login", "Dec 29 10:00:01 h app%dd: login a from b", "%d"} {
			sameDecoding(t, d, sc, fmt.Sprintf(log, i))
		}
	}
}

// TestPrefixesAreSound checks with random texts that a text which a pattern matches always fits the prefix read from the pattern.
func TestPrefixesAreSound(t *testing.T) {
	type sample struct {
		p string
		m matcher
		x prefixIndex
	}
	var samples []sample
	index := func(x prefix) prefixIndex { return newPrefixIndex([]prefix{x}, []uint64{1}) }
	for _, p := range []string{"^su$", "^a|^b", "^sshd|^in.telnetd", "^", "^$", "^a|b", "^k", "^é", "^a^b", "^a$b"} {
		m, err := pattern.CompileMatch(p)
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, sample{p, m, index(matchPrefix(p))})
	}
	for _, p := range []string{
		`^\d+-\w`, `^(\S+) a`, `^a|^b\S`, `^\(a+`, `^\\a+b`, `^\\+b`, `^\s\p\.k`, `^a\d*b`, `^[a]`, `^ab$`, `^ab$|^c\D`, `^k\|s`, `^a(b|c)d|^x`, `^\$\<`, `^a\|b`,
	} {
		m, err := compileRegex(p)
		if err != nil {
			t.Fatal(p, err)
		}
		samples = append(samples, sample{p, m, index(regexPrefix(p))})
	}
	for _, p := range []string{
		`^\d{2}-[a-c]`, `^(?:a|bc)d`, `^(?:ab|cd)e|^f`, `^a?b`, `^a*b`, `^a+b`, `^(a{2,3}|b)c`, `^a(?-i)bK`, `^\x41b`, `^[^a]b`, `^\bab`, `^a$`, `(?m)^a`, `^\w\s\S.`,
		`^(?i:k)s`, `^a{0}b`, `^(ab|)c`, `^(?:^a|^b)c`, `^[\d-]a`, `^\<\>`, `^.{3}k`, `(?s)^.a`, `a|^b`, `^(?:)a`, `^[[:alpha:]]1`,
	} {
		m, err := compilePCRE2(p)
		if err != nil {
			t.Fatal(p, err)
		}
		samples = append(samples, sample{p, m, index(pcre2Prefix(p))})
	}
	r := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", "b", "c", "d", "k", "s", "A", "B", "K", "S", "1", "2", "-", " ", "(", "\\", "|", "$", "<", ">", "[", "é", "ſ", "\u212a", "\xff", "u", "\x0b", ":", "e", "f"}
	matched := map[string]int{}
	for range 200000 {
		var b strings.Builder
		for range r.IntN(8) {
			b.WriteString(alphabet[r.IntN(len(alphabet))])
		}
		text := b.String()
		s := samples[r.IntN(len(samples))]
		if !s.m.MatchString(text) {
			continue
		}
		matched[s.p]++
		out := make([]uint64, 1)
		if s.x.lookup(text, out); out[0] != 1 {
			t.Fatalf("pattern %q matches %q, but its prefix does not admit it", s.p, text)
		}
	}
	if len(matched) < len(samples)*3/4 {
		t.Errorf("only %d of %d patterns ever matched", len(matched), len(samples))
	}
}

func TestPrefixesAreRead(t *testing.T) {
	for _, c := range []struct {
		got  prefix
		want int
	}{
		{matchPrefix("^su$"), 3}, {matchPrefix("su"), 0}, {regexPrefix(`^\d\d-`), 3}, {regexPrefix(`^abc|^de`), 2}, {regexPrefix(`abc`), 0},
		{pcre2Prefix(`^\d{4}-\d{2}-`), 8}, {pcre2Prefix(`^\[\w+`), 2}, {pcre2Prefix(`^a|^bc`), 1}, {pcre2Prefix(`a`), 0}, {pcre2Prefix(`^(a)\1`), 0},
	} {
		if len(c.got) != c.want {
			t.Errorf("%d positions, want %d", len(c.got), c.want)
		}
	}
}

// TestMoreDecodersDoNotMeanMoreCandidates counts the decoders that are still asked after the tables: with ten times the decoders it must be
// no more.
func TestMoreDecodersDoNotMeanMoreCandidates(t *testing.T) {
	candidates := func(n int) int {
		d := mustLoad(t, Options{}, syntheticDecoders(n))
		total, sc := 0, &Scratch{}
		for _, log := range []string{"dev1: event x", "a unit-2-message b", "nothing of that", "0 dev1: event"} {
			total += ones(d.plain.candidates(log, 0, sc))
		}
		for _, program := range []string{"app0d", "sshd", "app"} {
			total += ones(d.programBits(program, sc))
		}
		return total
	}
	few, many := candidates(90), candidates(900)
	if many > few || few == 0 {
		t.Errorf("%d candidates with 90 decoders, %d with 900", few, many)
	}
}
