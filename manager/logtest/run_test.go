package logtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/manager/ruleset"
)

// transcript is one line of vectors/decoders/logtest.jsonl.
type transcript struct {
	Name, Decoders, Rules string
	LocalDecoders         *string `json:"local_decoders"`
	Options, Stdin        []string
	Exit                  int
	Stdout, Stderr        string
}

func eachLine(t *testing.T, path string, f func(data []byte)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sc := bufio.NewScanner(file)
	sc.Buffer(nil, 4<<20)
	for sc.Scan() {
		f(sc.Bytes())
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
}

// install makes a root with one decoder file and one rules file.
func install(t *testing.T, decoders, rules string) string {
	t.Helper()
	root := t.TempDir()
	write(t, root, "etc/ossec.conf", "<ossec_config><rules><include>t.xml</include></rules></ossec_config>\n")
	write(t, root, "etc/decoder.xml", decoders)
	write(t, root, "rules/t.xml", rules)
	return root
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

var (
	logTime   = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `)
	pid       = regexp.MustCompile(`pid: \d+`)
	epoch     = regexp.MustCompile(`(?m)^\*\* Alert \d+`)
	alertTime = regexp.MustCompile(`(?m)^\d{4} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d `)
)

// normal replaces what differs from run to run, as the vectors do.
func normal(text string) string {
	text = logTime.ReplaceAllString(text, "")
	text = pid.ReplaceAllString(text, "pid: N")
	text = epoch.ReplaceAllString(text, "** Alert @EPOCH@")
	return alertTime.ReplaceAllString(text, "@TIME@ ")
}

// run runs the tool on lines.
func run(root string, args []string, input string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Run(Env{Root: root, Args: args, Prog: "/var/ossec/bin/ossec-logtest", Stdin: strings.NewReader(input), Stdout: &out, Stderr: &errs})
	return code, out.String(), errs.String()
}

// improved are the differences that the specification asks for (decoders.md, 4.3): a decoder list without entries is no error, and the
// children of the other list have their parents' names as always.
var improved = map[string]*strings.Replacer{
	"only program_name decoders":         strings.NewReplacer("ossec-analysisd(2106): ERROR: Error adding decoder plugin.\n", "", "decoder: 'appd-login'", "decoder: 'appd'"),
	"only decoders without program_name": strings.NewReplacer("ossec-analysisd(2106): ERROR: Error adding decoder plugin.\n", ""),
}

func TestTranscripts(t *testing.T) {
	var all []transcript
	eachLine(t, "../../internal/testdata/spec/decoders/logtest.jsonl", func(data []byte) {
		var c transcript
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	})
	defaults := all[0]
	if len(all) < 30 {
		t.Fatalf("only %d cases", len(all))
	}
	for _, c := range all[1:] {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if c.Decoders == "" {
				c.Decoders = defaults.Decoders
			}
			if c.Rules == "" {
				c.Rules = defaults.Rules
			}
			root := install(t, c.Decoders, c.Rules)
			if c.LocalDecoders != nil {
				write(t, root, "etc/local_decoder.xml", *c.LocalDecoders)
			}
			var input strings.Builder
			for _, l := range c.Stdin {
				input.WriteString(l + "\n")
			}
			code, stdout, stderr := run(root, c.Options, input.String())
			if code != c.Exit {
				t.Errorf("exit %d, want %d", code, c.Exit)
			}
			if r := improved[c.Name]; r != nil {
				better := r.Replace(c.Stderr)
				if better == c.Stderr {
					t.Error("nothing was improved")
				}
				c.Stderr = better
			}
			local := ruleset.Short(ruleset.Hostname())
			if want := strings.ReplaceAll(c.Stdout, "@LOCAL@", local); normal(stdout) != want {
				t.Errorf("stdout %q\nwant   %q", normal(stdout), want)
			}
			if want := strings.ReplaceAll(c.Stderr, "@LOCAL@", local); normal(stderr) != want {
				t.Errorf("stderr %q\nwant   %q", normal(stderr), want)
			}
		})
	}
}

// TestToolOutputs checks -h, -V and unknown options; the vectors leave the free texts out.
func TestToolOutputs(t *testing.T) {
	seen := 0
	eachLine(t, "../../internal/testdata/spec/config/tool_outputs.jsonl", func(data []byte) {
		var c struct {
			ID, Tool       string
			Cmd            []string
			Exit           int
			Stdout, Stderr string
		}
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(err)
		}
		if c.Tool != "ossec-logtest" {
			return
		}
		seen++
		code, stdout, stderr := run(t.TempDir(), c.Cmd[1:], "")
		want := strings.NewReplacer("<USAGE>\n", "", "<LICENSE>\n", "", "OSSEC Foundation", "Vedette").Replace(c.Stderr)
		if code != c.Exit || stdout != c.Stdout || !strings.HasPrefix(stderr, strings.TrimSuffix(strings.Split(want, " - Vedette")[0], "\n")) || len(stderr) <= len(want) {
			t.Errorf("%s: exit %d, %q %q, want %d %q", c.ID, code, stdout, stderr, c.Exit, want)
		}
	})
	if seen != 3 {
		t.Errorf("%d cases", seen)
	}
}

const (
	smallDecoders = `<decoder name="appd"><program_name>^appd</program_name><regex>^(\S+) from (\S+)</regex><order>action, srcip</order></decoder>
<decoder name="x"><prematch>^zzz</prematch></decoder>`
	smallRules = `<group name="app,">
<rule id="1" noalert="1" level="0"><category>syslog</category><description>all logs</description></rule>
<rule id="100100" level="0"><if_sid>1</if_sid><decoded_as>appd</decoded_as><description>appd</description></rule>
<rule id="100101" level="5"><if_sid>100100</if_sid><action>deny</action><srcip>!10.0.0.0/8</srcip><description>denied</description></rule>
<rule id="100102" level="9" frequency="2" timeframe="60"><if_matched_sid>100101</if_matched_sid><same_source_ip/><description>many denied</description></rule>
<rule id="100103" level="3"><if_sid>100100</if_sid><check_diff/><description>changed</description></rule>
</group>`
	denied = "Jan  1 10:00:00 h appd: deny from 192.0.2.7\n"
)

func TestExplainNamesTheConditionThatFails(t *testing.T) {
	root := install(t, smallDecoders, smallRules)
	_, _, stderr := run(root, []string{"--explain=100101"}, "Jan  1 10:00:00 h appd: deny from 10.1.2.3\n")
	for _, want := range []string{"rule 1 (level 0) matches", "    rule 100100 (level 0) matches", `rule 100101 (level 5) does not match: <srcip> "!10.0.0.0/8", the event has "10.1.2.3"`} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	_, _, stderr = run(root, []string{"--explain=100101"}, "no decoder here\n")
	for _, want := range []string{"rule 100100 (level 0) does not match: <decoded_as>", "rule 100101 was not tried: it is a child of 100100"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	_, _, stderr = run(root, []string{"--explain=100102"}, denied)
	if !strings.Contains(stderr, "0 of 3 earlier events within 60 seconds") {
		t.Errorf("no progress of the correlation in\n%s", stderr)
	}
	_, _, stderr = run(root, []string{"--explain=100103"}, denied)
	if !strings.Contains(stderr, "rule 100103 was not tried: rule 100101 comes before it and took the event") {
		t.Error(stderr)
	}
	_, _, stderr = run(root, []string{"--explain=7"}, denied)
	if !strings.Contains(stderr, "rule 7 is not loaded") {
		t.Error(stderr)
	}
	_, _, stderr = run(root, []string{"--explain"}, denied)
	if !strings.Contains(stderr, "**Rule explanation:\n    1 (level 0) matches: all logs\n      100100 (level 0) matches: appd\n") {
		t.Error(stderr)
	}
	if code, _, stderr := run(root, []string{"--explain=x"}, ""); code != 1 || !strings.Contains(stderr, `"x" is not a rule id`) {
		t.Error(code, stderr)
	}
}

func TestJSONHasOneObjectPerEvent(t *testing.T) {
	root := install(t, smallDecoders, smallRules)
	code, stdout, _ := run(root, []string{"--json", "--explain", "-v"}, denied+"nothing\n")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != 0 || len(lines) != 2 {
		t.Fatalf("exit %d, %d lines: %s", code, len(lines), stdout)
	}
	var first, second Result
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(lines[1]), &second); err != nil {
		t.Fatal(err)
	}
	if first.Rule == nil || first.Rule.ID != 100101 || !first.Alert || first.Decoder.Name != "appd" || first.Fields["srcip"] != "192.0.2.7" ||
		first.Rule.File != "rules/t.xml" || first.Rule.Line != 4 || first.Tried[0] != 1 || len(first.Explanation) != 1 || *first.ProgramName != "appd" {
		t.Errorf("%s", lines[0])
	}
	if second.Rule != nil || second.Decoder != nil || second.Alert || second.ProgramName != nil || second.Reason == "" {
		t.Errorf("%s", lines[1])
	}
}

func TestTestingChangesNothingInTheRoot(t *testing.T) {
	root := install(t, smallDecoders, smallRules)
	write(t, root, "queue/diff/h/100103/last-entry", "allow from 192.0.2.1\x00")
	_, _, stderr := run(root, nil, "Jan  1 10:00:00 h appd: allow from 192.0.2.2\nJan  1 10:00:00 h appd: allow from 192.0.2.2\n")
	if n := strings.Count(stderr, "Rule id: '100103'"); n != 1 {
		t.Errorf("check_diff matched %d times, want once: the text differs from the manager's, then it is the same\n%s", n, stderr)
	}
	data, err := os.ReadFile(filepath.Join(root, "queue/diff/h/100103/last-entry"))
	if err != nil || string(data) != "allow from 192.0.2.1\x00" {
		t.Errorf("the manager's text was changed: %q %v", data, err)
	}
	if entries, err := os.ReadDir(filepath.Join(root, "queue")); err != nil || len(entries) != 1 {
		t.Errorf("queue: %v %v", entries, err)
	}
}

func TestKeysOfTheManagerAreNotNew(t *testing.T) {
	decoders := `<decoder name="appd"><program_name>^appd</program_name><regex>^(\S+)</regex><order>srcip</order><fts>name, srcip</fts></decoder>
<decoder name="x"><prematch>^zzz</prematch></decoder>`
	rules := `<group name="a,"><rule id="1" level="0"><category>syslog</category><description>d</description></rule>
<rule id="100100" level="4"><if_sid>1</if_sid><if_fts/><description>new</description></rule></group>`
	root := install(t, decoders, rules)
	write(t, root, "queue/fts/fts-queue", "appd    192.0.2.1    \n")
	_, _, stderr := run(root, nil, "Jan  1 10:00:00 h appd: 192.0.2.1\nJan  1 10:00:00 h appd: 192.0.2.2\n")
	if n := strings.Count(stderr, "Rule id: '100100'"); n != 1 {
		t.Errorf("%d events are new, want 1\n%s", n, stderr)
	}
}

func TestProblemsHaveTheirPlaceWithDebug(t *testing.T) {
	root := install(t, smallDecoders, strings.Replace(smallRules, "<action>deny</action>", "<bogus>deny</bogus>", 1))
	code, _, stderr := run(root, []string{"-t"}, "")
	want := "ossec-testrule: INFO: Reading local decoder file.\nossec-analysisd: Invalid option 'bogus' for rule '100101'.\nossec-testrule(1220): ERROR: Error loading the rules: 't.xml'.\n"
	if got := normal(stderr); code != 1 || !strings.HasPrefix(got, want[:len(want)/2]) || !strings.HasSuffix(got, "Error loading the rules: 't.xml'.\n") {
		t.Errorf("exit %d\n%s\nwant %s", code, got, want)
	}
	_, _, stderr = run(root, []string{"-t", "-d"}, "")
	if !strings.Contains(stderr, "rules/t.xml:4: Invalid option 'bogus'") {
		t.Error(stderr)
	}
}

func TestMissingConfiguration(t *testing.T) {
	code, stdout, stderr := run(t.TempDir(), nil, "x y\n")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "ossec-testrule(1226): ERROR: Error reading XML file") ||
		!strings.Contains(stderr, "ossec-testrule(1202): ERROR: Configuration error at") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestConfigurationOptionIsAPathOfTheCaller(t *testing.T) {
	root := install(t, smallDecoders, smallRules)
	other := filepath.Join(t.TempDir(), "other.conf")
	if err := os.Rename(filepath.Join(root, "etc/ossec.conf"), other); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run("/nonexistent", []string{"-D", root, "-c", other, "-t"}, ""); code != 0 {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestEventsAppearWhileTheInputWaits is about interactive use: what belongs to a line is there before the next line is read.
func TestEventsAppearWhileTheInputWaits(t *testing.T) {
	root := install(t, smallDecoders, smallRules)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	er, ew, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int)
	go func() {
		code := Run(Env{Root: root, Stdin: r, Stdout: &bytes.Buffer{}, Stderr: ew})
		ew.Close()
		done <- code
	}()
	if _, err := w.WriteString(denied); err != nil {
		t.Fatal(err)
	}
	er.SetReadDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // the pipe takes one
	sc := bufio.NewScanner(er)
	for sc.Scan() && !strings.Contains(sc.Text(), "Alert to be generated") {
	}
	if sc.Err() != nil {
		t.Error("nothing to be seen: ", sc.Err())
	}
	w.Close()
	for sc.Scan() {
	}
	if code := <-done; code != 0 {
		t.Error("exit", code)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte(denied))
	f.Add([]byte("a\x00b\n\n\xff\xfe c\n"))
	dir := f.TempDir()
	for name, text := range map[string]string{"etc/ossec.conf": "<ossec_config><rules><include>t.xml</include></rules></ossec_config>", "etc/decoder.xml": smallDecoders, "rules/t.xml": smallRules} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var out, errs bytes.Buffer
		if code := Run(Env{Root: dir, Args: []string{"--json"}, Stdin: bytes.NewReader(data), Stdout: &out, Stderr: &errs}); code != 0 {
			t.Fatalf("exit %d: %s", code, errs.String())
		}
		for l := range bytes.Lines(out.Bytes()) {
			if !json.Valid(l) {
				t.Fatalf("not JSON: %q", l)
			}
		}
	})
}

// TestNULHidesNothing is about a byte that ends a text in C: what follows it is analysed, as the manager does.
func TestNULHidesNothing(t *testing.T) {
	root := install(t, smallDecoders, smallRules)
	const line = "Jan  1 10:00:00 h appd: deny from 192.0.2.7\n"
	_, _, want := run(root, []string{"-q"}, line)
	_, _, got := run(root, []string{"-q"}, strings.Replace(line, "deny", "\x00de\x00ny", 1))
	if !strings.Contains(want, "Rule id: '100101'") || normal(got) != normal(want) {
		t.Errorf("%s\nwithout NUL:\n%s", got, want)
	}
}
