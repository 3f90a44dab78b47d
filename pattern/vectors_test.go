package pattern

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vedette-hids/vedette/internal/vectors"
)

// vector is one line of the golden data: a pattern, a text and what the reference makes of them.
type vector struct {
	Kind, Note       string
	Pattern, Text    string
	PatternHex       string `json:"pattern_hex"`
	TextHex          string `json:"text_hex"`
	Compile, Matched bool
	Error, End       int
	Captures         []json.RawMessage
	file             string
	line             int
	wantCaps         []string
}

// matcher is what all compiled patterns can do.
type matcher interface{ MatchString(string) bool }

// finding is what the languages with captures can do besides.
type finding interface {
	matcher
	Find(s string, caps []string) (int, []string, bool)
}

// readVectors decodes a file of vectors.
func readVectors(t testing.TB, path string) []vector {
	t.Helper()
	out := vectors.ReadFile[vector](t, path)
	for i := range out {
		out[i].file, out[i].line = filepath.Base(path), i+1
		out[i].decode(t)
	}
	return out
}

func (v *vector) decode(t testing.TB) {
	unhex := func(h, s string) string {
		if h == "" {
			return s
		}
		b, err := hex.DecodeString(h)
		if err != nil {
			t.Fatalf("%s:%d: %v", v.file, v.line, err)
		}
		return string(b)
	}
	v.Pattern, v.Text = unhex(v.PatternHex, v.Pattern), unhex(v.TextHex, v.Text)
	for _, c := range v.Captures {
		var s string
		var h struct{ Hex string }
		if json.Unmarshal(c, &s) != nil {
			if err := json.Unmarshal(c, &h); err != nil {
				t.Fatalf("%s:%d: %v", v.file, v.line, err)
			}
			s = unhex(h.Hex, "")
		}
		v.wantCaps = append(v.wantCaps, s)
	}
}

func compile(kind, p string) (matcher, error) {
	switch kind {
	case "match":
		return CompileMatch(p)
	case "regex":
		return CompileRegex(p)
	case "pcre2":
		return CompilePCRE2(p)
	}
	return CompileWord(p), nil
}

// unsupported are the PCRE2 features that are refused when compiling, as the vectors allow for notes "pcre2 feature".
var unsupported = map[string]string{
	`(?|(a)|(b))c`:          "branch reset group",
	`(\((?:[^()]|(?1))*\))`: "recursion",
	`(*UTF)^.$`:             "verb",
}

// allowed says why a vector may differ, "" when it may not.
func allowed(v *vector, compiled, matched bool) string {
	switch {
	case v.Kind == "pcre2" && v.Note == "pcre2 feature" && v.Compile && !compiled:
		return unsupported[v.Pattern]
	case (v.Kind == "regex" || v.Kind == "match") && !utf8.ValidString(v.Text) && matched && !v.Matched:
		return "text that is not UTF-8: each invalid byte is a character of its own"
	case v.Kind == "match" && strings.HasSuffix(v.Text, "\n") && v.Matched && !matched && strings.Contains(v.Pattern, "$"):
		return "$ is the true end in OS_Match"
	}
	return ""
}

func TestVectors(t *testing.T) {
	files, err := filepath.Glob(vectors.Path(t, "patterns/*.jsonl"))
	if err != nil || len(files) != 6 {
		t.Fatalf("vectors: %v, %v", files, err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { checkVectors(t, readVectors(t, f)) })
	}
	t.Run("stock patterns", func(t *testing.T) {
		checkVectors(t, readVectors(t, vectors.Corpus(t, "corpus", "stock_patterns.jsonl")))
	})
}

func checkVectors(t *testing.T, vs []vector) {
	deviations := make(map[string]int)
	compiled := make(map[[2]string]matcher)
	failures := 0
	for i := range vs {
		v := &vs[i]
		key := [2]string{v.Kind, v.Pattern}
		m, seen := compiled[key]
		if !seen {
			var err error
			m, err = compile(v.Kind, v.Pattern)
			if err != nil {
				m = nil
				var e *Error
				if !errors.As(err, &e) || !v.Compile && e.Code != v.Error {
					t.Errorf("%s:%d: error %v, want code %d", v.file, v.line, err, v.Error)
				}
			}
			compiled[key] = m
		}
		problem, why := v.check(m)
		if problem == "" {
			continue
		}
		if why != "" {
			deviations[why]++
			continue
		}
		if failures++; failures <= 25 {
			t.Errorf("%s:%d (%s): %s %q on %q: %s", v.file, v.line, v.Note, v.Kind, v.Pattern, v.Text, problem)
		}
	}
	if failures > 25 {
		t.Errorf("%d failures in all", failures)
	}
	for why, n := range deviations {
		t.Logf("%d of %d lines deviate as allowed: %s", n, len(vs), why)
	}
}

// check compares one line; why is the reason for which a difference is allowed.
func (v *vector) check(m matcher) (problem, why string) {
	if m == nil || !v.Compile {
		if (m != nil) != v.Compile {
			return "compiles: " + map[bool]string{true: "yes", false: "no"}[m != nil], allowed(v, m != nil, false)
		}
		return "", ""
	}
	got := m.MatchString(v.Text)
	if got != v.Matched {
		return "matched: " + map[bool]string{true: "yes", false: "no"}[got], allowed(v, true, got)
	}
	f, ok := m.(finding)
	if !ok {
		return "", ""
	}
	end, caps, ok := f.Find(v.Text, []string{"before"})
	if ok != got {
		return "Find and MatchString differ", ""
	}
	if len(caps) == 0 || caps[0] != "before" {
		return "Find does not append", ""
	}
	if !ok {
		return "", ""
	}
	if end != v.End {
		return "end " + string(rune('0'+end%10)), ""
	}
	if !slices.Equal(caps[1:], v.wantCaps) {
		return "captures " + strings.Join(caps[1:], "|") + ", want " + strings.Join(v.wantCaps, "|"), ""
	}
	return "", ""
}
