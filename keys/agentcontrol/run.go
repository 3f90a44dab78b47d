package agentcontrol

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/getopt"
	"github.com/vedette-hids/vedette/internal/olog"
	ver "github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/keys"
)

// version is what OSSEC 4.3.0's programs report.
const version = "OSSEC HIDS v4.2.0"

// DefaultMaxAgents is the limit that OSSEC is built with. Vedette has none, but scripts read the number.
const DefaultMaxAgents = 2048

// Env is the world of one run. Functions and numbers that are zero have defaults.
type Env struct {
	Root      string   // install root, changed by -D
	Args      []string // without the program's name
	Prog      string   // name in messages about options; "" = agent_control
	Stdout    io.Writer
	Stderr    io.Writer
	Now       time.Time      // zero = time.Now()
	Location  *time.Location // of printed times; nil = local
	Hostname  string         // of this manager; "" = os.Hostname
	Uname     string         // of this manager; "" = the system's
	MaxAgents int            // 0 = DefaultMaxAgents
}

type tool struct {
	Env
	fleet fleet
	now   time.Time
	log   *olog.Log
	json  bool
	csv   bool
}

func newTool(env Env) *tool {
	if env.Now.IsZero() {
		env.Now = time.Now()
	}
	if env.Location == nil {
		env.Location = time.Local
	}
	if env.Hostname == "" {
		env.Hostname = hostname()
	}
	if env.Prog == "" {
		env.Prog = "agent_control"
	}
	if env.MaxAgents == 0 {
		env.MaxAgents = DefaultMaxAgents
	}
	return &tool{Env: env, now: env.Now, fleet: fleet{env.Root, env.Now, env.Location}, log: olog.New("", env.Stderr).Prog("agent_control")}
}

// request is what the arguments ask for.
type request struct {
	list, activeOnly, limit, responses bool
	ends, all, rescan                  bool
	detail, restart, agent             string
	maintenance                        *string
	block, response                    string
}

// Run is the tool agent_control.
func Run(env Env) int {
	t := newTool(env)
	if len(env.Args) == 0 {
		return t.help(1)
	}
	r, done, code := t.parse()
	if done {
		return code
	}
	switch {
	case r.limit:
		return t.limit()
	case r.list:
		return t.list(r.activeOnly)
	case r.responses:
		return t.responses()
	case r.maintenance != nil:
		return t.maintenance(*r.maintenance, r.agent)
	case r.detail != "":
		return t.detail(r.detail, r.ends)
	case r.restart != "":
		return t.restart(r.restart)
	case r.rescan && r.all:
		return t.rescanAll()
	case r.rescan && r.agent != "":
		return t.rescanOne(r.agent)
	case r.block != "" && r.response != "" && r.agent != "":
		return t.respondActively(r)
	}
	t.print("\n** Invalid argument combination.\n")
	return t.help(1)
}

func (t *tool) parse() (r request, done bool, code int) {
	opts, _, err := getopt.Parse(t.Args, "VhlcesaLmjdru:i:R:M:b:f:D:")
	for _, o := range opts {
		switch o.Flag {
		case 'h':
			return r, true, t.help(0)
		case 'V':
			fmt.Fprint(t.Stderr, ver.Banner())
			return r, true, 0
		case 'l':
			r.list = true
		case 'c':
			r.activeOnly = true
		case 'e':
			r.ends = true
		case 's':
			t.csv = true
		case 'j':
			t.json = true
		case 'a':
			r.all = true
		case 'L':
			r.responses = true
		case 'm':
			r.limit = true
		case 'r':
			r.rescan = true
		case 'M':
			r.maintenance = &o.Value
		case 'D':
			t.Root, t.fleet.root = o.Value, o.Value
		case 'u', 'i', 'R', 'b', 'f':
			*map[byte]*string{'u': &r.agent, 'i': &r.detail, 'R': &r.restart, 'b': &r.block, 'f': &r.response}[o.Flag] = o.Value
		}
	}
	if err != nil {
		fmt.Fprintf(t.Stderr, "%s: %v\n", t.Prog, err)
		return r, true, t.help(1)
	}
	return r, false, 0
}

func (t *tool) help(code int) int {
	fmt.Fprint(t.Stdout, `
OSSEC HIDS agent_control: Control remote agents.
  -l             list the agents; -lc only the connected ones
  -i <id>        what is known about an agent; 000 is this server; with -e also when scans ended
  -r -u <id>     scan one agent for changes and rootkits now; -r -a all agents
  -R <id>        restart an agent
  -b <ip> -f <response> -u <id>   run an active response on an agent
  -L             list the active responses
  -M <action> -u <id>   file integrity maintenance: enable, disable, status, or end, which scans first and is
                 the right one after patching
  -m             how many agents there can be
  -s, -j         answers as CSV, as JSON
  -D <dir>       install root
  -h, -V, -d     this help, version, debug
`)
	return code
}

func (t *tool) print(format string, args ...any) { fmt.Fprintf(t.Stdout, format, args...) }

type success struct {
	Error    int `json:"error"`
	Response any `json:"response"`
}

func writeJSON(w io.Writer, v any) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, strings.TrimSuffix(b.String(), "\n"))
	return err
}

func (t *tool) respond(v any) {
	if err := writeJSON(t.Stdout, success{Response: v}); err != nil {
		t.log.Error("%v", err)
	}
}

// fail prints a failure in the right form and returns 1.
func (t *tool) fail(code int, text, description string) int {
	if t.json {
		v := struct {
			Error       int    `json:"error"`
			Description string `json:"description"`
		}{code, description}
		if err := writeJSON(t.Stdout, v); err != nil {
			t.log.Error("%v", err)
		}
		return 1
	}
	t.print("%s", text)
	return 1
}

// invalidID answers an id that no agent has. With -j the exit code is 0, as ever.
func (t *tool) invalidID(id string) int {
	if t.json {
		t.fail(40, "", "Invalid agent id")
		return 0
	}
	t.print("\n** Invalid agent id '%s'.\n", id)
	return t.help(1)
}

// agent finds a key line by its exact id.
func (t *tool) agent(id string) *keys.Key {
	set, err := t.fleet.keys()
	if err != nil {
		t.log.Error("%v", err)
		return nil
	}
	return set.ByID(id)
}

func (t *tool) limit() int {
	switch {
	case t.json:
		fmt.Fprintf(t.Stdout, `{"error":0,"data":{"max_agents":%d}}`, t.MaxAgents)
	case t.csv:
		t.print("%d\n", t.MaxAgents)
	default:
		t.print("Limit of agents: %d\n", t.MaxAgents)
	}
	return 0
}

func (t *tool) list(activeOnly bool) int {
	format := Text
	if t.csv {
		format = CSV
	}
	if t.json {
		format = JSON
	}
	o := ListOptions{Root: t.Root, Program: "agent_control", Hostname: t.Hostname, Now: t.now, ActiveOnly: activeOnly, Format: format, ServerMark: true}
	if err := List(t.Stdout, o); err != nil {
		t.log.Error("%v", err)
		return 1
	}
	return 0
}

// responses lists etc/shared/ar.conf; the restart of agents has a flag of its own and is left out.
func (t *tool) responses() int {
	f, err := os.Open(t.fleet.path("etc", "shared", "ar.conf"))
	if err != nil {
		t.print("\n** No active response available.\n\n")
		return 1
	}
	defer f.Close()
	if !t.json && !t.csv {
		t.print("\nOSSEC HIDS agent_control. Available active responses:\n")
	}
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		name, rest, ok := strings.Cut(sc.Text(), " - ")
		if !ok || name == "restart-ossec0" {
			continue
		}
		command, _, _ := strings.Cut(rest, " - ")
		t.print("\n   Response name: %s, command: %s\n", name, command)
	}
	t.print("\n")
	return 0
}

// send hands one request to the manager's listener.
func (t *tool) send(text string) error {
	const queue = "/queue/alerts/ar"
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: t.fleet.path("queue", "alerts", "ar"), Net: "unixgram"})
	if err != nil {
		reason := "Queue not found"
		if !errors.Is(err, os.ErrNotExist) {
			reason = err.Error()
		}
		t.log.Code(1210, "ERROR", "Queue '%s' not accessible: '%s'.", queue, reason)
		t.log.Code(1301, "ERROR", "Unable to connect to active response queue.")
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(text)); err != nil {
		t.log.Error("Unable to send to '%s': %v", queue, err)
		return err
	}
	return nil
}

const (
	notConnected     = "\n** Unable to connect to remoted.\n"
	notConnectedJSON = "Unable to connect to remoted"
	headline         = "\nOSSEC HIDS agent_control: "
)

func (t *tool) rescanAll() int {
	if t.send("(msg_to_agent) [] A!N (null) syscheck restart") != nil {
		return t.fail(41, notConnected, notConnectedJSON)
	}
	if t.json {
		t.respond("Restarting Syscheck/Rootcheck on all agents")
		return 0
	}
	t.print(headline + "Restarting Syscheck/Rootcheck on all agents.")
	return 0
}

func (t *tool) rescanOne(id string) int {
	if id != serverID && t.agent(id) == nil {
		return t.invalidID(id)
	}
	if t.rescan(id) != nil {
		return t.fail(43, notConnected, notConnectedJSON)
	}
	switch {
	case id == serverID && t.json:
		t.respond("Restarting Syscheck/Rootcheck locally")
	case id == serverID:
		t.print(headline + "Restarting Syscheck/Rootcheck locally.\n")
	case t.json:
		t.respond("Restarting Syscheck/Rootcheck on agent")
	default:
		t.print(headline+"Restarting Syscheck/Rootcheck on agent: %s\n", id)
	}
	return 0
}

// rescan asks an agent, or this server's scanner, for a scan.
func (t *tool) rescan(id string) error {
	if id != serverID {
		return t.send("(msg_to_agent) [] N!S " + id + " syscheck restart")
	}
	path := t.fleet.path("var", "run", ".syscheck_run")
	if err := os.WriteFile(path, []byte("/var/run/.syscheck_run\n"), 0o640); err != nil {
		t.log.Error("Unable to ask the local scanner: %v", err)
		return err
	}
	return nil
}

func (t *tool) restart(id string) int {
	if t.agent(id) == nil {
		return t.invalidID(id)
	}
	if t.send("(msg_to_agent) [] NNS "+id+" restart-ossec0 - null (from_the_server) (no_rule_id)") != nil {
		return t.fail(45, notConnected, notConnectedJSON)
	}
	if t.json {
		t.respond("Restarting agent")
		return 0
	}
	t.print(headline+"Restarting agent: %s\n", id)
	return 0
}

// respondActively asks an agent to run an active response. The parts of the request are separated by blanks, so they may hold none.
func (t *tool) respondActively(r request) int {
	if t.agent(r.agent) == nil {
		return t.invalidID(r.agent)
	}
	if _, err := netip.ParseAddr(r.block); err != nil || strings.ContainsAny(r.response, " \t\n\x00") {
		t.print("\n** Invalid argument combination.\n")
		return t.help(1)
	}
	if t.send("(msg_to_agent) [] NNS "+r.agent+" "+r.response+" - "+r.block+" (from_the_server) (no_rule_id)") != nil {
		return t.fail(45, notConnected, notConnectedJSON)
	}
	if t.json {
		t.respond("Running active response on agent")
		return 0
	}
	t.print(headline+"Running active response '%s' on: %s\n", r.response, r.agent)
	return 0
}
