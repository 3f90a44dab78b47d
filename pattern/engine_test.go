package pattern

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/vectors"
)

// compareEngines runs a PCRE2 pattern on every engine that can express it and compares all they say.
func compareEngines(t *testing.T, p, s string) {
	t.Helper()
	n, captures, err := parsePCRE2(p)
	if err != nil {
		return
	}
	e, err := newEngine(n, captures, false)
	if err != nil {
		t.Fatalf("%q: parsed, but: %v", p, err)
	}
	if e.code == nil {
		return
	}
	var want []string
	end, out := e.findCode(s, nil, &want)
	if out == exhausted {
		return
	}
	check := func(name string, gotEnd int, got []string, ok bool) {
		t.Helper()
		if ok != (out == matched) || ok && (gotEnd != end || !slices.Equal(got, want)) {
			t.Fatalf("%q on %q: program %v %d %q, %s %v %d %q", p, s, out == matched, end, want, name, ok, gotEnd, got)
		}
	}
	if e.linearSrc != "" && !e.hasFuel(s) {
		var got []string
		gotEnd, ok := e.findLinear(s, nil, &got)
		if e.loose {
			gotEnd, got = end, want
		}
		check("regexp", gotEnd, got, ok)
	}
	if n.any(repeatsEmpty) {
		return // regexp2 ends empty rounds otherwise than PCRE2
	}
	if err := e.compileNet(n); err != nil {
		return // counts that regexp2 refuses
	}
	before := GaveUp()
	var got []string
	gotEnd, ok := e.findNet(s, nil, &got)
	if GaveUp() == before {
		check("regexp2", gotEnd, got, ok)
	}
}

func TestEnginesAgree(t *testing.T) {
	for _, f := range []string{"semantics", "pcre2_fuzz"} {
		for _, v := range readVectors(t, vectors.Path(t, "patterns/"+f+".jsonl")) {
			if v.Kind == "pcre2" {
				compareEngines(t, v.Pattern, v.Text)
			}
		}
	}
}

func FuzzPCRE2(f *testing.F) {
	for _, s := range [][2]string{
		{`^(\S+?) (?:a|bc)*[^"]*"(\d{1,3})$`, `x bca""12`}, {`(a+)+$`, "aaaaaaaaaaaaaaab"}, {`(?i)a(?-i)B\x41\bc|\z`, "aBa c"},
		{`[[:alpha:]\d-]+(?=x)`, "ab-1x"}, {`(?>a+)b\1(c)`, "aab"}, {`\Qa.b\E+?`, "a.bb"}, {"\xc9[\xe0-\xff]", "\xc9\xe9\n"},
		{`(?:a??|b{2,}?){3}$`, "abb\n"}, {`(\S*?)+(\S*?){1,2}(\d+){2}|\s`, "&x*>A32"}, {`.*.*.*x`, "aaaaaaaaaaa"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > 100 || len(s) > 200 {
			return
		}
		re, err := CompilePCRE2(p)
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("error of type %T", err)
		}
		if err != nil {
			return
		}
		end, _, ok := re.Find(s, nil)
		if end < 0 || end > len(s) {
			t.Fatalf("end %d of %d", end, len(s))
		}
		checkLiterals(t, re, s, ok)
		compareEngines(t, p, s)
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("^a|b$|c", "xb")
	f.Add("K\u212a|ſs", "kk")
	f.Add("a|b|c|d|e|f|gg", "xgG")
	f.Fuzz(func(t *testing.T, p, s string) {
		m, err := CompileMatch(p)
		if err != nil {
			return
		}
		checkLiterals(t, m, s, m.MatchString(s))
		CompileWord(p).MatchString(s)
	})
}

func FuzzAutomaton(f *testing.F) {
	f.Add("failed password|root|x|ab|abc| for |", "Failed password for ROOT from x")
	f.Fuzz(func(t *testing.T, list, s string) { compareAutomaton(t, strings.Split(list, "|"), s) })
}

// compareAutomaton compares with plain searches.
func compareAutomaton(t *testing.T, lits []string, s string) {
	t.Helper()
	a := NewAutomaton(lits)
	var set Bitset
	a.Scan(s, &set)
	any := false
	for i, l := range lits {
		plain := strings.Contains(foldASCII(s), foldASCII(l))
		any = any || plain
		if want := plain || strings.Contains(foldASCII(narrow(s)), foldASCII(l)); set.Has(i) != want {
			t.Fatalf("literal %q in %q: %v", l, s, !want)
		}
	}
	if a.Any(s) != any {
		t.Fatalf("Any(%q) of %q: %v", s, lits, !any)
	}
}

func TestAutomatonFindsWhatPlainSearchFinds(t *testing.T) {
	lits := stockLiterals(t)
	lits = append(lits, "a", "bc", "def", "", "failed", "failed password", "sshd", "sshd")
	for _, s := range logLines(t)[:300] {
		compareAutomaton(t, lits, s)
	}
	compareAutomaton(t, lits, "")
	compareAutomaton(t, []string{"kernel", "sshd", "\u017f"}, "\u212aERNEL \u017fshd")
}

func TestLiteralsOfVectorsAreFound(t *testing.T) {
	files, _ := filepath.Glob(vectors.Path(t, "patterns/*.jsonl"))
	known, total := 0, 0
	for _, f := range files {
		for _, v := range readVectors(t, f) {
			m, err := compile(v.Kind, v.Pattern)
			p, ok := m.(interface{ Literals() ([]string, bool) })
			if err != nil || !ok {
				continue
			}
			checkLiterals(t, p, v.Text, m.MatchString(v.Text))
			total++
			if _, ok := p.Literals(); ok {
				known++
			}
		}
	}
	if known == 0 || total == 0 {
		t.Fatalf("%d of %d patterns have literals", known, total)
	}
}

func TestRequiredLiterals(t *testing.T) {
	for _, c := range []struct {
		p    string
		want []string // nil: none
	}{
		{`Failed password for (\S+) from`, []string{"failed password for "}},
		{`^\d+ (?:error|warning): `, []string{" error: ", " warning: "}},
		{`a(?:bc)?d`, nil},
		{`xa(?:bc)?d`, []string{"xabcd", "xad"}},
		{`\S+|abc`, nil},
		{`x`, nil},
		{`^sshd`, []string{"sshd"}},
		{`(?:foo){2,}`, []string{"foo"}},
		{`[ab]cde\d`, []string{"acde", "bcde"}},
		{`(?!never)some \w+ text`, []string{"some "}},
	} {
		re, err := CompilePCRE2(c.p)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := re.Literals()
		if ok != (c.want != nil) || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.p, got, c.want)
		}
	}
}

// TestHostileTextsEnd checks that texts made to exhaust a backtracking matcher get an answer: where that takes steps in proportion to the
// text, without giving up, else by giving up. A matcher that tried all ways would not end before the test is ended.
func TestHostileTextsEnd(t *testing.T) {
	before := GaveUp()
	as := strings.Repeat("a", 6000)
	for _, p := range []string{`(a+)+$`, `(a|aa)+$`, `(\S+)*(\S+)*(\S+)*\d$`, `(?:\S+\s*)+x{2}`, `.*.*.*.*=.*;`, `(a*)*(a*)*(a*)*b`} {
		re, err := CompilePCRE2(p)
		if err != nil {
			t.Fatal(err)
		}
		if re.MatchString(as + "!") {
			t.Errorf("%q matches", p)
		}
	}
	if n := GaveUp(); n != before {
		t.Errorf("the linear engine gave up %d times", n-before)
	}
	re, err := CompilePCRE2(`(?=a)(a+)+(?!a)\1$`)
	if err != nil {
		t.Fatal(err)
	}
	if re.MatchString(as+"!") || GaveUp() == before {
		t.Errorf("the backtracking engine did not give up: %d", GaveUp()-before)
	}
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	_, err := CompilePCRE2(`foo(bar`)
	if want := `pattern "foo(bar": missing ')' at byte 3 (code 6)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = CompileRegex(``)
	if want := `pattern "": empty pattern (code 6)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = CompileRegex(`a\nb`)
	if want := `pattern "a\\nb": unknown escape '\n' at byte 1 (code 6)`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestZeroByteEndsPattern(t *testing.T) {
	m, err := CompileMatch("abc\x00def")
	if err != nil || !m.MatchString("xabcx") {
		t.Errorf("%v", err)
	}
}

// stockPatterns are the patterns of the stock files, where they are at hand.
func stockPatterns(t testing.TB) []vector {
	vs := readVectors(t, vectors.Corpus(t, "corpus", "stock_patterns.jsonl"))
	seen := make(map[string]bool)
	return slices.DeleteFunc(vs, func(v vector) bool {
		dup := seen[v.Kind+v.Pattern] || !v.Compile
		seen[v.Kind+v.Pattern] = true
		return dup
	})
}

func stockLiterals(t testing.TB) (lits []string) {
	for _, v := range stockPatterns(t) {
		m, err := compile(v.Kind, v.Pattern)
		if err != nil {
			t.Fatal(err)
		}
		l, _ := m.(interface{ Literals() ([]string, bool) }).Literals()
		lits = append(lits, l...)
	}
	return lits
}

// logLines are the recorded log lines.
func logLines(t testing.TB) (lines []string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(vectors.Corpus(t, "vectors", "logs", "ossec-4.3.0"), "*.single.jsonl"))
	for _, f := range files {
		for _, v := range vectors.ReadFile[struct{ Log string }](t, f) {
			lines = append(lines, v.Log)
		}
	}
	return lines
}

// raceEnabled is set when the race detector is on, which makes pools allocate.
var raceEnabled bool

func TestMatchingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools allocate under the race detector")
	}
	lines := logLines(t)[:200]
	var ms []matcher
	for _, v := range stockPatterns(t) {
		m, err := compile(v.Kind, v.Pattern)
		if err != nil {
			t.Fatal(err)
		}
		ms = append(ms, m)
	}
	caps := make([]string, 0, MaxCaptures)
	run := func() {
		for _, m := range ms[:400] {
			for _, l := range lines[:20] {
				if m.MatchString(l) {
					if f, ok := m.(finding); ok {
						f.Find(l, caps)
					}
				}
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(5, run); n > 4 { // the pool may lose a machine to the collector
		t.Errorf("%v allocations", n)
	}
}
