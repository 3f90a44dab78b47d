package manageagents

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/getopt"
	"github.com/vedette-hids/vedette/internal/olog"
	ver "github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/keys"
)

// version is what OSSEC 4.3.0's programs report; the banner is read by scripts.
const version = "v4.2.0"

// Env is the world of one run.
type Env struct {
	Root   string   // install root
	Server bool     // acts on a manager; false: on an agent
	Args   []string // without the program's name
	Prog   string   // name in messages about options; "" = manage_agents
	Getenv func(string) string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Now    func() time.Time // nil = time.Now
}

// tool is one run.
type tool struct {
	Env
	in      *bufio.Reader
	log     *olog.Log
	set     map[string]string // overrides of the environment, "" = unset
	json    bool
	changed bool
}

// exit ends the run from any depth.
type exit int

// Run does what the arguments say and returns the exit code.
func Run(cfg Env) (code int) {
	if cfg.Getenv == nil {
		cfg.Getenv = func(string) string { return "" }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Prog == "" {
		cfg.Prog = "manage_agents"
	}
	t := &tool{Env: cfg, in: bufio.NewReader(cfg.Stdin), log: olog.New("", cfg.Stderr).Prog("manage_agents"), set: map[string]string{}}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	return t.run()
}

// options are the flags that act at once.
type options struct {
	list         bool
	importText   *string
	extractID    *string
	bulkFile     *string
	help, banner bool
}

func (t *tool) run() int {
	o := t.parse()
	switch {
	case o.help:
		t.help()
		return 0
	case o.banner:
		t.version()
		return 0
	case o.list:
		t.listOnly()
		return 0
	case o.importText != nil:
		t.importKey(o.importText)
		return 0
	case o.extractID != nil:
		return t.extractOnly(*o.extractID)
	case o.bulkFile != nil:
		return t.bulk(*o.bulkFile)
	}
	return t.menu()
}

// parse reads the flags; those of the other side end the run.
func (t *tool) parse() options {
	var o options
	opts, _, err := getopt.Parse(t.Args, "Vhle:r:i:f:ja:n:F:")
	for _, opt := range opts {
		switch opt.Flag {
		case 'h':
			o.help = true
		case 'V':
			o.banner = true
		case 'l':
			o.list = true
		case 'j':
			t.json = true
		default:
			t.valueFlag(&o, opt.Flag, opt.Value)
		}
	}
	if err != nil && !o.help && !o.banner {
		fmt.Fprintf(t.Stderr, "%s: %v\n", t.Prog, err)
		t.help()
		panic(exit(1))
	}
	return o
}

func (t *tool) valueFlag(o *options, flag byte, value string) {
	switch flag {
	case 'e':
		t.need(true, "Key export only available on a master.")
		o.extractID = &value
	case 'r':
		t.need(true, "Key removal only available on a master.")
		t.set["OSSEC_ACTION"], t.set["OSSEC_AGENT_ID"], t.set["OSSEC_ACTION_CONFIRMED"] = "r", value, "y"
	case 'a':
		t.need(true, "Agent adding only available on a master.")
		t.set["OSSEC_ACTION"], t.set["OSSEC_ACTION_CONFIRMED"], t.set["OSSEC_AGENT_IP"], t.set["OSSEC_AGENT_ID"] = "a", "y", value, "0"
	case 'n':
		t.set["OSSEC_AGENT_NAME"] = value
	case 'F':
		if _, err := strconv.ParseUint(value, 10, 31); err != nil {
			t.fail("Invalid number for -d")
		}
		t.set["OSSEC_REMOVE_DUPLICATED"] = value
	case 'i':
		t.need(false, "Key import only available on an agent.")
		o.importText = &value
	case 'f':
		t.need(true, "Bulk generate keys only available on a master.")
		o.bulkFile = &value
	}
}

// need ends the run when it is not on the side that the flag is for.
func (t *tool) need(server bool, text string) {
	if t.Server != server {
		t.fail(text)
	}
}

// fail logs and ends the run.
func (t *tool) fail(text string) {
	t.log.Text("%s", text)
	panic(exit(1))
}

// menu asks for actions until the user quits; with OSSEC_ACTION set it does one.
func (t *tool) menu() int {
	for {
		t.banner()
		action, once := t.env("OSSEC_ACTION"), true
		if action == "" {
			action, once = t.ask(), false
		}
		if action == "" {
			action = "?"
		}
		letter := action[0] | 0x20
		if letter == 'q' {
			break
		}
		t.act(letter)
		if once {
			break
		}
	}
	if t.changed {
		t.print("\n** You must restart OSSEC for your changes to take effect.\n\n")
	} else {
		t.print("\n")
	}
	t.print("manage_agents: Exiting.\n")
	fmt.Fprint(t.Stdout, "manage_agents: Exiting.\n")
	return 0
}

func (t *tool) banner() {
	t.print("\n\n****************************************\n* OSSEC HIDS %s Agent manager.     *\n* The following options are available: *\n****************************************\n", version)
	if t.Server {
		t.print("   (A)dd an agent (A).\n   (E)xtract key for an agent (E).\n   (L)ist already added agents (L).\n   (R)emove an agent (R).\n   (Q)uit.\nChoose your action: A,E,L,R or Q: ")
	} else {
		t.print("   (I)mport key from the server (I).\n   (Q)uit.\nChoose your action: I or Q: ")
	}
}

func (t *tool) act(letter byte) {
	const wrongSide = "\n ** %s ** \n\n"
	switch letter {
	case 'a':
		if !t.Server {
			t.print(wrongSide, "Agent adding only available on a master")
			return
		}
		t.add()
	case 'e':
		if !t.Server {
			t.print(wrongSide, "Key export only available on a master")
			return
		}
		t.extract()
	case 'i':
		if t.Server {
			t.print(wrongSide, "Key import only available on an agent")
			return
		}
		t.importKey(nil)
	case 'l':
		t.list()
		t.pressEnter()
	case 'r':
		if !t.Server {
			t.print(wrongSide, "Key removal only available on a master")
			return
		}
		t.remove()
	case 'v':
		t.version()
		panic(exit(0))
	default:
		t.print(wrongSide, "Invalid Action")
	}
}

// print writes to standard output, unless that is for JSON only.
func (t *tool) print(format string, args ...any) {
	if !t.json {
		fmt.Fprintf(t.Stdout, format, args...)
	}
}

// env gives a variable; flags win over the environment.
func (t *tool) env(name string) string {
	if v, ok := t.set[name]; ok {
		return v
	}
	return t.Getenv(name)
}

// maxInput is the length from which on a line is refused.
const maxInput = 512

// ask reads one line, trimmed. End of input, and a line that is too long, end the run.
func (t *tool) ask() string {
	line, err := t.line()
	if err != nil {
		fmt.Fprint(t.Stdout, "manage_agents: Input too large. Not adding it.\n")
		panic(exit(1))
	}
	return line
}

var errInput = errors.New("line too long")

func (t *tool) line() (string, error) {
	var b []byte
	for {
		c, err := t.in.ReadByte()
		if err != nil && len(b) == 0 {
			return "", err
		}
		if err != nil || c == '\n' {
			return strings.TrimSpace(string(b)), nil
		}
		if b = append(b, c); len(b) >= maxInput-1 {
			return "", errInput
		}
	}
}

// pressEnter waits for a line. Nothing is asked here, so end of input is as good.
func (t *tool) pressEnter() {
	t.print("** Press ENTER to return to the main menu.\n")
	if !t.json {
		_, _ = t.line()
	}
}

// quit reports whether the answer leaves the dialogue.
func quit(answer string) bool { return answer == `\q` }

// confirmed asks a yes-or-no question. The environment's answer is shown when echo is set.
func (t *tool) confirmed(question string, echo bool) (yes, left bool) {
	t.print("%s(y/n): ", question)
	answer := t.env("OSSEC_ACTION_CONFIRMED")
	if answer == "" {
		answer = t.ask()
	} else if echo {
		t.print("%s\n", answer)
	}
	return answer != "" && answer[0]|0x20 == 'y', quit(answer)
}

// respond writes the JSON answer of a success.
func (t *tool) respond(response any) {
	if t.json {
		t.object(struct {
			Error    int `json:"error"`
			Response any `json:"response"`
		}{0, response})
	}
}

// refuse ends the run with the JSON answer of a failure; in text mode it does nothing.
func (t *tool) refuse(code int, format string, args ...any) {
	if !t.json {
		return
	}
	t.object(struct {
		Error       int    `json:"error"`
		Description string `json:"description"`
	}{code, fmt.Sprintf(format, args...)})
	panic(exit(1))
}

func (t *tool) object(v any) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.fail(err.Error())
	}
	fmt.Fprint(t.Stdout, strings.TrimSuffix(b.String(), "\n"))
}

// path gives a file under the install root.
func (t *tool) path(elem ...string) string {
	return filepath.Join(append([]string{t.Root}, elem...)...)
}

func (t *tool) keyFile() string { return t.path("etc", "client.keys") }

// file reads client.keys.
func (t *tool) file() *keys.File {
	f, err := keys.ReadFile(t.keyFile())
	t.check(err)
	return f
}

// keyMode is the mode of client.keys after an edit: nobody but the owner's programs reads keys, and they only read.
const keyMode = 0o440

func (t *tool) edit(change func(*keys.File) error) error {
	err := keys.Edit(t.keyFile(), keyMode, change)
	t.changed = t.changed || err == nil
	return err
}

// check ends the run on an error that the user cannot answer.
func (t *tool) check(err error) {
	if err == nil {
		return
	}
	t.refuse(73, "Unable to handle keys file")
	t.fail("ERROR: " + err.Error())
}

func (t *tool) version() {
	fmt.Fprint(t.Stderr, ver.Banner())
}

func (t *tool) help() {
	fmt.Fprint(t.Stderr, ` 
manage_agents (compatible with OSSEC HIDS `+version+`): adds, removes and lists agents, and carries their keys.
Without arguments it shows a menu.

  -h           this help
  -V           version
  -j           answers in JSON
  -l           list the agents
On a manager:
  -a <ip>      add an agent with this address, network or 'any'
  -n <name>    its name
  -F <sec>     with -a: first remove the agent that has the address, when it was silent for so many seconds
  -e <id>      show the key text of an agent, for import at the agent
  -r <id>      remove an agent
  -f <file>    add an agent for each line IP,NAME of a file; - reads standard input
On an agent:
  -i <text>    import the key text

Variables for use without questions: OSSEC_ACTION (a e i l r q), OSSEC_AGENT_NAME, OSSEC_AGENT_IP, OSSEC_AGENT_ID,
OSSEC_AGENT_KEY, OSSEC_ACTION_CONFIRMED (y), OSSEC_REMOVE_DUPLICATED (seconds).
`)
}
