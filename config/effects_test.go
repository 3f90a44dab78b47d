package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vedette-hids/vedette/internal/vectors"
)

type effect struct {
	ID           string            `json:"id"`
	Kind         string            `json:"kind"`
	Daemon       string            `json:"daemon"`
	Note         string            `json:"note"`
	LocalOptions string            `json:"local_internal_options"`
	MainChange   string            `json:"main_change"`
	Config       string            `json:"config"`
	AgentConf    *string           `json:"agent_conf"`
	AgentInfo    *string           `json:"agent_info"`
	Applied      bool              `json:"block_applied"`
	Exit         *int              `json:"exit"`
	Output       []string          `json:"output"`
	Files        map[string]string `json:"files"`
	Lines        []string          `json:"lines"`
	Started      bool              `json:"started"`
	Undefined    bool              `json:"undefined"`
}

func effects(t *testing.T, kind string, count int) []effect {
	all := vectors.Read[effect](t, "config/config_effects.jsonl")
	all = slices.DeleteFunc(all, func(e effect) bool { return e.Kind != kind })
	if len(all) != count {
		t.Fatalf("%d cases of kind %s, want %d", len(all), kind, count)
	}
	return all
}

// mainOptions is an internal_options.conf with every key at its default.
func mainOptions(without string) string {
	var b strings.Builder
	for _, s := range OptionSpecs() {
		if s.Key != without {
			b.WriteString(s.Key + "=" + itoa(s.Default) + "\n")
		}
	}
	return b.String()
}

func TestInternalOptionsAreReadAsTheReferenceDoes(t *testing.T) {
	for _, e := range effects(t, "internal_options", 95) {
		t.Run(e.ID+" "+e.LocalOptions, func(t *testing.T) {
			root := t.TempDir()
			without := ""
			if e.MainChange != "" {
				without = "logcollector.loop_timeout"
			}
			write(t, filepath.Join(root, OptionsFile), mainOptions(without))
			write(t, filepath.Join(root, LocalOptionsFile), e.LocalOptions)
			opts, ps := LoadOptions(root)
			if e.ID == "eff-028" { // Improve (5.1): a key in neither file has a built-in default
				if ps.Err() != nil || opts.Int("logcollector.loop_timeout") != 2 {
					t.Errorf("missing key: %v, value %d", ps, opts.Int("logcollector.loop_timeout"))
				}
				return
			}
			got := ps.For(mustDaemon(t, e.Daemon))
			if (got.Err() != nil) != (*e.Exit != 0) {
				t.Errorf("exit %d, problems %v", *e.Exit, got)
			}
			for _, line := range e.Output {
				if line == "." { // end of the message before, which holds the newline of the file
					continue
				}
				line = strings.ReplaceAll(line, "/var/ossec", root)
				if strings.Contains(line, "(1119)") { // the reference shows what is left after cutting the line at dot and newline
					line = strings.TrimSuffix(line, ".")
				}
				if !slices.ContainsFunc(got, func(p Problem) bool { return strings.HasPrefix(p.LogText(e.Daemon), line) }) {
					t.Errorf("missing %q in %v", line, got)
				}
			}
		})
	}
}

func mustDaemon(t *testing.T, name string) Daemon {
	t.Helper()
	d, ok := ParseDaemon(name)
	if !ok {
		t.Fatalf("unknown daemon %s", name)
	}
	return d
}

func TestFirstValueOfAnOptionWinsAndLocalFileComesFirst(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, LocalOptionsFile), "syscheck.sleep=7\r\nsyscheck.sleep=8\n")
	write(t, filepath.Join(root, OptionsFile), "syscheck.sleep=9\nrootcheck.sleep=5\n")
	o, ps := LoadOptions(root)
	if len(ps) != 0 || o.Int("syscheck.sleep") != 7 || o.Int("rootcheck.sleep") != 5 || o.Int("maild.groupping") != 1 {
		t.Errorf("%v: %d %d", ps, o.Int("syscheck.sleep"), o.Int("rootcheck.sleep"))
	}
	if (*Options)(nil).Int("analysisd.fts_list_size") != 32 {
		t.Error("nil options have no defaults")
	}
	if err := o.Set("syscheck.sleep", 65); err == nil {
		t.Error("value out of range taken")
	}
}

func TestOptionsOfAnUnreadableFileAreAnError(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, OptionsFile), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, ps := LoadOptions(root); ps.Err() == nil {
		t.Error("a directory in place of internal_options.conf was not noticed")
	}
}

// linuxAgent is the system text of the host on which the agent.conf vectors were recorded.
const linuxAgent = "Linux agent1 6.1.0 #1 SMP x86_64 - OSSEC HIDS v4.2.0"

func TestAgentConfSelectsBlocksAsTheReferenceDoes(t *testing.T) {
	// The reference stops reading at a refused command; here only its block is left out (logcollector.md 6, Improve).
	readOn := map[string]bool{"eff-137": true}
	for _, e := range effects(t, "agent_conf", 50) {
		t.Run(e.ID+" "+e.Note, func(t *testing.T) {
			root := t.TempDir()
			write(t, filepath.Join(root, LocalOptionsFile), e.LocalOptions)
			if e.AgentConf != nil {
				write(t, filepath.Join(root, AgentConfFile), *e.AgentConf)
			}
			if e.AgentInfo != nil {
				write(t, filepath.Join(root, AgentInfoFile), *e.AgentInfo)
			}
			opts, ps := LoadOptions(root)
			if len(ps) != 0 {
				t.Fatal(ps)
			}
			who, _ := ReadAgentInfo(root, linuxAgent)
			cfg := newConfig("")
			ps = LoadAgentConf(root, who, cfg, opts)
			if ps.Err() != nil {
				t.Errorf("agent.conf prevents the start: %v", ps.Err())
			}
			lines := ps.LogTexts(e.Daemon, filepath.Join(root, AgentConfFile))
			applied := slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "'applied'") })
			if applied != (e.Applied || readOn[e.ID]) {
				t.Errorf("block applied: %v, want %v", applied, e.Applied)
			}
			for _, line := range e.Output {
				line = strings.ReplaceAll(line, "/var/ossec", root)
				if strings.Contains(line, "(1202)") || strings.Contains(line, "(1103)") || slices.Contains(lines, line) {
					continue // 1202: nothing exits; 1103: logged by the caller that reads .agent_info
				}
				t.Errorf("missing %q in %q", line, lines)
			}
			if len(e.Output) == 0 && len(lines) != 0 && !e.Undefined {
				t.Errorf("problems %q, want none", lines)
			}
		})
	}
}

func TestLocalfilesOfAgentConf(t *testing.T) {
	type vector struct {
		Name      string            `json:"name"`
		Config    string            `json:"config"`
		AgentConf *string           `json:"agent_conf"`
		AgentInfo *string           `json:"agent_info"`
		Options   map[string]string `json:"internal_options"`
		Oracle    struct {
			StartLog []string `json:"start_log"`
		} `json:"oracle"`
	}
	for _, v := range vectors.Read[vector](t, "logcollector/agent-conf.jsonl") {
		t.Run(v.Name, func(t *testing.T) {
			root := t.TempDir()
			if v.AgentConf != nil {
				write(t, filepath.Join(root, AgentConfFile), *v.AgentConf)
			}
			if v.AgentInfo != nil {
				write(t, filepath.Join(root, AgentInfoFile), *v.AgentInfo)
			}
			opts := &Options{}
			if v.Options["logcollector.remote_commands"] == "1" {
				if err := opts.Set("logcollector.remote_commands", 1); err != nil {
					t.Fatal(err)
				}
			}
			cfg, ps := Parse("", "ossec.conf", []byte("<ossec_config><client><server-ip>10.0.0.1</server-ip></client>"+v.Config+"</ossec_config>"))
			if ps.Err() != nil {
				t.Fatal(ps)
			}
			who, _ := ReadAgentInfo(root, linuxAgent)
			LoadAgentConf(root, who, cfg, opts)
			var got, want []string
			for _, l := range cfg.Localfiles {
				got = append(got, l.Location)
			}
			for _, l := range v.Oracle.StartLog {
				if _, file, ok := strings.Cut(l, "Analyzing file: '"); ok {
					want = append(want, strings.TrimSuffix(file, "'."))
				}
				if _, file, ok := strings.Cut(l, "Duplicated log file given: '"); ok {
					want = append(want, strings.TrimSuffix(file, "'."))
				}
				if _, cmd, ok := strings.Cut(l, "Monitoring output of command("); ok {
					want = append(want, cmd[strings.Index(cmd, ": ")+2:])
				}
			}
			if v.Name == "agent_remote_command_refused" { // only the block is left out (logcollector.md 6, Improve)
				want = append(want, "/var/log/app/b.log")
			}
			slices.Sort(got)
			slices.Sort(want)
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRulesFilesLoadInOrder(t *testing.T) {
	// Improve (2.3): sections add up, so nothing of an earlier one is lost. Improve (3.5): each rule_dir has its own pattern.
	improved := map[string][]string{
		"eff-151": {"rules/rules_config.xml", "rt/a.xml", "rt/b.xml"},
		"eff-155": {"rules/rules_config.xml", "rt/a.xml", "rt/b.xml"},
	}
	for _, e := range effects(t, "rules_order", 12) {
		t.Run(e.ID+" "+e.Note, func(t *testing.T) {
			root := testRoot(t)
			for name, text := range e.Files {
				write(t, filepath.Join(root, name), text)
			}
			if len(e.Files) == 0 { // the tree of the case before
				write(t, filepath.Join(root, "rt/a.xml"), "")
				write(t, filepath.Join(root, "rt/b.xml"), "")
			}
			cfg, ps := Parse(root, "ossec.conf", []byte("<ossec_config>"+e.Config+"</ossec_config>"))
			if (ps.Err() == nil) != e.Started {
				t.Fatalf("started %v, problems %v", e.Started, ps)
			}
			if !e.Started {
				return
			}
			want, decoders := []string(nil), []string(nil)
			for _, l := range e.Lines {
				if _, f, ok := strings.Cut(l, "Reading rules file: '"); ok {
					want = append(want, rulesPath(strings.TrimSuffix(f, "'")))
				}
				if _, f, ok := strings.Cut(l, "Reading decoder file "); ok {
					decoders = append(decoders, strings.TrimSuffix(f, "."))
				}
			}
			if better, ok := improved[e.ID]; ok {
				want = better
			}
			if d := cmp.Diff(want, cfg.Rules.Rules); d != "" {
				t.Error(d)
			}
			if decoders == nil {
				decoders = defaultFiles
			}
			if d := cmp.Diff(decoders, cfg.Rules.Decoders); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMonitoredDirectoriesAndOptions(t *testing.T) {
	checked := 0
	for _, e := range effects(t, "startup_log", 23) {
		if e.Daemon != "ossec-syscheckd" || strings.Contains(e.Note, "glob") || e.Note == "disabled" {
			continue
		}
		checked++
		cfg, ps := Parse("", "ossec.conf", []byte("<ossec_config>"+e.Config+"</ossec_config>"))
		if ps.Err() != nil {
			t.Fatal(e.ID, ps)
		}
		var got, want []string
		for _, d := range cfg.Syscheck.Directories {
			got = append(got, "Monitoring directory: '"+d.Path+"', with options "+d.Options()+".")
		}
		for _, p := range cfg.Syscheck.Ignore {
			got = append(got, "ignoring: '"+p+"'")
		}
		for _, p := range cfg.Syscheck.NoDiff {
			got = append(got, "No diff for file: '"+p+"'")
		}
		for _, l := range e.Output {
			_, text, _ := strings.Cut(l, ": INFO: ")
			if strings.HasPrefix(text, "Monitoring") || strings.HasPrefix(text, "ignoring") || strings.HasPrefix(text, "No diff") {
				want = append(want, text)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", e.ID, d)
		}
	}
	if checked < 9 {
		t.Fatalf("only %d cases checked", checked)
	}
}
