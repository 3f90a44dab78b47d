package activeresponse

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/olog"
)

// vectors reads the lines of a vector file.
func vectors[T any](t *testing.T, path string) []T {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "internal", "testdata", "spec", path))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<24)
	for sc.Scan() {
		var v T
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		t.Fatalf("%s is empty", path)
	}
	return out
}

type execdCase struct {
	Name    string
	Conform string
	Config  string
	ARConf  *string `json:"ar_conf"`
	Steps   []struct {
		Op     string
		Msg    string
		Rep    string `json:"rep_s"`
		Repeat int
		S      int
		Text   string
	}
	Oracle struct {
		Exit     *int
		Log      []string
		StartLog []string `json:"start_log"`
		Steps    []struct {
			T    int
			Exec [][]string
			Log  []string
			Exit *int
		}
	}
}

// execdDeviations are the cases, or steps of cases, that end otherwise here, with the reason. The other steps of these cases are
// compared as usual.
var execdDeviations = map[string]struct {
	why   string
	steps map[int][]string // expected runs of a step, "program action user ip …"
	log   map[int][]string // expected log of a step
	skip  bool             // nothing can be compared
}{
	"expired_but_pending_is_refreshed": {why: "spec 10: entries end on time, so the second message makes a new block", steps: map[int][]string{
		1: {"t-b.sh delete - 10.1.2.3"}, 2: {"t-b.sh add - 10.1.2.3"}, 5: {"t-b.sh delete - 10.1.2.3"}, 6: {}}},
	"dash_ip_duplicates": {why: "spec 10 Improve: without srcip the key is user and file", steps: map[int][]string{
		1: {"t-b.sh add eve -"}, 2: {"t-b.sh delete bob -", "t-b.sh delete eve -"}, 3: {}}},
	"too_few_args_with_pending": {why: "spec 9.5 Improve: rejected, the daemon goes on", skip: false},
	"ar_conf_change_known_name": {why: "spec 19.8 Improve: ar.conf is read again when it changes", steps: map[int][]string{
		4: {"t-a.sh add - 10.1.2.3"}}},
	"args_tab_quote": {why: "spec 18.1, 18.3: control characters are refused", steps: map[int][]string{0: {}},
		log: map[int][]string{0: {"ossec-execd: WARN: Response a0 refused: control character in a response field."}}},
	"args_newline": {why: "spec 18.3: a line feed would forge a line of the log", steps: map[int][]string{0: {}},
		log: map[int][]string{0: {"ossec-execd: WARN: Response a0 refused: control character in a response field."}}},
	"script_traversal": {why: "a log line always has its program name", log: map[int][]string{
		0: {"ossec-execd: Active response command '../../bin/x.sh' vulnerable to directory transversal attack. Ignoring.",
			"ossec-execd: Active response command 'a/../t-a.sh' vulnerable to directory transversal attack. Ignoring."}}},
	"disabled_in_second_block_only": {why: "spec 8 Improve: the configuration package takes the first block that has the option", skip: true},
	"repeated_negative_time": {why: "spec 11 Improve: values below 1 are rejected, so the second block lasts as configured", steps: map[int][]string{
		3: {"t-b.sh add - 10.1.2.3"}}},
}

// recorder stands in for the programs of active-response/bin.
type recorder struct {
	mu   sync.Mutex
	runs []run
}

type run struct {
	at   time.Time
	argv []string
}

func (r *recorder) start(_ context.Context, argv []string, _ bool) outcome {
	if strings.HasSuffix(argv[0], "/t-noexec.sh") {
		return outcome{err: &startError{&os.PathError{Op: "fork/exec", Path: argv[0], Err: syscall.EACCES}}}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = append(r.runs, run{time.Now(), argv})
	return outcome{pid: 1}
}

func (r *recorder) take() []run {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.runs
	r.runs = nil
	return out
}

// TestExecdVectors replays the recorded sessions of the response daemon on a fake clock.
func TestExecdVectors(t *testing.T) {
	for _, c := range vectors[execdCase](t, "active-response/execd.jsonl") {
		t.Run(c.Name, func(t *testing.T) {
			if dev := execdDeviations[c.Name]; dev.skip {
				t.Skip(dev.why)
			}
			root := t.TempDir()
			for _, d := range []string{"active-response/bin", "etc/shared", "queue", "logs"} {
				mkdir(t, filepath.Join(root, d))
			}
			for _, s := range []string{"t-a.sh", "t-b.sh", "t-noexec.sh"} {
				put(t, filepath.Join(root, "active-response/bin", s), "")
			}
			synctest.Test(t, func(t *testing.T) { replay(t, root, c) })
		})
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func replay(t *testing.T, root string, c execdCase) {
	arConf := filepath.Join(root, "etc/shared/ar.conf")
	if c.ARConf != nil {
		put(t, arConf, *c.ARConf)
	}
	cfg, problems := config.Parse(root, "etc/ossec.conf", []byte("<ossec_config>"+c.Config+"</ossec_config>"))
	if err := problems.For(config.Execd).Err(); err != nil {
		if c.Oracle.Exit == nil || *c.Oracle.Exit != 1 {
			t.Fatal(err)
		}
		return // the configuration package has the vectors of its errors
	}
	var lines []string
	var mu sync.Mutex
	logger := olog.New("", nil)
	logger.Tap(func(line string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line[len("2006/01/02 15:04:05 "):])
	})
	takeLog := func() (out []string) {
		mu.Lock()
		defer mu.Unlock()
		for _, l := range lines {
			l = strings.ReplaceAll(l, root, "/var/ossec")
			if !strings.HasPrefix(l, "ossec-execd: INFO: Response ") { // spec 15 Improve: a line per run
				out = append(out, l)
			}
		}
		lines = nil
		return out
	}
	e := NewExecutor(ExecutorOptions{Root: root, Config: cfg.AR, Log: logger.Prog("ossec-execd"), BootID: "boot"})
	rec := &recorder{}
	e.start = rec.start
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	synctest.Wait()
	checkStart(t, c, takeLog())
	if c.Oracle.Exit != nil {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("still running")
		}
		cancel()
		return
	}
	check := &runCheck{t: t, c: c, root: root, began: time.Now()}
	for i, s := range c.Steps {
		switch s.Op {
		case "send":
			e.SubmitText(s.Msg + strings.Repeat(s.Rep, s.Repeat) + "\x00")
		case "advance":
			time.Sleep(time.Duration(s.S) * time.Second)
		case "ar_conf":
			put(t, arConf, s.Text)
		case "term":
			cancel()
		}
		synctest.Wait()
		check.step(i, rec.take(), takeLog())
	}
	check.end()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func checkStart(t *testing.T, c execdCase, got []string) {
	t.Helper()
	want := c.Oracle.StartLog
	if c.Oracle.Exit != nil {
		want = c.Oracle.Log
	}
	for i, l := range got {
		if strings.HasPrefix(l, "ossec-execd: INFO: Started (pid: ") {
			got[i] = "ossec-execd: INFO: Started (pid: N)."
		}
	}
	got = slices.DeleteFunc(got, func(l string) bool { return strings.HasPrefix(l, "ossec-execd: ERROR: Offenders timeout") }) // spec 11 Improve
	if strings.HasPrefix(c.Name, "repeated_parse_") || c.Name == "repeated_negative_time" || strings.HasPrefix(c.Name, "repeated_in_second") {
		// The configuration package leaves out values below 1 and finds the option in a second block; its own tests say so.
		want = slices.DeleteFunc(slices.Clone(want), func(l string) bool { return !slices.Contains(got, l) })
		got = slices.DeleteFunc(got, func(l string) bool { return !slices.Contains(want, l) })
	}
	if !slices.Equal(got, want) {
		t.Errorf("start log\n got %q\nwant %q", got, want)
	}
}

// runCheck compares runs with the recorded ones. A delete may come earlier than recorded, since the recorded daemon only looked when it
// was woken, but never before its time.
type runCheck struct {
	t     *testing.T
	c     execdCase
	root  string
	began time.Time
	early []string // deletes that the record shows later
	asked int      // second at which the recorded daemon last looked for what is due
}

func (rc *runCheck) step(i int, runs []run, log []string) {
	rc.t.Helper()
	dev := execdDeviations[rc.c.Name]
	var got []string
	for _, r := range runs {
		if at := int(r.at.Sub(rc.began) / time.Second); r.argv[1] == "delete" && i > 0 && rc.c.Steps[i].Op == "advance" && at <= rc.asked {
			rc.t.Errorf("step %d: delete after %d s, but at %d s it was not due", i, at, rc.asked)
		}
		got = append(got, strings.ReplaceAll(strings.Join(r.argv, " "), rc.root, "/var/ossec"))
	}
	if want, ok := dev.steps[i]; ok {
		rc.prefixes(i, got, want)
	} else if i < len(rc.c.Oracle.Steps) {
		rc.compare(i, got)
	}
	if op := rc.c.Steps[i].Op; (op == "wake" || op == "send") && i < len(rc.c.Oracle.Steps) {
		rc.asked = rc.c.Oracle.Steps[i].T
	}
	var wantLog []string
	if i < len(rc.c.Oracle.Steps) {
		wantLog = rc.c.Oracle.Steps[i].Log
	}
	if l, ok := dev.log[i]; ok {
		wantLog = l
	}
	wantLog = slices.DeleteFunc(slices.Clone(wantLog), func(l string) bool { return strings.Contains(l, "(1225)") }) // written by the program
	if !slices.Equal(log, wantLog) {
		rc.t.Errorf("step %d: log\n got %q\nwant %q", i, log, wantLog)
	}
}

// prefixes compares runs given as "program arg…" without directory and the rest of the arguments.
func (rc *runCheck) prefixes(i int, got, want []string) {
	rc.t.Helper()
	slices.Sort(got)
	ok := len(got) == len(want)
	for k := 0; ok && k < len(want); k++ {
		ok = strings.HasPrefix(got[k], "/var/ossec/active-response/bin/"+want[k])
	}
	if !ok {
		rc.t.Errorf("step %d: runs\n got %q\nwant %q (%s)", i, got, want, execdDeviations[rc.c.Name].why)
	}
}

func (rc *runCheck) compare(i int, got []string) {
	rc.t.Helper()
	var want []string
	for _, argv := range rc.c.Oracle.Steps[i].Exec {
		want = append(want, strings.Join(argv, " "))
	}
	for _, g := range got {
		if k := slices.Index(want, g); k >= 0 {
			want = slices.Delete(want, k, k+1)
			continue
		}
		if !strings.Contains(g, " delete ") {
			rc.t.Errorf("step %d: unexpected run %q", i, g)
			continue
		}
		rc.early = append(rc.early, g)
	}
	for _, w := range want {
		k := slices.Index(rc.early, w)
		if k < 0 {
			rc.t.Errorf("step %d: missing run %q", i, w)
			continue
		}
		rc.early = slices.Delete(rc.early, k, k+1)
	}
	// What came early must be recorded no later than the next time the daemon was woken: the record of a delete in an "advance" step is
	// in the "wake" or "send" behind it.
	if len(rc.early) > 0 && rc.c.Steps[i].Op != "advance" {
		rc.t.Errorf("step %d: delete before its time: %q", i, rc.early)
	}
}

func (rc *runCheck) end() {
	rc.t.Helper()
	rc.early = slices.DeleteFunc(rc.early, func(string) bool { return rc.c.Steps[len(rc.c.Steps)-1].Op == "advance" })
	if len(rc.early) > 0 {
		rc.t.Errorf("deletes that the record does not have: %q", rc.early)
	}
}
