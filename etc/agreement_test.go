package etc_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/vedette-hids/vedette/rules/unittest"
)

// leastAgreement is the share of the recorded lines for which our rules say the same as OSSEC's. Raise it when it rises.
const leastAgreement = 0.99

// TestAgreementWithRecordedLogs compares with what OSSEC 4.3.0 and its own rules made of real logs. Our patterns are our own, so some lines
// end in other rules; -v lists them.
func TestAgreementWithRecordedLogs(t *testing.T) {
	dir := os.Getenv("VEDETTE_CORPUS")
	if dir == "" {
		dir = "../../shared"
	}
	files, err := filepath.Glob(filepath.Join(dir, "vectors/logs/ossec-4.3.0/*.single.jsonl"))
	if err != nil || len(files) == 0 {
		t.Skip("no recorded logs (set VEDETTE_CORPUS)")
	}
	rs := rulesetWith(t, options().ForTestTool())
	lines, same := 0, 0
	for _, f := range files {
		cases := recorded(t, f)
		report := unittest.Run(rs, cases)
		lines += len(cases)
		same += len(cases) - len(report.Failures)
		t.Logf("%s: %d of %d lines end in the same rule", filepath.Base(f), len(cases)-len(report.Failures), len(cases))
		for _, d := range report.Failures {
			t.Logf("  %s: %.160q", d.Text, d.Case.Steps[0].Log)
		}
	}
	if share := float64(same) / float64(lines); share < leastAgreement {
		t.Errorf("%d of %d lines (%.3f) end in the same rule, want %.3f", same, lines, share, leastAgreement)
	}
}

// recorded makes a case of every line of a file.
func recorded(t *testing.T, path string) (out []unittest.Case) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		var l struct {
			Log  string
			Rule *int
		}
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			t.Fatal(path, n, err)
		}
		want := "none"
		if l.Rule != nil {
			want = strconv.Itoa(*l.Rule)
		}
		out = append(out, unittest.Case{File: filepath.Base(path), Line: n, Steps: []unittest.Step{{Log: l.Log, Rule: want}}})
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
