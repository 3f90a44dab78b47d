package agentcontrol

import (
	"fmt"
	"io"
	"os"
	"time"
)

// serverID stands for the manager's own host.
const serverID = "000"

// Format is how a tool prints.
type Format uint8

// The three formats.
const (
	Text Format = iota
	CSV
	JSON
)

// ListOptions says what List shows.
type ListOptions struct {
	Root       string // install root
	Program    string // name in the headline
	Hostname   string // of the manager
	Now        time.Time
	ActiveOnly bool
	Format     Format
	ServerMark bool // show the server's maintenance too, as agent_control does
}

type listed struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	IP          string `json:"ip"`
	Status      string `json:"status"`
	Maintenance string `json:"fimMaintenance,omitempty"`
}

// List prints the agents with their state: the server first, then the lines of client.keys, then agentless devices.
func List(w io.Writer, o ListOptions) error {
	f := fleet{root: o.Root, now: o.Now}
	set, err := f.keys()
	if err != nil {
		return err
	}
	server := listed{serverID, o.Hostname, "127.0.0.1", "Active/Local", ""}
	if o.ServerMark {
		server.Maintenance = f.mark("")
	}
	agents := []listed{}
	for _, k := range set.All() {
		status, _ := f.status(k)
		if !o.ActiveOnly || status == statusActive {
			agents = append(agents, listed{k.ID, k.Name, k.IPField, status, f.mark(k.Label())})
		}
	}
	var devices []listed
	if !o.ActiveOnly {
		for _, a := range f.agentless() {
			devices = append(devices, listed{"na", a.name, a.ip, "agentless", f.mark(a.name)})
		}
	}
	switch o.Format {
	case JSON:
		server.Status = statusActive
		return writeJSON(w, success{Response: append(append([]listed{server}, agents...), devices...)})
	case CSV:
		server.Name += " (server)"
		for _, a := range append(append([]listed{server}, agents...), devices...) {
			fmt.Fprintf(w, "%s,%s,%s,%s,%s\n", a.ID, a.Name, a.IP, a.Status, a.Maintenance)
		}
		fmt.Fprintln(w)
		return nil
	}
	server.Name += " (server)"
	fmt.Fprintf(w, "\nOSSEC HIDS %s. List of available agents:\n", o.Program)
	for _, a := range append([]listed{server}, agents...) {
		a.line(w)
	}
	fmt.Fprintln(w)
	if !o.ActiveOnly {
		fmt.Fprint(w, "List of agentless devices:\n")
		for _, d := range devices {
			d.line(w)
		}
		fmt.Fprintln(w)
	}
	return nil
}

func (a listed) line(w io.Writer) {
	mark := ""
	if a.Maintenance != "" {
		mark = ", " + a.Maintenance
	}
	fmt.Fprintf(w, "   ID: %s, Name: %s, IP: %s, %s%s\n", a.ID, a.Name, a.IP, a.Status, mark)
}

// mark gives the maintenance mark of an owner, "" when there is none.
func (f fleet) mark(owner string) string {
	path, err := MaintenanceFile(f.root, owner)
	if err != nil {
		return ""
	}
	m, err := ReadMaintenance(path)
	if err != nil || m == nil {
		return ""
	}
	return m.String()
}

// RunListAgents is the tool list_agents. Only the first argument counts.
func RunListAgents(env Env) int {
	t := newTool(env)
	if len(env.Args) == 0 {
		t.listHelp()
		return 1
	}
	want, words := "", ""
	switch env.Args[0] {
	case "-h":
		t.listHelp()
		return 0
	case "-a":
		words = "available"
	case "-c":
		want, words = statusActive, "active"
	case "-n":
		want, words = statusDisconnected, "not active"
	default:
		t.print("\n** Invalid option '%s'.\n", env.Args[0])
		t.listHelp()
		return 1
	}
	set, err := t.fleet.keys()
	if err != nil {
		t.log.Error("%v", err)
		return 1
	}
	none := true
	for _, k := range set.All() {
		status, _ := t.fleet.status(k)
		if status != statusNever && (want == "" || want == status) {
			t.print("%s-%s is %s.\n", k.Name, k.IP, words)
			none = false
		}
	}
	if none {
		t.print("** No agent available.\n")
	}
	return 0
}

func (t *tool) listHelp() {
	t.print(`
OSSEC HIDS list_agents: List available agents.
  -a    every agent that has connected
  -c    agents that are connected
  -n    agents that were connected and are not now
  -h    this help
`)
}

func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return h
}
