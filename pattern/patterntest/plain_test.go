package patterntest

import (
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vedette-hids/vedette/internal/vectors"
)

type vector struct {
	Kind, Pattern, Text string
	PatternHex          string `json:"pattern_hex"`
	TextHex             string `json:"text_hex"`
	Compile, Matched    bool
	End                 int
	Captures            []json.RawMessage
}

// text decodes a value whose bytes may not be UTF-8.
func text(t *testing.T, plain, hexed string) string {
	b, err := hex.DecodeString(hexed)
	if err != nil {
		t.Fatal(err)
	}
	return plain + string(b)
}

func (v *vector) captures(t *testing.T) (out []string) {
	for _, c := range v.Captures {
		var s string
		var h struct{ Hex string }
		if json.Unmarshal(c, &s) != nil {
			if err := json.Unmarshal(c, &h); err != nil {
				t.Fatal(err)
			}
			s = text(t, "", h.Hex)
		}
		out = append(out, s)
	}
	return out
}

// TestPlainEqualsTheVectors holds the plain form against what the reference was seen to do, so that it can be trusted elsewhere.
func TestPlainEqualsTheVectors(t *testing.T) {
	kinds := map[string]Kind{"match": Match, "regex": Regex, "pcre2": PCRE2}
	files, _ := filepath.Glob(vectors.Path(t, "patterns/*.jsonl"))
	if len(files) != 6 {
		t.Fatalf("%d files", len(files))
	}
	compared := 0
	for _, f := range files {
		for _, v := range vectors.ReadFile[vector](t, f) {
			p, s := text(t, v.Pattern, v.PatternHex), text(t, v.Text, v.TextHex)
			kind, known := kinds[v.Kind]
			// What it leaves out: see the comments of New and Find, and captures of rounds that are empty.
			if !known || !v.Compile || !utf8.ValidString(p) || kind != PCRE2 && !utf8.ValidString(s) || strings.ContainsAny(p+s, "\n\x00\x0b") ||
				strings.Contains(p, ")+") || strings.Contains(p, ")*") || strings.Contains(p, "){") || strings.Contains(p, `\<`) {
				continue
			}
			plain, err := New(kind, p)
			if err != nil {
				continue
			}
			compared++
			end, caps, ok := plain.Find(s)
			if ok != v.Matched || ok && kind != Match && (end != v.End || !slices.Equal(caps, v.captures(t))) {
				t.Errorf("%s %q on %q: %v %d %q, the reference %v %d %q", v.Kind, p, s, ok, end, caps, v.Matched, v.End, v.captures(t))
			}
		}
	}
	if compared < 21000 {
		t.Errorf("only %d vectors were compared", compared)
	}
}

func TestSamplerMakesTextsThatMatch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		kind Kind
		p    string
	}{
		{Match, "^abc|de"}, {Match, "end$"}, {Regex, `^user (\w+) from (\d+.\d+.\d+.\d+)\s\S+`}, {PCRE2, `^(?:a|bc){2,3}x?[0-9]+\sy`}, {PCRE2, "^plain"},
	} {
		plain, err := New(c.kind, c.p)
		if err != nil {
			t.Fatal(err)
		}
		s := plain.Sampler()
		for range 200 {
			if text := s.Text(rnd); !found(plain, text) {
				t.Errorf("%q does not match %q", c.p, text)
			}
		}
	}
	plain, _ := New(Regex, `^from (\S+) to (\S+)`)
	s := plain.Sampler()
	s.Fill = map[int]*Sampler{2: Literal("192.0.2.1")}
	if text := s.Text(rnd); !strings.HasSuffix(text, " to 192.0.2.1") && !strings.HasSuffix(strings.ToLower(text), "to 192.0.2.1") {
		t.Errorf("the second group is not filled: %q", text)
	}
}

func found(p *Plain, s string) bool {
	_, _, ok := p.Find(s)
	return ok
}

func TestMixerRepeatsItself(t *testing.T) {
	lines := func(seed uint64) (out []string) {
		plain, err := New(Regex, `^login \w+`)
		if err != nil {
			t.Fatal(err)
		}
		m := &Mixer{Rnd: rand.New(rand.NewPCG(seed, 1)), Logs: []string{"Dec 29 10:00:01 h p: one", "two"}, Texts: []*Sampler{plain.Sampler()},
			Chains: []Chain{{Program: Literal("appd"), Texts: []*Sampler{plain.Sampler()}}, {Texts: []*Sampler{Literal("x")}}}}
		for range 200 {
			out = append(out, m.Next())
		}
		return out
	}
	a, b := lines(1), lines(2)
	if !slices.Equal(a, lines(1)) || slices.Equal(a, b) {
		t.Error("a seed decides the lines")
	}
	slices.Sort(a)
	if n := len(slices.Compact(a)); n < 100 {
		t.Errorf("only %d different lines of 200", n)
	}
}
