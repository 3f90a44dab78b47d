package logcollector

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// scenario is one record of vectors/logcollector/scenarios.jsonl; the README there describes the members.
type scenario struct {
	Name     string            `json:"name"`
	Conform  string            `json:"conform"`
	Config   string            `json:"config"`
	Internal map[string]string `json:"internal_options"`
	Setup    []operation       `json:"setup"`
	Steps    []operation       `json:"steps"`
	Improved []wanted          `json:"improved_messages"`

	AgentConf *string `json:"agent_conf"`
	AgentInfo *string `json:"agent_info"`

	Oracle struct {
		Exit     *int     `json:"exit"`
		Log      []string `json:"log"`
		StartLog []string `json:"start_log"`
		Steps    []struct {
			Messages []wanted `json:"messages"`
			Log      []string `json:"log"`
			Exit     *int     `json:"exit"`
		} `json:"steps"`
	} `json:"oracle"`
}

type operation struct {
	Op     string  `json:"op"`
	Path   string  `json:"path"`
	To     string  `json:"to"`
	Data   *string `json:"data"`
	B64    []byte  `json:"data_b64"`
	Repeat int     `json:"repeat"`
	Tail   string  `json:"tail"`
	Size   int64   `json:"size"`
	S      int     `json:"s"`
	N      int     `json:"n"`
}

// wanted is an expected message, reduced to one comparable text.
type wanted string

func (w *wanted) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		*w = wanted(s)
		return nil
	}
	var o struct {
		B64    []byte `json:"b64"`
		Len    int    `json:"len"`
		Head   string `json:"head"`
		SHA256 string `json:"sha256"`
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	if o.B64 != nil {
		*w = wanted(o.B64)
		return nil
	}
	*w = wanted(o.Head[:strings.LastIndexByte(o.Head[:40], ':')+1] + "sha256 " + o.SHA256)
	return nil
}

// comparable gives a message the form of wanted.
func comparable(s string) string {
	if len(s) > 2000 {
		sum := sha256.Sum256([]byte(s))
		return s[:strings.LastIndexByte(s[:40], ':')+1] + "sha256 " + hex.EncodeToString(sum[:])
	}
	return s
}

const vectorDir = "/var/log/app"

// theatre plays a scenario on a clock of its own.
type theatre struct {
	t      *testing.T
	dir    string
	now    time.Time
	c      *Collector
	mu     sync.Mutex // commands send beside files
	got    []string
	log    bytes.Buffer
	refuse int // sends that fail
	down   bool
}

func (th *theatre) Send(_ context.Context, m event.Message) error {
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.down || th.refuse > 0 {
		th.refuse--
		return errors.New("receiver gone")
	}
	if m.Location == "ossec-keepalive" {
		if !strings.HasPrefix(m.Text, "--MARK--: ") || len(m.Text) > 689 {
			th.t.Errorf("keepalive %q", m.Text)
		}
		return nil
	}
	m.Location = strings.ReplaceAll(m.Location, th.dir, vectorDir)
	m.Text = strings.ReplaceAll(m.Text, th.dir, vectorDir)
	th.got = append(th.got, comparable(m.String()))
	return nil
}

func (th *theatre) path(p string) string { return strings.Replace(p, vectorDir, th.dir, 1) }

func (th *theatre) do(op operation) {
	path := th.path(op.Path)
	var err error
	switch op.Op {
	case "write", "append":
		data := op.B64
		if op.Data != nil {
			data = []byte(strings.Repeat(*op.Data, max(1, op.Repeat)) + op.Tail)
		}
		flag := os.O_WRONLY | os.O_CREATE | os.O_APPEND
		if op.Op == "write" {
			flag = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
		}
		var f *os.File
		if f, err = os.OpenFile(path, flag, 0o640); err == nil {
			_, err = f.Write(data)
			f.Close()
		}
	case "rename":
		err = os.Rename(path, th.path(op.To))
	case "copy":
		var data []byte
		if data, err = os.ReadFile(path); err == nil {
			err = os.WriteFile(th.path(op.To), data, 0o640)
		}
	case "truncate":
		err = os.Truncate(path, op.Size)
	case "unlink":
		err = os.Remove(path)
	case "mkdir":
		err = os.Mkdir(path, 0o750)
	case "advance":
		th.now = th.now.Add(time.Duration(op.S) * time.Second)
	case "queue_restart":
		th.refuse = 1
	case "queue_down":
		th.down = true
	case "tick":
		for range op.N {
			th.tick()
		}
	default:
		th.t.Fatalf("operation %q", op.Op)
	}
	if err != nil {
		th.t.Fatal(err)
	}
}

// tick is one pass of the reference's loop. Its pause is long enough for our wait for lines that belong to an open event.
func (th *theatre) tick() {
	th.now = th.now.Add(th.c.opts.Poll)
	err := th.c.pass()
	for try := 0; err != nil && try < 2; try++ { // the supervisor starts again; what was not delivered is read again
		th.c.end() //nolint:errcheck // in memory
		th.c.err = nil
		th.c.begin()
		err = th.c.pass()
	}
	th.c.work.Wait()
	th.now = th.now.Add(settle)
	th.c.quietAll()
	th.now = th.now.Add(-settle)
}

// play returns the messages of the steps, by location, and the log of the start.
func play(t *testing.T, s scenario) (*theatre, config.Problems) {
	th := &theatre{t: t, dir: t.TempDir(), now: time.Unix(1700000000, 0).UTC()}
	for _, op := range s.Setup {
		th.do(op)
	}
	client := ""
	if s.AgentInfo != nil || s.AgentConf != nil {
		client = "<client><server-ip>10.0.0.1</server-ip></client>"
	}
	cfg, ps := config.Parse("", "ossec.conf", []byte("<ossec_config>"+client+strings.ReplaceAll(s.Config, vectorDir, th.dir)+"</ossec_config>"))
	if ps.Err() != nil {
		return th, ps
	}
	th.mergeAgentConf(s, cfg)
	poll := 2 * time.Second
	if s.Internal["logcollector.loop_timeout"] == "5" {
		poll = 5 * time.Second
	}
	log := olog.New("", &th.log)
	log.SetClock(func() time.Time { return th.now })
	for _, p := range ps.Warnings() {
		io.WriteString(&th.log, "0000/00/00 00:00:00 "+p.LogText("ossec-logcollector")+"\n") //nolint:errcheck // memory
	}
	var err error
	th.c, err = New(cfg.Localfiles, th, log.Prog("ossec-logcollector"), Options{Poll: poll, Now: func() time.Time { return th.now }, Hostname: "<host>"})
	if err != nil {
		t.Fatal(err)
	}
	th.c.ctx = t.Context()
	th.c.begin()
	t.Cleanup(func() { th.c.end() }) //nolint:errcheck // in memory
	return th, ps
}

// mergeAgentConf adds what the manager gave an agent.
func (th *theatre) mergeAgentConf(s scenario, cfg *config.Config) {
	root := th.t.TempDir()
	for name, text := range map[string]*string{config.AgentConfFile: s.AgentConf, config.AgentInfoFile: s.AgentInfo} {
		if text == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o750); err != nil {
			th.t.Fatal(err)
		}
		put(th.t, filepath.Join(root, name), strings.ReplaceAll(*text, vectorDir, th.dir))
	}
	opts := &config.Options{}
	if s.Internal["logcollector.remote_commands"] == "1" {
		if err := opts.Set("logcollector.remote_commands", 1); err != nil {
			th.t.Fatal(err)
		}
	}
	who, _ := config.ReadAgentInfo(root, "Linux ag1 6.1 x x86_64 - OSSEC HIDS v4.3.0")
	config.LoadAgentConf(root, who, cfg, opts)
}

// byLocation sorts messages into one list for each location, as different files may be read in any order.
func byLocation(messages []string, notices bool) map[string][]string {
	m := map[string][]string{}
	for _, s := range messages {
		loc, _, _ := strings.Cut(s[2:], ":")
		if loc == "ossec-keepalive" || (loc == "ossec-logcollector" && !notices) {
			continue
		}
		m[loc] = append(m[loc], s)
	}
	return m
}

func (s scenario) recorded() []string {
	var all []string
	for _, step := range s.Oracle.Steps {
		for _, m := range step.Messages {
			all = append(all, string(m))
		}
	}
	return all
}

// deviation is what we send instead of what was recorded, and why.
type deviation struct {
	reason string
	want   []string
}

const a = "1:" + vectorDir + "/a.log:"

var cut5887 = strings.Repeat("A", 5887)

// deviations from records without improved_messages, and from "exact" ones of which the specification says "Improve:".
var deviations = map[string]deviation{
	"syslog_long_5887": {"13.1: no trailing blank, no empty event", []string{"1:/var/log/app/a.log:ZZZZZZZZZZZZZZZZZZZZ", a + cut5887, a + "after"}},
	"syslog_long_5888": {"13.1: no trailing blank; later pieces are marked", []string{a + "ZZZZZZZZZZZZZZZZZZZZ", a + cut5887, a + "[continued] A", a + "after"}},
	"syslog_long_6000": {"13.1", []string{a + "ZZZZZZZZZZZZZZZZZZZZ", a + cut5887, a + "[continued] " + strings.Repeat("A", 113), a + "after"}},
	"syslog_long_12000": {"13.1", []string{a + "ZZZZZZZZZZZZZZZZZZZZ", a + cut5887, a + "[continued] " + cut5887,
		a + "[continued] " + strings.Repeat("A", 226), a + "after"}},
	"size_recorded_at_check_only": {"10: checked on every pass, read from the start after truncation",
		[]string{a + "line1", a + "line2", a + "line3", "1:ossec-logcollector:ossec: File size reduced (inode remained): '/var/log/app/a.log'.", a + "q"}},
	"missing_at_start_second_file": {"9: retried for ever, read from its beginning", []string{a + "first", "1:/var/log/app/b.log:b1"}},
	"missing_at_start_freq":        {"9: a file that appears after the start is read from its beginning", []string{a + "first", a + "second"}},
	"glob_match": {"12: new matches are found and read from their beginning",
		[]string{a + "a1", "1:/var/log/app/b.log:b1", "1:/var/log/app/c.log:c1", "1:/var/log/app/c.log:c2"}},
	"fmt_mysql_log": {"13.2: a begun line is held until its end", []string{
		"a:/var/log/app/a.log:MySQL log: 070823 21:01:30 1 Connect     root@localhost on test",
		"a:/var/log/app/a.log:MySQL log: 070823 21:01:30 2 Query       show tables",
		"a:/var/log/app/a.log:MySQL log: 070823 21:01:31 mysqld started",
		"a:/var/log/app/a.log:MySQL log: 070823 21:01:32 partial end of it"}},
	"fmt_multiline_indented": {"14.8: as recorded, but a begun line is held until its end", []string{a + "Error one   at line 1 \tat line 2", a + "Error two  x",
		a + "Error three    deep", a + "   cont", a + "Head", a + " cont of head", a + "no newline rest"}},
	"full_command_no_lf":           {"15: the text is not lost with the line end", []string{"1:n:ossec: output: 'n':\nx"}},
	"full_command_partial_last":    {"15: the last line is not lost", []string{"1:n:ossec: output: 'n':\na\nb"}},
	"fmt_multiline1_long":          {"14.7: the rest of a long line is not lost", []string{a + cut5887, a + "[continued] " + strings.Repeat("A", 113), a + "after"}},
	"agent_remote_command_refused": {"6: only the block with the command is left out", []string{a + "a", "1:/var/log/app/b.log:b"}},
	"fmt_multiline2_long_first":    {"14.7: a long line is cut and counts as one", []string{a + cut5887 + " second", a + "third fourth"}},
}

// started are scenarios in which the reference ends and we go on.
var started = map[string]string{
	"literal_percent":        "21.5: a bad entry does not stop the others; 1906 is logged",
	"glob_nomatch_first":     "12: no match is not fatal",
	"cfg_err_unknown_format": "the format is json, which we know",
}

// refusals are scenarios that end at the start for reasons that package config tests with its own vectors.
var refusals = map[string]string{
	"open_attempts_bad":   "internal options are tested in package config",
	"loop_timeout_bad":    "as open_attempts_bad",
	"remote_commands_bad": "as open_attempts_bad",
}

func readScenarios(t *testing.T, name string) []scenario {
	data, err := os.ReadFile(filepath.Join("..", "internal", "testdata", "spec", "logcollector", name))
	if err != nil {
		t.Fatal(err)
	}
	var all []scenario
	for line := range bytes.Lines(data) {
		var s scenario
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func TestScenarios(t *testing.T) {
	all := readScenarios(t, "scenarios.jsonl")
	if len(all) != 124 {
		t.Fatalf("%d scenarios, want 124", len(all))
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			if reason, ok := refusals[s.Name]; ok {
				t.Skip(reason)
			}
			t.Parallel()
			testScenario(t, s)
		})
	}
}

func TestAgentConfScenarios(t *testing.T) {
	all := readScenarios(t, "agent-conf.jsonl")
	if len(all) != 10 {
		t.Fatalf("%d scenarios, want 10", len(all))
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) { testScenario(t, s) })
	}
}

func testScenario(t *testing.T, s scenario) {
	th, ps := play(t, s)
	if s.Oracle.Exit != nil {
		if _, ok := started[s.Name]; ok != (ps.Err() == nil) {
			t.Fatalf("problems %v", ps)
		}
		if ps.Err() != nil && ps.Errors()[0].LogText("ossec-logcollector") != s.Oracle.Log[0] {
			t.Errorf("got %q\nwant %q", ps.Errors()[0].LogText("ossec-logcollector"), s.Oracle.Log[0])
		}
		return // glob_nomatch_first and literal_percent: what is read then is tested with the other names
	} else if ps.Err() != nil {
		t.Fatal(ps)
	}
	start := len(th.log.String())
	for _, op := range s.Steps {
		th.do(op)
	}
	want, notices := s.recorded(), true
	dev, deviates := deviations[s.Name]
	switch {
	case deviates:
		want = nil
		for _, m := range dev.want {
			want = append(want, comparable(m))
		}
	case s.Improved != nil:
		want, notices = nil, false
		for _, m := range s.Improved {
			want = append(want, string(m))
		}
	}
	if s.Name == "command_xml_entity" { // one of its two programs runs in the background
		slices.Sort(th.got)
		slices.Sort(want)
	}
	got := byLocation(th.got, notices)
	if d := cmp.Diff(byLocation(want, notices), got); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
	if deviates && cmp.Equal(byLocation(s.recorded(), true), got) {
		t.Errorf("listed as deviating (%s) but sends what was recorded", dev.reason)
	}
	if d := cmp.Diff(numbered(s.Oracle.StartLog), numbered(th.lines(0, start))); d != "" && s.Oracle.Exit == nil && logDeviations[s.Name] == "" {
		t.Errorf("log of the start (-want +got):\n%s", d)
	}
}

// logDeviations are scenarios in which the numbered lines of the start differ.
var logDeviations = map[string]string{
	"agent_remote_command_refused": "6: b.log is followed",
	"agent_no_agent_info":          "package config reports problems with agent.conf",
	"agent_bad_element":            "as agent_no_agent_info",
	"glob_nomatch_later":           "the pattern is not opened as a file name",
	"duplicate_pattern":            "the second one is noticed",
	"fmt_djb-multilog":             "1950 comes after the entry is checked",
	"fmt_djb-multilog_badname":     "as fmt_djb-multilog",
	"cfg_journald_not_built":       "there is a journal on this system",
}

func (th *theatre) lines(from, to int) []string {
	var lines []string
	for l := range strings.Lines(th.log.String()[from:to]) {
		lines = append(lines, strings.ReplaceAll(strings.TrimSuffix(l[20:], "\n"), th.dir, vectorDir))
	}
	return lines
}

var number = regexp.MustCompile(`^ossec-logcollector\(\d+\)|Monitoring (full )?output|Duplicated`)

// numbered gives the lines that are compared.
func numbered(lines []string) []string {
	some := slices.DeleteFunc(append([]string{}, lines...), func(l string) bool { return !number.MatchString(l) })
	slices.Sort(some) // here commands and duplicates are looked at before files
	return some
}
