package pattern_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/config/xmlconf"
	"github.com/vedette-hids/vedette/internal/vectors"
	"github.com/vedette-hids/vedette/pattern"
	"github.com/vedette-hids/vedette/pattern/patterntest"
)

var (
	textCount = flag.Int("texts", 6, "texts per pattern of the comparison with the plain patterns")
	textSeed  = flag.Uint64("seed", 1, "their seed")
)

// elementKinds are the languages of the elements of decoders and rules.
var elementKinds = map[string]patterntest.Kind{"match": patterntest.Match, "program_name": patterntest.Match, "id": patterntest.Match,
	"url": patterntest.Match, "user": patterntest.Match, "hostname": patterntest.Match, "status": patterntest.Match, "extra_data": patterntest.Match,
	"srcport": patterntest.Match, "dstport": patterntest.Match, "prematch": patterntest.Regex, "regex": patterntest.Regex, "field": patterntest.Regex,
	"if_matched_regex": patterntest.Regex, "pcre2": patterntest.PCRE2}

type corpusPattern struct {
	kind patterntest.Kind
	text string
}

// corpusPatterns are the different patterns of a ruleset.
func corpusPatterns(t *testing.T, ruleset string) []corpusPattern {
	root := vectors.Corpus(t, "corpus", ruleset)
	files, _ := filepath.Glob(filepath.Join(root, "rules", "*.xml"))
	seen := map[corpusPattern]bool{}
	for _, f := range append(files, filepath.Join(root, "decoder.xml")) {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := xmlconf.Read(f, data)
		if err == nil {
			err = doc.ApplyVariables()
		}
		if err != nil {
			t.Fatal(err)
		}
		var walk func(n *xmlconf.Node)
		walk = func(n *xmlconf.Node) {
			kind, ok := elementKinds[strings.ToLower(n.Name)]
			if strings.HasSuffix(n.Name, "_pcre2") {
				kind, ok = patterntest.PCRE2, true
			}
			if ok && n.Text != "" && len(n.Children) == 0 {
				seen[corpusPattern{kind, n.Text}] = true
			}
			for _, c := range n.Children {
				walk(c)
			}
		}
		for _, r := range doc.Roots {
			walk(r)
		}
	}
	var out []corpusPattern
	for p := range seen {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b corpusPattern) int { return strings.Compare(a.text, b.text)*2 + int(a.kind) - int(b.kind) })
	return out
}

type engine interface {
	MatchString(string) bool
	Literals() ([]string, bool)
}

func compileCorpus(p corpusPattern) (engine, error) {
	switch p.kind {
	case patterntest.Match:
		return pattern.CompileMatch(p.text)
	case patterntest.Regex:
		return pattern.CompileRegex(p.text)
	}
	return pattern.CompilePCRE2(p.text)
}

// TestCorpusPatternsEqualPlainOnes compares every pattern of both rulesets with its plain form: on texts made for it, on such texts
// damaged, and on logs. With -texts and -seed it goes on for as long as one likes.
func TestCorpusPatternsEqualPlainOnes(t *testing.T) {
	var logs []string
	for _, v := range vectors.ReadFile[struct{ Log string }](t, vectors.Corpus(t, "vectors", "logs", "ossec-4.3.0", "ossec-tests.single.jsonl")) {
		logs = append(logs, v.Log)
	}
	mix := &patterntest.Mixer{Rnd: rand.New(rand.NewPCG(*textSeed, 9)), Logs: logs}
	matched, texts, bad := 0, 0, 0
	for _, ruleset := range []string{"ossec-4.3.0", "ossec-2.9.1"} {
		patterns := corpusPatterns(t, ruleset)
		if len(patterns) < 500 {
			t.Fatalf("%s: only %d patterns", ruleset, len(patterns))
		}
		for _, p := range patterns {
			plain, err := patterntest.New(p.kind, p.text)
			if err != nil {
				t.Logf("not compared: %v", err)
				continue
			}
			fast, err := compileCorpus(p)
			if err != nil {
				t.Fatalf("%s: %v", ruleset, err)
			}
			sampler := plain.Sampler()
			for i := range *textCount {
				text := sampler.Text(mix.Rnd)
				switch i % 6 {
				case 1:
					text = mix.Damage(text)
				case 2:
					text = logs[mix.Rnd.IntN(len(logs))]
				case 3:
					text = logs[mix.Rnd.IntN(len(logs))] + " " + text
				case 4:
					text = mix.Damage(mix.Damage(text + " " + sampler.Text(mix.Rnd)))
				case 5:
					text = strings.Repeat(text+" ", 1+mix.Rnd.IntN(20))
				}
				text = strings.NewReplacer("\n", "", "\x00", "", "\v", "").Replace(text) // no log has them
				if diff := differs(plain, fast, text); diff != "" {
					t.Errorf("%s, seed %d: %q on %q: %s", ruleset, *textSeed, p.text, text, diff)
					if bad++; bad > 20 {
						return
					}
				}
				if _, _, ok := plain.Find(text); ok {
					matched++
				}
				texts++
			}
		}
	}
	t.Logf("seed %d: %d texts, %d matched", *textSeed, texts, matched)
	if matched < texts/3 {
		t.Errorf("the test is too tame: %d of %d texts matched", matched, texts)
	}
}

func differs(plain *patterntest.Plain, fast engine, s string) string {
	end, caps, ok := plain.Find(s)
	if fast.MatchString(s) != ok {
		return "matched differently"
	}
	if f, has := fast.(interface {
		Find(string, []string) (int, []string, bool)
	}); has {
		gotEnd, gotCaps, gotOK := f.Find(s, nil)
		if gotOK != ok || ok && (gotEnd != end || !slices.Equal(gotCaps, caps)) {
			return "found differently"
		}
	}
	lits, has := fast.Literals()
	if !ok || !has {
		return ""
	}
	if !pattern.NewAutomaton(lits).Any(s) {
		var set pattern.Bitset // Any does not know of U+212A and U+017F, Scan does
		pattern.NewAutomaton(lits).Scan(s, &set)
		for i := range lits {
			if set.Has(i) {
				return ""
			}
		}
		return "no required literal is in it"
	}
	return ""
}
