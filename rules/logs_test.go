package rules

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/vectors"
)

// corpusSources reads a ruleset of the corpus as its ossec.conf names it.
func corpusSources(tb testing.TB, ruleset string) Sources {
	tb.Helper()
	root := vectors.Corpus(tb, "corpus", ruleset)
	data, err := os.ReadFile(filepath.Join(root, "ossec.conf"))
	if err != nil {
		tb.Fatal(err)
	}
	cfg, probs := config.Parse(root, "ossec.conf", data)
	if err := probs.Err(); err != nil {
		tb.Fatal(err)
	}
	section := cfg.Rules
	section.Decoders, section.DefaultDecoders = []string{"decoder.xml"}, false
	src, probs := ReadSources(root, section)
	if err := probs.Err(); err != nil {
		tb.Fatal(err)
	}
	return src
}

func corpusOptions() Options {
	o := DefaultOptions()
	o.SuppressRepeats, o.LogFirewall = false, false // as the test tool
	o.LocalHost = "vm"
	o.Location = time.UTC
	return o
}

func loadCorpus(tb testing.TB, ruleset string, opts Options) *Ruleset {
	tb.Helper()
	rs, probs := Load(corpusSources(tb, ruleset), opts)
	if err := probs.Err(); err != nil {
		tb.Fatal(err)
	}
	return rs
}

// logLine is one line of vectors/logs.
type logLine struct {
	Log     string
	Decoder *string
	Rule    *int
	Level   *int
}

func TestLogsGiveTheReferencesRules(t *testing.T) {
	for _, ruleset := range []string{"ossec-4.3.0", "ossec-2.9.1"} {
		for _, exact := range []bool{true, false} {
			opts := corpusOptions()
			opts.OssecExact = exact
			rs := loadCorpus(t, ruleset, opts)
			files, _ := filepath.Glob(vectors.Corpus(t, "vectors", "logs", ruleset, "*.jsonl"))
			if len(files) == 0 {
				t.Fatal("no log vectors")
			}
			for _, path := range files {
				name := strings.TrimSuffix(filepath.Base(path), ".jsonl")
				t.Run(ruleset+"/"+name+"/exact="+strconv.FormatBool(exact), func(t *testing.T) {
					checkLog(t, rs, vectors.ReadFile[logLine](t, path), strings.HasSuffix(name, ".single"))
				})
			}
		}
	}
}

// checkLog runs the lines, each with a fresh state when single.
func checkLog(t *testing.T, rs *Ruleset, lines []logLine, single bool) {
	at := time.Unix(1795000000, 0).UTC()
	fast := &engine{rs: rs, state: NewState(rs, Stores{Ignore: noIgnore{}})}
	plain := &engine{rs: rs, state: NewState(rs, Stores{Ignore: noIgnore{}}), trace: true}
	engines := []*engine{fast}
	if rs.opts.OssecExact { // once is enough: the plain walk is slow
		engines = append(engines, plain)
	}
	bad := 0
	for i, l := range lines {
		if single {
			for _, e := range engines {
				e.state = NewState(rs, Stores{Ignore: noIgnore{}})
			}
		}
		for _, e := range engines {
			out, ev := e.line(l.Log, at)
			rule, level := "none", "none"
			if out.Rule != nil {
				rule, level = strconv.Itoa(out.Rule.ID), strconv.Itoa(out.Rule.Level)
			}
			if rule != orNone(l.Rule) || level != orNone(l.Level) {
				if bad++; bad <= 5 {
					t.Errorf("line %d (plain %v) %q: decoder %q, rule %s level %s, want %s level %s", i, e.trace, l.Log, ev.Decoder, rule, level,
						orNone(l.Rule), orNone(l.Level))
				}
			}
		}
	}
	if bad > 5 {
		t.Errorf("%d differences in all", bad)
	}
}
