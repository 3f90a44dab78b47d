package control

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/keys/agentcontrol"
	"github.com/vedette-hids/vedette/syscheck/baseline"
)

// Error numbers of the JSON form.
const (
	codeArguments = 30
	codeDirectory = 31
	codeListID    = 32
	codeClearID   = 33
)

// tool is one run of a program.
type tool struct {
	root     string
	name     string
	out, err io.Writer
	host     string
	now      time.Time
	zone     *time.Location
	csv      bool
	json     bool
}

func newTool(root, name string, stdout, stderr io.Writer) *tool {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return &tool{root: root, name: name, out: stdout, err: stderr, host: host, now: time.Now(), zone: time.Local}
}

// request is a parsed command line of syscheck_control.
type request struct {
	list, active              bool
	info, clear, file         string
	hasInfo, hasClear, byFile bool
	registry, zero, silence   bool
}

// RunControl is the program syscheck_control on the install root at root. It returns the exit code.
func RunControl(root string, args []string, stdout, stderr io.Writer) int {
	return newTool(root, "syscheck_control", stdout, stderr).control(args)
}

func (t *tool) control(args []string) int {
	if len(args) == 0 {
		return t.help(1)
	}
	r, done, code := t.parse(args)
	if done {
		return code
	}
	if text := r.conflict(); text != "" {
		return t.refuse(codeArguments, text, strings.SplitN(text, "\n", 2)[0])
	}
	switch {
	case r.list:
		return t.list(r.active)
	case r.hasInfo:
		return t.show(&r)
	case r.hasClear:
		return t.clear(r.clear)
	}
	return t.help(1)
}

// parse reads the options as getopt does: several letters behind one dash, the value of an option in the same or the next argument.
func (t *tool) parse(args []string) (r request, done bool, code int) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' {
			return r, true, t.refuse(codeArguments, "Unexpected argument: '"+a+"'", "Unexpected argument: '"+a+"'")
		}
		for j := 1; j < len(a); j++ {
			c := a[j]
			if !strings.ContainsRune("uif", rune(c)) {
				if done, code = t.flag(&r, c); done {
					return r, true, code
				}
				continue
			}
			value := a[j+1:]
			if value == "" {
				if i++; i == len(args) {
					fmt.Fprintf(t.err, "%s: option requires an argument -- '%c'\n", t.program(), c)
					return r, true, t.help(1)
				}
				value = args[i]
			}
			r.value(c, value)
			break
		}
	}
	return r, false, 0
}

func (r *request) value(c byte, v string) {
	switch c {
	case 'u':
		r.clear, r.hasClear = v, true
	case 'i':
		r.info, r.hasInfo = v, true
	case 'f':
		r.file, r.byFile = v, true
	}
}

// flag handles an option without value; done ends the program.
func (t *tool) flag(r *request, c byte) (done bool, code int) {
	switch c {
	case 'h':
		return true, t.help(0)
	case 'V':
		fmt.Fprintf(t.err, "\n%s %s - Vedette %s\n\n", version.Product, version.Compat, version.Version)
		return true, 0
	case 'l':
		r.list = true
	case 'c':
		r.active = true
	case 'r':
		r.registry = true
	case 'z':
		r.zero = true
	case 'd':
		r.silence = true
	case 's':
		t.csv = true
	case 'j':
		t.json = true
	case 'D':
	default:
		fmt.Fprintf(t.err, "%s: invalid option -- '%c'\n", t.program(), c)
		return true, t.help(1)
	}
	return false, 0
}

// program is the name that getopt's own messages begin with.
func (t *tool) program() string { return filepath.Join(t.root, "bin", t.name) }

const scanHint = "\n   To run an integrity scan, use: agent_control -r -u <id>"

// conflict gives the text against a combination of options that makes no sense, "" if it does.
func (r *request) conflict() string {
	switch {
	case r.hasClear && (r.registry || r.hasInfo || r.byFile || r.zero || r.silence || r.list):
		return "-u (clear database) cannot be combined with -r, -i, -f, -z, -d, or -l." + scanHint
	case r.registry && !r.hasInfo:
		return "-r must be used with -i <id> to list Windows registry changes." + scanHint
	case (r.byFile || r.zero || r.silence) && !r.hasInfo:
		return "-f/-z/-d require -i <id>."
	case r.list && r.hasInfo:
		return "-l cannot be combined with database clear/list options."
	case r.active && !r.list:
		return "-c must be used with -l (list active agents only)."
	}
	return ""
}

// refuse prints an error and the help, or the JSON form of the error.
func (t *tool) refuse(code int, text, description string) int {
	if t.json {
		t.printJSON(failure{code, description})
		return 1
	}
	fmt.Fprintf(t.out, "\n** %s\n", text)
	return t.help(1)
}

// fail prints an error that no option is to blame for.
func (t *tool) fail(code int, err error) int {
	if t.json {
		t.printJSON(failure{code, err.Error()})
		return 1
	}
	fmt.Fprintf(t.out, "\n** %v\n\n", err)
	return 1
}

func (t *tool) help(code int) int {
	fmt.Fprint(t.out, `
OSSEC HIDS syscheck_control: Manages the integrity checking database.
Options:
  -l           list the agents (-lc: only those that are connected)
  -i ID        list the files of an agent that changed; 000 = this host
  -r -i ID     the same for the Windows registry
  -i ID -f F   show every state of the files whose path matches F
     -z        with -f: reset the counter of changes, so that the file alerts again
     -d        with -f: never alert about the file again
  -u ID|all    clear the database of an agent; this starts no scan (agent_control -r -u ID does)
  -s           print comma separated values
  -j           print JSON
  -V           print the version
  -h           print this help
`)
	return code
}

func (t *tool) list(activeOnly bool) int {
	err := agentcontrol.List(t.out, agentcontrol.ListOptions{
		Root: t.root, Program: t.name, Hostname: t.host, Now: t.now, ActiveOnly: activeOnly, Format: t.format(),
	})
	if err != nil {
		return t.fail(codeDirectory, err)
	}
	return 0
}

func (t *tool) format() agentcontrol.Format {
	switch {
	case t.json:
		return agentcontrol.JSON
	case t.csv:
		return agentcontrol.CSV
	}
	return agentcontrol.Text
}

// owner is whose state a command is about.
type owner struct {
	title     string // "local system 'HOST - 127.0.0.1'" or "agent 'NAME (ID) - IP/PREFIX'"
	local     bool
	locations []string // of files, of the registry
	marker    string   // name of the maintenance marker
}

var errUnknownID = errors.New("unknown id")

// owner finds an id: 000 or local is the manager's host, one with an @ an agentless device, others are agents.
func (t *tool) owner(id string) (o owner, err error) {
	if id == "000" || id == "local" {
		return owner{"local system '" + t.host + " - 127.0.0.1'", true, []string{"syscheck"}, baseline.MarkerName("syscheck")}, nil
	}
	if strings.Contains(id, "@") && !strings.ContainsAny(id, "/\x00") {
		location := id + "->syscheck"
		return owner{"agentless device '" + id + "'", false, []string{location}, baseline.MarkerName(location)}, nil
	}
	store, err := keys.Open(filepath.Join(t.root, "etc", "client.keys"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return o, err
	}
	var k *keys.Key
	if store != nil {
		k = store.Set().ByID(id)
	}
	if k == nil || strings.ContainsAny(k.Label(), "/\x00") {
		return o, errUnknownID
	}
	location := k.Label() + "->syscheck"
	return owner{
		fmt.Sprintf("agent '%s (%s) - %s'", k.Name, k.ID, k.Net), false,
		[]string{location, location + "-registry"}, baseline.MarkerName(location),
	}, nil
}

func (t *tool) dir() string { return filepath.Join(t.root, "queue", "syscheck") }

// open opens the state, beside the manager if that runs.
func (t *tool) open() (*baseline.Store, error) {
	if _, err := os.Stat(t.dir()); err != nil {
		return nil, fmt.Errorf("unable to open the directory %s: %w", t.dir(), err)
	}
	return baseline.Open(t.dir(), baseline.Options{Shared: true})
}
