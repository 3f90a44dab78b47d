package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vedette-hids/vedette/internal/vectors"
)

// testRoot makes the install root that the configuration vectors were recorded with, as far as it is looked at.
func testRoot(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for _, f := range []string{"rules/rules_config.xml", "rules/pam_rules.xml", "etc/decoder.xml", "agentless/ssh_integrity_check_linux"} {
		write(t, filepath.Join(root, f), "")
	}
	return root
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// noInvalid resolves every name but those below .invalid.
type noInvalid struct{}

func (noInvalid) LookupHost(_ context.Context, host string) ([]string, error) {
	if strings.HasSuffix(host, ".invalid") || strings.Contains(host, " ") {
		return nil, errors.New("no such host")
	}
	return []string{"127.0.0.1"}, nil
}

type daemonResult struct {
	Exit   *int     `json:"exit"`
	Output []string `json:"output"`
	ARConf *string  `json:"ar_conf"`

	Undefined bool `json:"undefined"` // the reference crashes: an error is wanted
}

type configCase struct {
	ID     string                  `json:"id"`
	Config *string                 `json:"config"`
	Expect map[string]daemonResult `json:"expect"`
}

// deviations of config_cases, by case and daemon ("" = all), with the reason.
var deviations = map[string]string{
	"cfg-066":             "Improve (3.1): elements of GeoIP builds are accepted with a warning",
	"cfg-067":             "Improve (3.1): elements of SQLite builds are accepted with a warning",
	"cfg-135":             "Improve (3.3): use_geoip is accepted with a warning",
	"cfg-090 ossec-maild": "Improve (outputs 10.1): SMTP AUTH and TLS are always supported; here the user is missing, so another error",
	"cfg-091 ossec-maild": "Improve (outputs 10.1): TLS is always supported",
	"cfg-095 ossec-maild": "Improve (outputs 10.1): TLS is always supported",
	"cfg-099 ossec-maild": "Improve (outputs 10.1): smtp_port is always supported",
	"cfg-105 ossec-maild": "Improve (outputs 10.1): SMTP AUTH is always supported",
	"cfg-096":             "refused as in the reference, which gives no message; here 1235",
	"cfg-097":             "as cfg-096",
	"cfg-098":             "as cfg-096",
	"cfg-155":             "Improve (2.3): <rules> sections add up, so rules_config.xml is not lost",
	"cfg-286":             "log_format json is an extension of ours, as docker and cri are",
	"cfg-307":             "Improve (3.8): a glob without match is never fatal",
	"cfg-480":             "as cfg-307",
	"cfg-482":             "as cfg-307",
	"cfg-448":             "database support depends on the build of the reference",
	"cfg-449":             "as cfg-448",
}

// closing is message 1202, which the reference writes twice, the second time for a part of a daemon.
var closing = regexp.MustCompile(`\(1202\): ERROR: Configuration error at '[^ ]*'`)

// secondClosing is message 1202 of programs that close with a message of their own after it.
var secondClosing = regexp.MustCompile(`ossec-agent(d|lessd)\(1202\)`)

// startLog are lines of a start, not of the configuration: they are compared with the typed values in TestStartValues.
var startLog = regexp.MustCompile(`: INFO: (Using notify time|Adding offenders timeout|Max time to reconnect)|SMTP server or 'email from' missing`)

// runDaemon gives exit status and messages of `<daemon> -t`.
func runDaemon(root, daemon, path string, cfg *Config, ps Problems) (exit int, fatal, all []string) {
	ps = append(slices.Clone(ps), CheckNames(context.Background(), cfg, noInvalid{})...)
	ps = ForDaemon(daemon, cfg, ps)
	for _, p := range ps.Errors() {
		fatal = append(fatal, p.LogText(daemon))
		exit = 1
	}
	return exit, fatal, ps.LogTexts(daemon, path)
}

func TestDaemonsAcceptAndRefuseWhatTheReferenceDoes(t *testing.T) {
	cases := vectors.Read[configCase](t, "config/config_cases.jsonl")
	if len(cases) != 491 {
		t.Fatalf("read %d cases, want 491", len(cases))
	}
	root := testRoot(t)
	for _, c := range cases {
		path := filepath.Join(root, "etc", "ossec.conf")
		var cfg *Config
		var ps Problems
		if c.Config == nil {
			path = filepath.Join(root, "etc", "absent.conf")
			cfg, ps = Load(root, path)
		} else {
			cfg, ps = Parse(root, path, []byte(*c.Config))
		}
		for daemon, want := range c.Expect {
			t.Run(c.ID+" "+daemon, func(t *testing.T) {
				if want.Undefined {
					if ps.Err() == nil {
						t.Error("accepted what makes the reference crash")
					}
					return
				}
				reason, deviates := deviations[c.ID]
				if r, ok := deviations[c.ID+" "+daemon]; ok {
					reason, deviates = r, true
				}
				diff := compareDaemon(root, daemon, path, cfg, ps, want)
				if deviates && diff == "" {
					t.Errorf("listed as deviation (%s) but agrees", reason)
				}
				if !deviates && diff != "" {
					t.Errorf("config %q:\n%s", *c.Config, diff)
				}
			})
		}
	}
}

// compareDaemon describes how one daemon's result differs from the reference, "" = not at all.
func compareDaemon(root, daemon, path string, cfg *Config, ps Problems, want daemonResult) string {
	exit, fatal, all := runDaemon(root, daemon, path, cfg, ps)
	var diff []string
	if want.Exit == nil || exit != *want.Exit {
		diff = append(diff, fmt.Sprintf("exit %d, want %v", exit, *want.Exit))
	}
	var wanted []string
	for _, line := range want.Output {
		line = strings.NewReplacer("<CONF>", path, "/var/ossec", root).Replace(line)
		if closing.MatchString(line) && slices.ContainsFunc(all, closing.MatchString) || secondClosing.MatchString(line) || startLog.MatchString(line) {
			continue
		}
		wanted = append(wanted, messageKey(line))
		if !slices.ContainsFunc(all, func(l string) bool { return messageKey(l) == messageKey(line) }) {
			diff = append(diff, "missing: "+line)
		}
	}
	for _, line := range fatal {
		if !slices.Contains(wanted, messageKey(line)) && !(daemon == "ossec-agentd" && strings.Contains(line, "(1215)")) {
			diff = append(diff, "not in the reference: "+line)
		}
	}
	if want.ARConf != nil && *want.ARConf != string(ARConf(cfg)) {
		diff = append(diff, cmp.Diff(*want.ARConf, string(ARConf(cfg))))
	}
	return strings.Join(diff, "\n")
}

var lineNumber = regexp.MustCompile(`\(line \d+\)`)

// messageKey is what of a message must match: all but the line in a file that does not exist, and the way a rules path is joined.
func messageKey(s string) string {
	if strings.Contains(s, "not found") {
		s = strings.ReplaceAll(lineNumber.ReplaceAllString(s, ""), "'/rules/", "'rules/")
	}
	if strings.Contains(s, "(1215)") {
		return s[strings.Index(s, "(1215)"):]
	}
	return s
}

func TestStartValues(t *testing.T) {
	root := testRoot(t)
	checked := 0
	for _, c := range vectors.Read[configCase](t, "config/config_cases.jsonl") {
		if c.Config == nil {
			continue
		}
		cfg, _ := Parse(root, "ossec.conf", []byte(*c.Config))
		for _, r := range c.Expect {
			var offenders []int
			for _, line := range r.Output {
				var a, b int
				_, msg, _ := strings.Cut(line, ": INFO: ")
				if n, _ := fmt.Sscanf(msg, "Using notify time: %d and max time to reconnect: %d", &a, &b); n == 2 {
					checked++
					if cfg.Client.NotifyTime != a || cfg.Client.TimeReconnect != b {
						t.Errorf("%s: times %d %d, want %d %d", c.ID, cfg.Client.NotifyTime, cfg.Client.TimeReconnect, a, b)
					}
				}
				if n, _ := fmt.Sscanf(msg, "Adding offenders timeout: %d (for", &a); n == 1 {
					offenders = append(offenders, a)
				}
			}
			if offenders != nil {
				checked++
				if d := cmp.Diff(offenders, cfg.AR.RepeatedOffenders); d != "" {
					t.Errorf("%s: repeated offenders:\n%s", c.ID, d)
				}
			}
		}
	}
	if checked < 15 {
		t.Fatalf("only %d values checked", checked)
	}
}

func TestResponseConfiguration(t *testing.T) {
	type vector struct {
		Name     string   `json:"name"`
		XML      string   `json:"response_xml"`
		Exit     int      `json:"exit_code"`
		Messages []string `json:"messages"`
		ARConf   string   `json:"ar_conf"`
	}
	for _, v := range vectors.Read[vector](t, "rules/response_config.jsonl") {
		t.Run(v.Name, func(t *testing.T) {
			cfg, ps := Parse("", "/var/ossec/etc/ossec.conf", []byte("<ossec_config>"+v.XML+"</ossec_config>"))
			ps = ps.For(Analysisd)
			exit := 0
			if ps.Err() != nil {
				exit = 1
			}
			if exit != v.Exit {
				t.Errorf("exit %d, want %d: %v", exit, v.Exit, ps)
			}
			if d := cmp.Diff(v.Messages, ps.Errors().LogTexts("ossec-analysisd", "/var/ossec/etc/ossec.conf"),
				cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(v.ARConf, string(ARConf(cfg))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSyscheckConfiguration(t *testing.T) {
	type vector struct {
		Name   string   `json:"name"`
		Config string   `json:"config"`
		Exit   int      `json:"exit_code"`
		Stderr []string `json:"stderr"`
	}
	for _, v := range vectors.Read[vector](t, "syscheck/config.jsonl") {
		t.Run(v.Name, func(t *testing.T) {
			cfg, ps := Parse(t.TempDir(), "ossec.conf", []byte("<ossec_config>"+v.Config+"</ossec_config>"))
			if d := compareDaemon("", "ossec-syscheckd", "ossec.conf", cfg, ps, daemonResult{Exit: &v.Exit, Output: v.Stderr}); d != "" {
				t.Error(d)
			}
		})
	}
}
