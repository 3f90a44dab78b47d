package etc_test

import (
	"encoding/csv"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/config/xmlconf"
	"github.com/vedette-hids/vedette/etc"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/decode"
	"github.com/vedette-hids/vedette/rules/unittest"
)

// sources reads the shipped decoders and rules in the order of the manager's default configuration, and the optional rules behind them.
func sources(t testing.TB) rules.Sources {
	t.Helper()
	read := func(name string) []byte {
		data, err := fs.ReadFile(etc.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	cfg, ps := config.Parse(".", "etc/ossec.conf", read("ossec-server.conf"))
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	src := rules.Sources{Decoders: []decode.Source{{Name: "etc/decoder.xml", Data: read("decoder.xml")}}}
	for _, name := range append(cfg.Rules.Rules, "rules/policy_rules.xml") {
		src.Rules = append(src.Rules, rules.File{Name: name, Data: read(name)})
	}
	return src
}

// options are those of a manager, but equal lines are not suppressed.
func options() rules.Options {
	o := rules.DefaultOptions()
	o.SuppressRepeats = false
	o.LocalHost = "manager"
	o.Location = time.UTC
	return o
}

// ruleset loads the shipped ruleset.
func ruleset(t testing.TB) *rules.Ruleset { return rulesetWith(t, options()) }

func rulesetWith(t testing.TB, o rules.Options) *rules.Ruleset {
	t.Helper()
	rs, ps := rules.Load(sources(t), o)
	for _, p := range ps {
		t.Error(p)
	}
	if rs == nil {
		t.FailNow()
	}
	return rs
}

// Three warnings cannot be avoided, because ids, groups and links of the rules are fixed: operators' own rules refer to them.
var expected = regexp.MustCompile(`^There is no comma between the groups '.*' and '.*': they become one name\.$|` +
	`^It is counted by an if_matched_sid rule; therefore the if_matched_group rule \d+ does not count it\.$|` +
	`^It stands at several positions of the tree, so an if_matched_group rule counts each of its events several times\.$`)

func TestShippedRulesetHasNoProblems(t *testing.T) {
	for _, p := range ruleset(t).Lint() {
		if !expected.MatchString(p.Text) {
			t.Error(p)
		}
	}
}

// cases reads the tests of tests/.
func cases(t testing.TB) (out []unittest.Case) {
	t.Helper()
	files, err := filepath.Glob("tests/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		parse := unittest.ParseINI
		if filepath.Ext(f) == ".yaml" {
			parse = unittest.ParseYAML
		}
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		cs, err := parse(f, data)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, cs...)
	}
	return out
}

func TestRules(t *testing.T) {
	rs := ruleset(t)
	report := unittest.Run(rs, cases(t))
	for _, f := range report.Failures {
		t.Error(f)
	}
	t.Logf("%d cases, %d lines; the conditions of %d of %d rules held", report.Cases, report.Steps,
		len(rs.Rules())-len(report.Uncovered(rs)), len(rs.Rules()))
}

// facts are the properties of OSSEC 4.3.0's rules by id, each a map by column.
func facts(t *testing.T) map[int]map[string]string {
	t.Helper()
	f, err := os.Open("../internal/testdata/spec/ruleset/ruleset-facts.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes = '\t', true
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]map[string]string{}
	for _, row := range rows[1:] {
		fact := map[string]string{}
		for i, name := range rows[0] {
			fact[name] = row[i]
		}
		id, err := strconv.Atoi(fact["id"])
		if err != nil {
			t.Fatal(err)
		}
		out[id] = fact
	}
	return out
}

// written is a rule as it stands in its file, in the columns of the facts.
func written(t *testing.T) map[int]map[string]string {
	t.Helper()
	out := map[int]map[string]string{}
	for _, file := range sources(t).Rules {
		doc, err := xmlconf.Read(file.Name, file.Data)
		if err == nil {
			err = doc.ApplyVariables()
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range doc.Roots {
			name, _ := group.Attr("name")
			for _, rule := range group.Children {
				if rule.Name != "rule" {
					continue
				}
				fact := map[string]string{"groups": name, "file": file.Name}
				for _, a := range rule.Attrs {
					fact[a.Name] = a.Value
				}
				for _, e := range rule.Children {
					switch e.Name {
					case "group":
						fact["groups"] += e.Text
					case "options":
						fact["options"] = strings.TrimPrefix(fact["options"]+","+e.Text, ",")
					default:
						fact["has "+e.Name] = "yes"
						if _, attr := rule.Attr(e.Name); !attr { // id and ignore are both
							fact[e.Name] += e.Text
						}
					}
				}
				id, err := strconv.Atoi(fact["id"])
				if err != nil {
					t.Fatal(file.Name, err)
				}
				out[id] = fact
			}
		}
	}
	return out
}

// Operators' rules, reports and dashboards refer to ids, levels, groups and links: they are the same as OSSEC's.
func TestRulesAgreeWithTheFacts(t *testing.T) {
	ours, theirs := written(t), facts(t)
	number := regexp.MustCompile(`\d+`)
	for id, w := range ours {
		want, ok := theirs[id]
		switch {
		case id < 10 || id == 100001: // roots; the example in local_rules.xml
			continue
		case !ok:
			t.Errorf("%s: rule %d is not one of OSSEC's", w["file"], id)
			continue
		}
		for _, col := range []string{"level", "groups", "if_group", "if_matched_sid", "if_matched_group", "decoded_as", "category", "timeframe",
			"ignore", "maxsize", "options"} {
			if w[col] != want[col] && !(col == "ignore" && w["has ignore"] != "") {
				t.Errorf("%s: rule %d: %s is %q, want %q", w["file"], id, col, w[col], want[col])
			}
		}
		if f := want["frequency"]; !strings.HasPrefix(f, "$") && w["frequency"] != f {
			t.Errorf("%s: rule %d: frequency is %q, want %q", w["file"], id, w["frequency"], f)
		}
		if a, b := number.FindAllString(w["if_sid"], -1), number.FindAllString(want["if_sid"], -1); !slices.Equal(a, b) {
			t.Errorf("%s: rule %d: if_sid is %v, want %v", w["file"], id, a, b)
		}
		used := strings.Split(want["conditions_used"], ",")
		for _, e := range []string{"if_fts", "check_diff", "same_source_ip", "same_id", "same_user", "same_location", "different_url", "compiled_rule",
			"check_if_ignored", "time", "weekday"} {
			if has := w["has "+e] != ""; has != slices.Contains(used, e) {
				t.Errorf("%s: rule %d: has %s: %v", w["file"], id, e, has)
			}
		}
	}
	missing := map[string][]int{}
	for id, f := range theirs {
		if ours[id] == nil {
			missing[f["service"]] = append(missing[f["service"]], id)
		}
	}
	n := 0
	for service, ids := range missing {
		slices.Sort(ids)
		n += len(ids)
		t.Logf("not written: %s %v", service, ids)
	}
	t.Logf("%d of OSSEC's %d rules are here", len(theirs)-n, len(theirs))
}
