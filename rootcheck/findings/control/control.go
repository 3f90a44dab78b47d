package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/getopt"
	"github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/keys/agentcontrol"
	"github.com/vedette-hids/vedette/rootcheck/findings"
)

// Env is the world of one run. Fields that are zero have defaults.
type Env struct {
	Root           string   // install root, changed by -D
	Args           []string // without the program's name
	Prog           string   // name in messages about options; "" = rootcheck_control
	Stdout, Stderr io.Writer
	Now            time.Time      // zero = time.Now()
	Location       *time.Location // of printed times; nil = local
	Hostname       string         // of this manager; "" = os.Hostname
}

// tool is one run.
type tool struct {
	Env
	csv, json          bool
	list, activeOnly   bool
	resolved, open     bool
	lastScan           bool
	show, clear        string
	help, version, bad bool
}

// RunEnv is the tool; it returns the exit code.
func RunEnv(env Env) int {
	t := &tool{Env: env}
	if t.Prog == "" {
		t.Prog = "rootcheck_control"
	}
	if t.Now.IsZero() {
		t.Now = time.Now()
	}
	if t.Location == nil {
		t.Location = time.Local
	}
	if t.Hostname == "" {
		t.Hostname, _ = os.Hostname() // an empty name is printed as such
	}
	t.parse()
	switch {
	case t.help:
		return t.usage(0)
	case t.version:
		fmt.Fprint(t.Stderr, version.Banner())
		return 0
	case t.bad || len(t.Args) == 0:
		return t.usage(1)
	case t.list:
		return t.agents()
	case t.clear != "":
		return t.update(t.clear)
	case t.show != "":
		return t.print(t.show)
	}
	fmt.Fprint(t.Stdout, "\n** Invalid argument combination.\n")
	return t.usage(1)
}

// parse reads the options; those before a bad one count. -d (debug) has no effect.
func (t *tool) parse() {
	flags := map[byte]*bool{'h': &t.help, 'V': &t.version, 'l': &t.list, 'c': &t.activeOnly, 's': &t.csv, 'j': &t.json, 'r': &t.resolved,
		'q': &t.open, 'L': &t.lastScan, 'd': new(bool)}
	values := map[byte]*string{'i': &t.show, 'u': &t.clear, 'D': &t.Root}
	opts, _, err := getopt.Parse(t.Args, "hVlcsjrqLdi:u:D:")
	for _, o := range opts {
		if flag := flags[o.Flag]; flag != nil {
			*flag = true
		} else {
			*values[o.Flag] = o.Value
		}
	}
	if err != nil {
		fmt.Fprintf(t.Stderr, "%s: %v\n", t.Prog, err)
		t.bad = true
	}
}

func (t *tool) usage(code int) int {
	fmt.Fprint(t.Stdout, `
OSSEC HIDS rootcheck_control: Manages the policy and auditing database.
  -l           list the agents; -lc only the connected ones
  -i <id>      what was found on an agent; 000 is this server
  -r           with -i, only what is resolved
  -q           with -i, only what is outstanding
  -L           with -i, as of the last scan
  -u <id>      forget what was found on an agent; "all" for all of them
  -s, -j       answers as CSV, as JSON
  -D <dir>     install root
  -h, -V       this help, version
`)
	return code
}

func (t *tool) agents() int {
	format := agentcontrol.Text
	if t.csv {
		format = agentcontrol.CSV
	}
	err := agentcontrol.List(t.Stdout, agentcontrol.ListOptions{
		Root: t.Root, Program: "rootcheck_control", Hostname: t.Hostname, Now: t.Now, ActiveOnly: t.activeOnly, Format: format,
	})
	return t.code(err)
}

// code reports an error that has nothing to do with the arguments.
func (t *tool) code(err error) int {
	if err != nil {
		fmt.Fprintf(t.Stderr, "rootcheck_control: ERROR: %v\n", err)
		return 1
	}
	return 0
}

func (t *tool) dir() string { return filepath.Join(t.Root, "queue", "rootcheck") }

func isServer(id string) bool { return id == "000" || id == "local" }

// agent finds the key of an id.
func (t *tool) agent(id string) (*keys.Key, error) {
	s, err := keys.Open(filepath.Join(t.Root, "etc", "client.keys"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return s.Set().ByID(id), nil
}

// location gives where an id's findings are, and how the headline names it. ok is false when no agent has the id; that is answered.
func (t *tool) location(id string) (location, title string, ok bool, code int) {
	if isServer(id) {
		return findings.LocalLocation, fmt.Sprintf("local system '%s - 127.0.0.1'", t.Hostname), true, 0
	}
	k, err := t.agent(id)
	switch {
	case err != nil:
		return "", "", false, t.code(err)
	case k != nil:
		return findings.AgentLocation(k.Label()), fmt.Sprintf("agent '%s (%s) - %s'", k.Name, k.ID, k.Net), true, 0
	case t.json:
		fmt.Fprint(t.Stdout, `{"error":40,"description":"Invalid agent id"}`)
		return "", "", false, 0
	}
	fmt.Fprintf(t.Stdout, "\n** Invalid agent id '%s'.\n", id)
	return "", "", false, t.usage(1)
}

func (t *tool) update(id string) int {
	var err error
	if id == "all" {
		err = findings.ClearAll(t.dir())
	} else {
		location, _, ok, code := t.location(id)
		if !ok {
			return code
		}
		err = findings.Clear(t.dir(), location)
	}
	if err != nil {
		return t.code(err)
	}
	if t.json {
		fmt.Fprint(t.Stdout, `{"error":0,"response":"Policy and auditing database updated"}`)
		return 0
	}
	fmt.Fprint(t.Stdout, "\n** Policy and auditing database updated.\n\n")
	return 0
}

func (t *tool) print(id string) int {
	location, title, ok, code := t.location(id)
	if !ok {
		return code
	}
	if !t.csv && !t.json {
		fmt.Fprintf(t.Stdout, "\nPolicy and auditing events for %s:\n", title)
	}
	report, err := findings.Read(t.dir(), location)
	if errors.Is(err, fs.ErrNotExist) {
		if t.json {
			return t.code(writeJSON(t.Stdout, nil))
		}
		return 0
	}
	if err != nil {
		return t.code(err)
	}
	if report.LastScan == 0 {
		report.LastScan = t.Now.Unix()
	}
	if t.json {
		return t.code(writeJSON(t.Stdout, t.entries(report)))
	}
	if !t.open || t.resolved {
		t.block(report, true)
	}
	if !t.resolved || t.open {
		t.block(report, false)
	}
	return 0
}

// timeForm is how the tool prints times.
const timeForm = "2006 Jan 02 15:04:05"

func (t *tool) at(unix int64) string { return time.Unix(unix, 0).In(t.Location).Format(timeForm) }

func (t *tool) block(report *findings.Report, resolved bool) {
	bare := !resolved && t.lastScan
	switch {
	case t.csv:
	case resolved:
		fmt.Fprint(t.Stdout, "\nResolved events: \n\n")
	case bare:
		fmt.Fprintf(t.Stdout, "\nLast scan: %s\n\n", t.at(report.LastScan))
	default:
		fmt.Fprint(t.Stdout, "\nOutstanding events: \n\n")
	}
	none := true
	for i := range report.Findings {
		f := &report.Findings[i]
		if f.Marker() || report.Resolved(f, t.Now.Unix()) != resolved {
			continue
		}
		none = false
		switch {
		case t.csv:
			fmt.Fprintf(t.Stdout, "%s,%s,%s,%s\n", status(resolved), t.at(f.Last), t.at(f.First), shown(f.Text))
		case bare:
			fmt.Fprintf(t.Stdout, "%s\n\n", shown(f.Text))
		default:
			fmt.Fprintf(t.Stdout, "%s (first time detected: %s)\n%s\n\n", t.at(f.Last), t.at(f.First), shown(f.Text))
		}
	}
	if none && !t.csv {
		fmt.Fprint(t.Stdout, "** No entries found.\n")
	}
}

func status(resolved bool) string {
	if resolved {
		return "resolved"
	}
	return "outstanding"
}

// shown puts "System Audit: " before texts that do not say of which list they are, as OSSEC does, also before those that say it.
func shown(text string) string {
	for _, p := range [...]string{"Application Found:", "Windows Audit:", "Windows Malware:"} {
		if strings.HasPrefix(text, p) {
			return text
		}
	}
	return "System Audit: " + text
}

// entry is a finding in JSON.
type entry struct {
	Status  string `json:"status"`
	ReadDay string `json:"readDay"`
	OldDay  string `json:"oldDay"`
	Event   string `json:"event"`
}

func (t *tool) entries(report *findings.Report) []entry {
	var out []entry
	for i := range report.Findings {
		f := &report.Findings[i]
		resolved := report.Resolved(f, t.Now.Unix())
		if f.Marker() || resolved && t.open && !t.resolved || !resolved && t.resolved && !t.open {
			continue
		}
		out = append(out, entry{status(resolved), t.at(f.Last), t.at(f.First), f.Text})
	}
	return out
}

func writeJSON(w io.Writer, entries []entry) error {
	if entries == nil {
		entries = []entry{}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Error    int     `json:"error"`
		Response []entry `json:"response"`
	}{0, entries})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.TrimSuffix(b.String(), "\n"))
	return err
}
