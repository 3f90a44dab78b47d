package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/internal/vectors"
)

// fuzzSeeds are the rules files of the vectors that load in one file.
func fuzzSeeds(f *testing.F) []ruleCase {
	var out []ruleCase
	for _, name := range []string{"cases.jsonl", "load.jsonl"} {
		for _, c := range vectors.Read[ruleCase](f, "rules/"+name) {
			if len(c.RulesFiles) == 1 && len(c.RulesFiles[0].Text) < 2000 {
				out = append(out, c)
			}
		}
	}
	return out
}

// FuzzLoad loads arbitrary rules files in both modes.
func FuzzLoad(f *testing.F) {
	for _, c := range fuzzSeeds(f) {
		f.Add(c.RulesFiles[0].Text)
	}
	decoders := vectorDecoders(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, exact := range []bool{true, false} {
			opts := DefaultOptions()
			opts.OssecExact = exact
			rs, probs := Load(Sources{Decoders: decoders, Rules: []File{{Name: "f.xml", Data: []byte(text)}}}, opts)
			if (rs == nil) != (probs.Err() != nil) {
				t.Fatal("a ruleset is returned exactly when there is no error")
			}
		}
	})
}

// FuzzEngine runs arbitrary events through arbitrary rules, the fast way and the plain way, which must agree.
func FuzzEngine(f *testing.F) {
	for _, c := range fuzzSeeds(f) {
		var logs strings.Builder
		for i, l := range c.Lines {
			if i < 10 {
				logs.WriteString(l.Log + "\n")
			}
		}
		f.Add(c.RulesFiles[0].Text, logs.String())
	}
	decoders := vectorDecoders(f)
	f.Fuzz(func(t *testing.T, text, logs string) {
		opts := DefaultOptions()
		opts.SuppressRepeats = false
		rs, _ := Load(Sources{Decoders: decoders, Rules: []File{{Name: "f.xml", Data: []byte(text)}}}, opts)
		if rs == nil || rs.Len() > 2000 {
			return
		}
		fast := &engine{rs: rs, state: NewState(rs, Stores{})}
		plain := &engine{rs: rs, state: NewState(rs, Stores{}), trace: true}
		plain.state.corr.naive = true
		at := time.Unix(1700000000, 0)
		n := 0
		for log := range strings.Lines(logs) {
			if n++; n > 60 {
				return
			}
			log = strings.TrimRight(log, "\n")
			a, _ := fast.line(log, at.Add(time.Duration(n)*time.Second))
			b, _ := plain.line(log, at.Add(time.Duration(n)*time.Second))
			if a.Rule != b.Rule || a.Reason != b.Reason || fmt.Sprint(previous(a)) != fmt.Sprint(previous(b)) {
				t.Fatalf("%q: fast %s %s, plain %s %s", log, ruleID(a.Rule), a.Reason, ruleID(b.Rule), b.Reason)
			}
		}
	})
}

func previous(o Outcome) []string {
	if o.Alert == nil {
		return nil
	}
	return o.Alert.Previous
}
