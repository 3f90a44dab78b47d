package regextool

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestToolOutputs(t *testing.T) {
	f, err := os.Open("../../internal/testdata/spec/config/tool_outputs.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	seen := 0
	for sc.Scan() {
		var c struct {
			ID, Tool, Stdin, Stdout string
			Cmd                     []string
			Exit                    int
		}
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if c.Tool != "ossec-regex" {
			continue
		}
		seen++
		var out bytes.Buffer
		if code := Run(c.Cmd[1:], strings.NewReader(c.Stdin), &out); code != c.Exit || out.String() != c.Stdout {
			t.Errorf("%s: exit %d %q, want %d %q", c.ID, code, out.String(), c.Exit, c.Stdout)
		}
	}
	if seen < 8 {
		t.Errorf("%d cases", seen)
	}
}

func TestLongLinesAndMissingEnd(t *testing.T) {
	var out bytes.Buffer
	if code := Run([]string{"b$"}, strings.NewReader(strings.Repeat("a", maxLine-1)+"b"+strings.Repeat("c", 5)+"b"), &out); code != 0 {
		t.Error(code)
	}
	if n := strings.Count(out.String(), "+OSMatch_Compile"); n != 2 {
		t.Errorf("%d pieces match, want 2", n)
	}
	out.Reset()
	Run([]string{"x"}, strings.NewReader("a\x00x\nxy"), &out)
	if got := out.String(); strings.Count(got, "\n") != 4 || !strings.HasPrefix(got, "+OSRegex_Execute: xy\n") {
		t.Errorf("%q", got)
	}
}
