package addto

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/config/xmlconf"
)

const (
	baseConf  = "<ossec_config><rules><include>local_rules.xml</include></rules><localfile><log_format>syslog</log_format><location>/var/log/known</location></localfile></ossec_config>\n"
	baseRules = `<group name="local,"><rule id="1" level="0"><category>ossec</category><description>d</description></rule>
<rule id="530" level="0"><if_sid>1</if_sid><match>^ossec: output: </match><description>output</description></rule>
<rule id="150010" level="3"><if_sid>530</if_sid><match>taken</match><description>taken</description></rule></group>
`
)

func install(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"etc/ossec.conf": baseConf, "rules/local_rules.xml": baseRules,
		"etc/decoder.xml": `<decoder name="a"><prematch>^a</prematch></decoder>`} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func run(root string, args ...string) (int, string) {
	var out bytes.Buffer
	code := Run(Env{Root: root, Args: args, Prog: "util.sh", Stdout: &out})
	return code, out.String()
}

func content(t *testing.T, root, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAddFile(t *testing.T) {
	root := install(t)
	logFile := filepath.Join(t.TempDir(), "app log")
	if err := os.WriteFile(logFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := run(root, "addfile", logFile, "apache"); code != 0 || out != "util.sh: File "+logFile+" added.\n" {
		t.Errorf("%d %q", code, out)
	}
	cfg, problems := config.Load(root, "etc/ossec.conf")
	if problems.Err() != nil || len(cfg.Localfiles) != 2 || cfg.Localfiles[1].Location != logFile || cfg.Localfiles[1].Format != "apache" {
		t.Errorf("%v %+v", problems, cfg.Localfiles)
	}
	if st, err := os.Stat(filepath.Join(root, "etc/ossec.conf")); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	if code, out := run(root, "addfile", logFile); code != 1 || out != "util.sh: File "+logFile+" already configured at ossec.\n" {
		t.Errorf("%d %q", code, out)
	}
	if code, out := run(root, "addfile", "/nonexistent/x"); code != 1 || out != "util.sh: File /nonexistent/x does not exist.\n" {
		t.Errorf("%d %q", code, out)
	}
}

func TestNamesThatWouldForgeConfigurationAreRefused(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a</location><x>", "b<!--", "c\\<d", "new\nline"} {
		root := install(t)
		path := filepath.Join(dir, filepath.Base(name))
		if strings.Contains(name, "/") {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			path = filepath.Join(dir, name)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		code, out := run(root, "addfile", path)
		got := content(t, root, "etc/ossec.conf")
		cfg, problems := config.Parse("", "c", []byte(got))
		if code == 0 {
			if problems.Err() != nil || cfg.Localfiles[len(cfg.Localfiles)-1].Location != path {
				t.Errorf("%q was added, but reads as %+v %v", name, cfg.Localfiles, problems)
			}
		} else if got != baseConf {
			t.Errorf("%q: refused (%s), but the file changed:\n%s", name, out, got)
		}
	}
	root := install(t)
	for _, d := range []string{"", "x", "-h.example", "a;b.example", "a b.example", "é.example", "x.example/", strings.Repeat("a.", 130) + "example"} {
		if code, out := run(root, "adddns", d); code != 1 || !strings.HasPrefix(out, "util.sh: Invalid domain: ") {
			t.Errorf("%q: %d %q", d, code, out)
		}
	}
	if got := content(t, root, "rules/local_rules.xml"); got != baseRules {
		t.Errorf("rules changed: %s", got)
	}
}

func TestWatchedDomainHasCommandAndRule(t *testing.T) {
	root := install(t)
	if code, out := run(root, "adddns", "Example.org"); code != 0 || out != "Domain example.org added to be monitored.\n" {
		t.Fatalf("%d %q", code, out)
	}
	if code, out := run(root, "addsite", "example.org"); code != 0 {
		t.Fatalf("%d %q", code, out)
	}
	if code, out := run(root, "adddns", "example.org"); code != 1 || out != "util.sh: Already configured for example.org\n" {
		t.Errorf("%d %q", code, out)
	}
	cfg, problems := config.Load(root, "etc/ossec.conf")
	if problems.Err() != nil || len(cfg.Localfiles) != 3 || cfg.Localfiles[1].Alias != "dns of example.org" || cfg.Localfiles[2].Format != "full_command" {
		t.Fatalf("%v %+v", problems, cfg.Localfiles)
	}
	doc, err := xmlconf.ReadFile("r", filepath.Join(root, "rules/local_rules.xml"))
	if err != nil {
		t.Fatal(err)
	}
	matches := map[string]string{}
	for _, n := range doc.All() {
		if id, ok := n.Attr("id"); ok && n.Name == "rule" {
			for _, m := range n.Children {
				if m.Name == "match" {
					matches[id] = m.Text
				}
			}
		}
	}
	if matches["150011"] != "^ossec: output: 'dns of example.org':" || matches["150012"] != "^ossec: output: 'site example.org':" {
		t.Errorf("%v", matches)
	}
}

func TestBrokenConfigurationIsLeftAlone(t *testing.T) {
	root := install(t)
	conf := filepath.Join(root, "etc/ossec.conf")
	if err := os.WriteFile(conf, []byte("<ossec_config><localfile>"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := run(root, "addfile", conf); code != 1 || !strings.Contains(out, "nothing added") || content(t, root, "etc/ossec.conf") != "<ossec_config><localfile>" {
		t.Errorf("%d %q", code, out)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"addfile"}, {"bogus", "x"}, {"adddns", "a.example", "x"}} {
		if code, out := run(install(t), args...); code != 1 || !strings.Contains(out, "addfile <filename> [<format>]") {
			t.Errorf("%v: %d %q", args, code, out)
		}
	}
	if code, out := run(t.TempDir(), "addfile", "/x"); code != 1 || out != "OSSEC Manager not found. Exiting...\n" {
		t.Errorf("%d %q", code, out)
	}
}
