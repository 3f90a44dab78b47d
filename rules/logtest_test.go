package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/internal/vectors"
	"github.com/vedette-hids/vedette/rules/decode"
)

// logtestCase is one line of decoders/logtest.jsonl: a run of the test tool. The tool's own texts are another package's.
type logtestCase struct {
	Name, Decoders, Rules string
	LocalDecoders         string `json:"local_decoders"`
	Options, Stdin        []string
	Stderr                string
}

// TestLogtestRules runs the lines of the test tool's vectors and compares rules and traces with what the tool printed.
func TestLogtestRules(t *testing.T) {
	all := vectors.Read[logtestCase](t, "decoders/logtest.jsonl")
	defaults := all[0]
	checked := 0
	for _, c := range all[1:] {
		if strings.Contains(c.Stderr, "ERROR") || !strings.Contains(c.Stderr, "**Phase 1") || c.Name == "long line" {
			// Broken decoders, nothing to match, or a matter of how the tool reads lines.
			continue
		}
		if c.Decoders == "" {
			c.Decoders = defaults.Decoders
		}
		if c.Rules == "" {
			c.Rules = defaults.Rules
		}
		src := Sources{Decoders: []decode.Source{{Name: "decoder.xml", Data: []byte(c.Decoders)}}, Rules: []File{{Name: "r.xml", Data: []byte(c.Rules)}}}
		if strings.TrimSpace(c.LocalDecoders) != "" {
			src.Decoders = append(src.Decoders, decode.Source{Name: "local_decoder.xml", Data: []byte(c.LocalDecoders)})
		}
		rs, probs := Load(src, DefaultOptions().ForTestTool())
		if err := probs.Err(); err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		e := &engine{rs: rs, state: NewState(rs, Stores{}), trace: true}
		var want, got strings.Builder
		for l := range strings.Lines(c.Stderr) {
			if strings.Contains(l, "Rule id: '") || strings.Contains(l, "Level: '") || strings.Contains(l, "**Alert to be") ||
				strings.Contains(l, "Trying ") || strings.Contains(l, " matched.\n") && strings.Contains(l, "*Rule") {
				want.WriteString(l)
			}
		}
		for _, line := range c.Stdin {
			if len(line) < 2 {
				continue // the tool ignores it
			}
			out, _ := e.line(line, time.Unix(1700000000, 0))
			if strings.Contains(c.Stderr, "**Rule debugging") {
				got.Write(AppendTrace(nil, out.Trace))
			}
			if out.Rule != nil {
				fmt.Fprintf(&got, "       Rule id: '%d'\n       Level: '%d'\n", out.Rule.ID, out.Rule.Level)
			}
			if out.Alert != nil && out.Alert.Rule.Log {
				got.WriteString("**Alert to be generated.\n")
			}
		}
		if got.String() != want.String() {
			t.Errorf("%s: %s\nwant %s", c.Name, got.String(), want.String())
		}
		checked++
	}
	if checked < 20 {
		t.Errorf("only %d runs checked", checked)
	}
}
