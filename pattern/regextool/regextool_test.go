package regextool

import (
	"bytes"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/vectors"
)

func TestToolOutputs(t *testing.T) {
	runs := vectors.ToolRuns(t, "ossec-regex")
	if len(runs) < 8 {
		t.Fatalf("%d cases", len(runs))
	}
	for _, c := range runs {
		var out bytes.Buffer
		if code := Run(c.Cmd[1:], strings.NewReader(c.Stdin), &out); code != c.Exit || out.String() != c.Stdout {
			t.Errorf("%s: exit %d %q, want %d %q", c.ID, code, out.String(), c.Exit, c.Stdout)
		}
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
