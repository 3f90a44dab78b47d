//go:build unix

package rootcheck

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/vectors"
)

// recorder is a sink that keeps what it gets.
type recorder struct{ texts []string }

func (r *recorder) Send(ctx context.Context, m event.Message) error {
	if m.Kind != event.KindRootcheck || m.Location != "rootcheck" {
		panic("not a rootcheck message: " + m.String())
	}
	r.texts = append(r.texts, m.Text)
	return ctx.Err()
}

// findings are the texts between the marks.
func (r *recorder) findings(t *testing.T) []string {
	t.Helper()
	n := len(r.texts)
	if n < 2 || r.texts[0] != "Starting rootcheck scan." || r.texts[n-1] != "Ending rootcheck scan." {
		t.Fatalf("no marks: %q", r.texts)
	}
	return r.texts[1 : n-1]
}

// scan runs one scan and gives the findings and the log lines without time stamps.
func scan(t *testing.T, cfg *config.Rootcheck, o Options) (findings, lines []string) {
	t.Helper()
	logger := olog.New("", nil)
	logger.Tap(func(line string) { lines = append(lines, line[len("2006/01/02 15:04:05 "):]) })
	logger.SetDebug(1)
	rec := &recorder{}
	o.Settle = -1
	s, err := New(cfg, rec, logger.Prog("rootcheck"), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rec.findings(t), lines
}

// op is one operation that builds a tree.
type op struct {
	Op, Path, Content, Hex, Mode, Target, To string
	UID, GID                                 int
}

func (o op) run(t *testing.T, move func(string) string) {
	t.Helper()
	path := move(o.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	mode := os.FileMode(0o644)
	if o.Mode != "" {
		m, err := strconv.ParseUint(o.Mode, 8, 32)
		if err != nil {
			t.Fatal(err)
		}
		mode = os.FileMode(m)
	}
	var err error
	switch o.Op {
	case "write":
		if err = os.WriteFile(path, []byte(move(o.Content)), 0o600); err == nil {
			err = syscall.Chmod(path, uint32(mode))
		}
	case "mkdir":
		err = os.MkdirAll(path, 0o755)
	case "symlink":
		err = os.Symlink(o.Target, path)
	case "fifo":
		err = syscall.Mkfifo(path, 0o644)
	case "chardev":
		err = syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|3)
	case "chmod":
		err = syscall.Chmod(path, uint32(mode))
	case "chown":
		err = os.Lchown(path, o.UID, o.GID)
	default:
		t.Fatalf("operation %q", o.Op)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the trees hold files of several owners and devices")
	}
}

// parseConfig reads a <rootcheck> block.
func parseConfig(t *testing.T, block string) *config.Rootcheck {
	t.Helper()
	cfg, problems := config.Parse(t.TempDir(), "ossec.conf", []byte("<ossec_config>"+block+"</ossec_config>"))
	if err := problems.Err(); err != nil || cfg.Rootcheck == nil {
		t.Fatal(err)
	}
	return cfg.Rootcheck
}

// treeVector is a tree and what the checks find in it.
type treeVector struct {
	Name, Config string
	Initial      []op
	Findings     []string
	LogLines     []string `json:"log_lines"`
}

// TestTrees runs the checks that look at files against the recorded trees.
func TestTrees(t *testing.T) {
	needRoot(t)
	for _, name := range []string{"agent_rootkit_files.jsonl", "agent_rootkit_trojans.jsonl", "agent_dev.jsonl", "agent_sys.jsonl"} {
		for _, v := range vectors.Read[treeVector](t, "rootcheck/"+name) {
			t.Run(v.Name, func(t *testing.T) {
				if v.Name == "dev_real_root" {
					t.Skip("needs a /dev of its own: TestRealDev")
				}
				srv := t.TempDir()
				move := func(s string) string { return strings.ReplaceAll(s, "/srv/", srv+"/") }
				for _, o := range v.Initial {
					o.run(t, move)
				}
				got, lines := scan(t, parseConfig(t, move(v.Config)), Options{})
				compare(t, got, v.Findings, move)
				for _, want := range v.LogLines {
					_, text, _ := strings.Cut(move(want), ": ") // the program's name is the caller's
					if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasSuffix(l, ": "+text) }) {
						t.Errorf("log has no %q: %q", want, lines)
					}
				}
			})
		}
	}
}

// compare compares findings as sets.
func compare(t *testing.T, got, want []string, move func(string) string) {
	t.Helper()
	var moved []string
	for _, w := range want {
		moved = append(moved, move(w))
	}
	slices.Sort(moved)
	got = slices.Sorted(slices.Values(got))
	if !slices.Equal(got, moved) {
		t.Errorf("findings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(moved, "\n"))
	}
}

// improved are the policies whose recorded result is a flaw of OSSEC, with the better result.
var improved = map[string]struct {
	why      string
	findings []string
}{
	"f_comma_second_only":          {allPaths, []string{"System Audit: N. File: /srv/t/two."}},
	"f_comma_third_only":           {allPaths, []string{"System Audit: N. File: /srv/t/three."}},
	"f_comma_middle_of_three":      {allPaths, []string{"System Audit: N. File: /srv/t/two."}},
	"f_comma_pattern_second":       {allPaths, []string{"System Audit: N. File: /srv/t/two."}},
	"var_comma_list_second":        {allPaths, []string{"System Audit: N. File: /srv/t/two."}},
	"var_comma_list_used_twice":    {allPaths, []string{"System Audit: N. File: /srv/t/two.", "System Audit: M. File: /srv/t/one.", "System Audit: O. File: /srv/t/one."}},
	"f_pattern_and_space_in_first": {"5.5: split at every \" && \"", []string{"System Audit: N. File: /srv/t/sshd_config."}},
	"f_missing_semicolon":          {nextEntry, []string{"System Audit: N2. File: /srv/t/two."}},
	"none_condition":               {nextEntry, []string{"System Audit: M. File: /srv/t/one."}},
	"bad_condition":                {nextEntry, []string{"System Audit: M. File: /srv/t/one."}},
	"bad_condition_second_entry":   {nextEntry, []string{"System Audit: M. File: /srv/t/one.", "System Audit: O. File: /srv/t/one."}},
	"var_no_equals":                {nextEntry, []string{"System Audit: N. File: /srv/t/one."}},
	"c_command_unsupported":        {nextEntry, []string{"System Audit: M. File: /srv/t/one."}},
	"unknown_type":                 {nextEntry, []string{"System Audit: M. File: /srv/t/one."}},
	"entry_before_header":          {nextEntry, []string{"System Audit: N. File: /srv/t/one."}},
}

const (
	allPaths  = "5.3: all paths of a list are tested"
	nextEntry = "15: a syntax error is reported with its line, and the next entry goes on"
)

// policyVector is a policy and what it finds in the tree of agent_rcl_tree.jsonl.
type policyVector struct {
	Name, Policy string
	Findings     []string
}

func TestPolicies(t *testing.T) {
	srv := t.TempDir()
	move := func(s string) string { return strings.ReplaceAll(s, "/srv/", srv+"/") }
	for _, v := range vectors.Read[struct{ Files []op }](t, "rootcheck/agent_rcl_tree.jsonl") {
		for _, o := range v.Files {
			o.run(t, move)
		}
	}
	proc := fakeProc(t, map[int][2]string{1: {"init", "/sbin/init"}, 300: {"fimtestd", "/opt/fimtestd"}})
	used := 0
	for _, v := range vectors.Read[policyVector](t, "rootcheck/agent_rcl.jsonl") {
		t.Run(v.Name, func(t *testing.T) {
			if better, ok := improved[v.Name]; ok {
				if slices.Equal(v.Findings, better.findings) {
					t.Errorf("no improvement: %s", better.why)
				}
				v.Findings = slices.Clone(better.findings)
				used++
			}
			file := filepath.Join(t.TempDir(), "policy.txt")
			if err := os.WriteFile(file, []byte(move(v.Policy)), 0o644); err != nil {
				t.Fatal(err)
			}
			got, lines := scan(t, &config.Rootcheck{CheckUnixAudit: true, SystemAudit: []string{file}}, Options{proc: proc})
			if strings.HasPrefix(v.Name, "d_") || strings.HasSuffix(v.Name, "_d") || v.Name == "same_file_twice_dedup" {
				checkDirectoryOrder(t, got, v.Findings, move)
				return
			}
			for i := range v.Findings {
				v.Findings[i] = move(v.Findings[i])
			}
			if !slices.Equal(got, v.Findings) {
				t.Errorf("findings:\n%s\nwant:\n%s\nlog: %q", strings.Join(got, "\n"), strings.Join(v.Findings, "\n"), lines)
			}
		})
	}
	if used != len(improved) {
		t.Errorf("%d of %d improvements met", used, len(improved))
	}
}

// checkDirectoryOrder compares findings whose order is that of a directory. A single message for several files names any of them.
func checkDirectoryOrder(t *testing.T, got, want []string, move func(string) string) {
	t.Helper()
	if len(want) == 1 && len(got) == 1 && strings.HasPrefix(want[0], "System Audit: N. File: /srv/t/d/") && got[0] != move(want[0]) {
		if !strings.HasPrefix(got[0], move("System Audit: N. File: /srv/t/d/")) {
			t.Errorf("got %q, want %q", got, want)
		}
		return
	}
	compare(t, got, want, move)
}

// fakeProc makes a /proc of processes with command names and programs.
func fakeProc(t *testing.T, processes map[int][2]string) string {
	t.Helper()
	proc := t.TempDir()
	for pid, p := range processes {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "comm"), []byte(p[0]+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(p[1], filepath.Join(dir, "exe")); err != nil {
			t.Fatal(err)
		}
	}
	return proc
}

func policyFindings(t *testing.T, text string, o Options) (findings, lines []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.txt")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return scan(t, &config.Rootcheck{CheckUnixAudit: true, SystemAudit: []string{file}}, o)
}

func TestProcessTestKnowsTheProgramsPath(t *testing.T) {
	proc := fakeProc(t, map[int][2]string{7: {"verylongcommand", "/usr/sbin/verylongcommandname (deleted)"}})
	got, _ := policyFindings(t, "[N] [any] []\np:/usr/sbin/verylongcommandname;\n", Options{proc: proc})
	if want := []string{"System Audit: N. Process: verylongcommand."}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestSyntaxErrorInRequiredEntryEndsTheFile(t *testing.T) {
	for _, policy := range []string{
		"[R] [any required] [] \nf:/;\n[N] [any] []\nf:/etc/;\n",
		"[R] [any required] []\nz:/;\n[N] [any] []\nf:/etc/;\n",
	} {
		if got, lines := policyFindings(t, policy, Options{}); len(got) > 0 || len(lines) == 0 {
			t.Errorf("%q: %q, %q", policy, got, lines)
		}
	}
}

func TestSyntaxErrorsNameFileAndLine(t *testing.T) {
	_, lines := policyFindings(t, "# c\n\n[N] [some] []\nf:/;\n[M] [any] []\nc:ls;\n", Options{})
	var errs []string
	for _, l := range lines {
		if strings.Contains(l, "ERROR") {
			errs = append(errs, l)
		}
	}
	if len(errs) != 2 || !strings.HasPrefix(errs[0], "rootcheck(1251): ERROR: Invalid rk configuration name: 'N'. File: ") ||
		!strings.HasSuffix(errs[0], "policy.txt, line 3.") ||
		!strings.HasPrefix(errs[1], "rootcheck(1252): ERROR: Invalid rk configuration value: 'c:ls;'. File: ") || !strings.HasSuffix(errs[1], "line 6.") {
		t.Errorf("%q", errs)
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := New(config.DefaultRootcheck(), event.SinkFunc(func(ctx context.Context, m event.Message) error { cancel(); return nil }), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := s.Scan(ctx); err == nil {
		t.Error("no error")
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add("$v=/a,/b;\n[N] [any required] [ref]\nf:$v -> r:x && !r:y;\nd:/etc -> r:^a$ -> =:x;\np:!r:init;\nr:KEY;\n")
	f.Add("[N] [all] []\n!f:!/x;\n[")
	f.Fuzz(func(t *testing.T, text string) {
		p, _ := parsePolicy(text)
		for _, e := range p.entries {
			for _, test := range e.tests {
				if test.pattern != nil {
					test.pattern.matches(text)
				}
			}
		}
	})
}

func FuzzDatabases(f *testing.F) {
	f.Add("usr/share/.x ! Name ::link\n*/.y ! Z\n", "bin\x00\x01/dev/xyz\x00")
	f.Add("ls !a|b!msg\n", "abcd")
	f.Fuzz(func(t *testing.T, text, program string) {
		for _, r := range parseRootkitFiles(text) {
			if r.path == "" || r.name == "" {
				t.Fatalf("%+v", r)
			}
		}
		for _, tr := range parseTrojans(text) {
			if tr.file == "" || tr.pattern == "" || tr.message == "" {
				t.Fatalf("%+v", tr)
			}
		}
		netstatPorts(text, "tcp")
	})
}
