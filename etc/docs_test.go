package etc_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/list"
	"github.com/vedette-hids/vedette/rules/unittest"
)

// page runs the examples of docs/rules.md in order: "xml" blocks are local rules on top of the shipped ones, "list NAME" blocks are lists for
// the next rules, "text" blocks are lines with the rule they end in, "text HH:MM" ones at that time, "ini" blocks are unit tests of all rules so far.
type page struct {
	t     *testing.T
	rs    *rules.Ruleset
	lists []rules.ListFile
	all   string // every xml block so far
	lines int
}

func TestRulesPage(t *testing.T) {
	data, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	p := page{t: t}
	kind, block := "", ""
	for i, line := range strings.Split(string(data), "\n") {
		fence, is := strings.CutPrefix(line, "```")
		switch {
		case is && kind == "":
			kind, block = fence+" ", ""
		case is:
			word, rest, _ := strings.Cut(strings.TrimSpace(kind), " ")
			p.block(i+1, word, rest, block)
			kind = ""
		case kind != "":
			block += line + "\n"
		}
	}
	if p.lines < 20 {
		t.Errorf("only %d example lines were found", p.lines)
	}
}

func (p *page) block(line int, kind, rest, text string) {
	switch kind {
	case "list":
		p.lists = append(p.lists, rules.ListFile{Name: rest, DB: list.Parse([]byte(text))})
	case "xml":
		p.all += text
		p.load(line, text)
	case "text":
		p.example(line, rest, text)
	case "ini":
		// The last definitions of the page would hide the first: the tests are for the first ones.
		p.load(line, p.all[:strings.Index(p.all, "\n</group>")+len("\n</group>\n")])
		cases, err := unittest.ParseINI("docs/rules.md", []byte(text))
		if err != nil {
			p.t.Fatal(err)
		}
		p.lines += len(cases)
		for _, f := range unittest.Run(p.rs, cases).Failures {
			p.t.Error(f)
		}
	}
}

func (p *page) load(line int, local string) {
	p.t.Helper()
	src := sources(p.t)
	src.Rules = append(src.Rules, rules.File{Name: "docs/rules.md", Data: []byte(local)})
	src.Lists = p.lists
	rs, ps := rules.Load(src, options())
	for _, problem := range ps {
		p.t.Fatalf("example that ends in line %d: %v", line, problem)
	}
	for _, problem := range rs.Lint() {
		if problem.Pos.File == "docs/rules.md" {
			p.t.Errorf("example that ends in line %d: %v", line, problem)
		}
	}
	p.rs = rs
}

// example sends the lines of a block through one state and compares what is shown below each.
func (p *page) example(line int, at, text string) {
	now := time.Date(2026, 12, 29, 10, 0, 0, 0, time.UTC)
	if at != "" {
		clock, err := time.Parse("15:04", at)
		if err != nil {
			p.t.Fatal(err)
		}
		now = time.Date(2026, 12, 29, clock.Hour(), clock.Minute(), 0, 0, time.UTC)
	}
	state := rules.NewState(p.rs, rules.Stores{})
	var sc rules.Scratch
	var prepared rules.Prepared
	var shown map[string]string
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if want, ok := strings.CutPrefix(l, "  "); ok {
			key, value, _ := strings.Cut(want, ": ")
			if shown[key] != value {
				p.t.Errorf("block that ends in line %d: %s is %q, not %q", line, key, shown[key], value)
			}
			continue
		}
		p.lines++
		now = now.Add(time.Second)
		ev, err := event.ParseQueue("1:/var/log/x:"+l, now)
		if err != nil {
			p.t.Fatal(err)
		}
		p.rs.Prepare(ev, &sc, &prepared)
		shown = map[string]string{"rule": "none"}
		if out := state.Process(&prepared, now); out.Rule != nil {
			shown = map[string]string{"rule": strconv.Itoa(out.Rule.ID), "level": strconv.Itoa(out.Rule.Level), "groups": out.Rule.Groups}
		}
	}
}
