package parts

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/vectors"
)

var logTime = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`)

func check(root, conf string) config.Problems {
	cfg, ps := config.Load(root, conf)
	return config.ForDaemon("ossec-remoted", cfg, ps)
}

func TestToolOutputs(t *testing.T) {
	runs := vectors.ToolRuns(t, Names()...)
	if len(runs) < 30 {
		t.Fatalf("%d cases", len(runs))
	}
	for _, c := range runs {
		var out, errs bytes.Buffer
		code := Run(Env{Name: c.Tool, Prog: "/var/ossec/" + c.Cmd[0], Root: t.TempDir(), Args: c.Cmd[1:], Stdout: &out, Stderr: &errs, Check: check})
		if code != c.Exit || !like(out.String(), c.Stdout) || !like(errs.String(), c.Stderr) {
			t.Errorf("%s %q: exit %d %q %q, want %d %q %q", c.ID, c.Cmd, code, out.String(), errs.String(), c.Exit, c.Stdout, c.Stderr)
		}
	}
}

// like compares up to the free texts of the vectors: usage, licence, maker.
func like(got, want string) bool {
	got = logTime.ReplaceAllString(got, "<TS>")
	for _, free := range []string{"OSSEC Foundation", "<USAGE>", "<LICENSE>"} {
		if before, _, ok := strings.Cut(want, free); ok {
			return strings.HasPrefix(got, before) && len(got) > len(before)+10
		}
	}
	return got == want
}

func TestConfigurationTest(t *testing.T) {
	root := t.TempDir()
	conf := filepath.Join(root, "etc", "ossec.conf")
	if err := os.Mkdir(filepath.Dir(conf), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text string
		code int
		want string
	}{
		{"<ossec_config><remote><connection>secure</connection></remote></ossec_config>", 0, ""},
		{"<ossec_config><remote><connection>bogus</connection></remote></ossec_config>", 1, "ossec-remoted(1235): ERROR: Invalid value for element 'connection': bogus.\n"},
	} {
		if err := os.WriteFile(conf, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"-t", "-D", root}, {"-tc", conf}} {
			var out, errs bytes.Buffer
			code := Run(Env{Name: "ossec-remoted", Root: root, Args: args, Stdout: &out, Stderr: &errs, Check: check})
			if code != c.code || !strings.Contains(errs.String(), c.want) || (c.want == "" && errs.Len() > 0) {
				t.Errorf("%v: exit %d %q", args, code, errs.String())
			}
		}
	}
}

func TestStartingIsOssecControls(t *testing.T) {
	var out, errs bytes.Buffer
	if code := Run(Env{Name: "ossec-maild", Root: "/r", Args: []string{"-f"}, Stdout: &out, Stderr: &errs}); code != 1 || !strings.Contains(errs.String(), "/r/bin/ossec-control start") {
		t.Error(code, errs.String())
	}
}
