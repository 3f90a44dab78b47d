package logtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/getopt"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/manager/ruleset"
	"github.com/vedette-hids/vedette/rules"
)

// Env is the world of one run. Fields that are zero have defaults.
type Env struct {
	Root     string   // install root, changed by -D
	Args     []string // without the program's name
	Prog     string   // name in messages about options; "" = ossec-logtest
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Now      func() time.Time // nil = time.Now
	Location *time.Location   // zone of printed times and of time conditions; nil = local
	Hostname string           // of this manager; "" = the system's
}

// maxLine is how many bytes of a line are read as one event; the rest is the next event.
const maxLine = 6135

// Exit codes of -U; the largest difference wins. Without -U the code is 0, or 1 when nothing could be loaded.
const (
	exitLevel   = 1
	exitRule    = 2
	exitDecoder = 3
	exitNoRule  = 255
)

// Run is the tool. It returns the exit code.
func Run(env Env) int {
	t, done, code := newTool(env)
	if done {
		return code
	}
	defer t.err.Flush()
	if !t.load() {
		return 1
	}
	if t.test {
		return 0
	}
	t.log.Line(fmt.Sprintf("%s: INFO: Started (pid: %d).", program, os.Getpid()))
	if t.unit != "" && !t.parseUnit() {
		t.log.Line(program + `: -U requires the matching format to be "<rule_id>:<alert_level>:<decoder_name>"`)
		return 1
	}
	if !t.alerts && !t.json {
		t.log.Line(program + ": Type one log per line.")
		t.printf("\n")
	}
	t.reset()
	if err := t.lines(); err != nil {
		t.log.Line(program + ": ERROR: Reading the input: " + err.Error() + ".")
		return 1
	}
	return t.code
}

// tool is one run.
type tool struct {
	Env
	conf                             string
	alerts, verbose, quiet           bool
	test, json, explain              bool
	explainRule                      int // 0 = all
	debug                            int
	unit                             string // argument of -U
	wantRule, wantLevel, wantDecoder string

	out, err *bufio.Writer
	log      *olog.Logger
	set      ruleset.Set
	state    *rules.State
	sc       rules.Scratch
	p        rules.Prepared
	code     int
}

// newTool reads the options. done is true when there is nothing more to do.
func newTool(env Env) (t *tool, done bool, code int) {
	t = &tool{Env: env}
	if t.Prog == "" {
		t.Prog = "ossec-logtest"
	}
	if t.Now == nil {
		t.Now = time.Now
	}
	if t.Hostname == "" {
		t.Hostname = ruleset.Hostname()
	}
	t.out, t.err = bufio.NewWriter(t.Stdout), bufio.NewWriter(t.Stderr)
	defer t.err.Flush()
	args, err := t.longOptions(t.Args)
	if err == nil {
		var opts []getopt.Option
		opts, _, err = getopt.Parse(args, "VhdtvaqU:c:D:")
		for _, o := range opts {
			if t.option(o) {
				return t, true, 0
			}
		}
	}
	if err != nil {
		t.printf("%s: %v\n", t.Prog, err)
		t.usage()
		return t, true, 1
	}
	t.log = olog.New("", t.err)
	t.log.SetClock(t.Now)
	return t, false, 0
}

// longOptions takes the options that OSSEC does not have.
func (t *tool) longOptions(args []string) (rest []string, err error) {
	for _, a := range args {
		switch name, value, has := strings.Cut(a, "="); {
		case name == "--json" && !has:
			t.json = true
		case name == "--explain":
			t.explain = true
			if has {
				if t.explainRule, err = strconv.Atoi(value); err != nil || t.explainRule <= 0 {
					return nil, fmt.Errorf("--explain: %q is not a rule id", value)
				}
			}
		case strings.HasPrefix(a, "--") && a != "--":
			return nil, fmt.Errorf("unknown option %s", a)
		default:
			rest = append(rest, a)
		}
	}
	return rest, nil
}

// option takes one option of OSSEC's and reports whether it ends the run.
func (t *tool) option(o getopt.Option) (end bool) {
	switch o.Flag {
	case 'V':
		t.printf("%s", version.Banner())
		return true
	case 'h':
		t.usage()
		return true
	case 'd':
		t.debug++
	case 't':
		t.test = true
	case 'v':
		t.verbose = true
	case 'a':
		t.alerts = true
	case 'q':
		t.quiet = true
	case 'U':
		t.unit = o.Value
	case 'c':
		t.conf = o.Value
		if abs, err := filepath.Abs(o.Value); err == nil {
			t.conf = abs // a path of the caller's, not of the install root
		}
	case 'D':
		t.Root = o.Value
	}
	return false
}

func (t *tool) confPath() string {
	if t.conf == "" {
		return filepath.Join(t.Root, "etc", "ossec.conf")
	}
	return t.conf
}

func (t *tool) usage() {
	t.printf(` 
Usage: ossec-logtest [-Vhdtvaq] [-c file] [-D dir] [-U rule:level:decoder] [--explain[=rule]] [--json]
Reads log lines from standard input and shows how each is decoded and which rule it ends in.
  -a                       only the alerts, as they stand in alerts.log
  -v                       list the rules that are tried
  -q                       do not name the decoder files
  -t                       only load decoders, lists and rules
  -U rule:level:decoder    unit test: exit with 0 when the last line ends there
  -c file                  configuration (default etc/ossec.conf below the root)
  -D dir                   install root
  --explain                say for every tried rule why it does or does not match
  --explain=rule           the same for one rule, with the rules above it
  --json                   one JSON object per event, on standard output
  -d, -V, -h               more messages (file and line of problems), version, this help
`)
}

func (t *tool) printf(format string, args ...any) { fmt.Fprintf(t.err, format, args...) }

func (t *tool) parseUnit() bool {
	parts := strings.SplitN(t.unit, ":", 3)
	if len(parts) != 3 {
		return false
	}
	t.wantRule, t.wantLevel, t.wantDecoder = parts[0], parts[1], parts[2]
	return true
}

// reset begins with the state of the install root.
func (t *tool) reset() {
	opts := t.set.Rules.Options()
	t.state = rules.NewState(t.set.Rules, newStores(t.Root, opts, func(text string) { t.log.Line(program + ": " + text) }))
	t.sc.Decode.Trace = true
}

// lines runs every line of the input.
func (t *tool) lines() error {
	in := bufio.NewReaderSize(t.Stdin, 64<<10)
	for {
		if in.Buffered() == 0 { // about to wait: show what there is
			if err := t.flush(); err != nil {
				return err
			}
		}
		line, err := readLine(in)
		if err == io.EOF {
			return t.flush()
		}
		if err != nil {
			t.flush() //nolint:errcheck // the first error counts
			return err
		}
		if len(line) > 1 {
			if err := t.event(line); err != nil {
				return err
			}
		}
	}
}

// flush writes what was held back, the alerts first.
func (t *tool) flush() error {
	if err := t.out.Flush(); err != nil {
		return err
	}
	return t.err.Flush()
}

// readLine reads a line without its end, at most maxLine bytes.
func readLine(in *bufio.Reader) (string, error) {
	var b []byte
	for len(b) < maxLine {
		c, err := in.ReadByte()
		if err == io.EOF && len(b) > 0 {
			break
		}
		if err != nil {
			return "", err
		}
		if c == '\n' {
			break
		}
		b = append(b, c)
	}
	return string(b), nil
}

// event analyses one line and prints what came of it.
func (t *tool) event(line string) error {
	now := t.Now()
	ev := event.NewEvent(event.Message{Kind: event.KindLog, Location: "stdin", Text: line}, now)
	t.set.Rules.Prepare(ev, &t.sc, &t.p)
	quiet := t.alerts || t.json
	if !quiet {
		t.phases(ev)
	}
	var x *rules.Explanation
	if t.explain {
		x = t.state.Explain(&t.p, now)
	}
	var out rules.Outcome
	if t.verbose {
		out = t.state.Trace(&t.p, now)
	} else {
		out = t.state.Process(&t.p, now)
	}
	switch {
	case t.json:
		if err := t.writeJSON(ev, &out, x); err != nil {
			return err
		}
	case t.alerts:
		t.alert(&out)
	default:
		t.outcome(&out, x)
	}
	if t.unit != "" {
		t.judge(ev, &out)
	}
	return nil
}
