package agents

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/keys/agentcontrol"
	"github.com/vedette-hids/vedette/keys/manageagents"
)

// The states of an agent.
const (
	Active       = "active"
	Disconnected = "disconnected"
	Never        = "never connected"
)

// Agent is one agent as shown to people and, with its JSON form, to programs.
type Agent struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	IP       string     `json:"ip"`
	Status   string     `json:"status"`              // Active, Disconnected or Never
	LastSeen *time.Time `json:"last_seen,omitempty"` // nil: never
	OS       string     `json:"os,omitempty"`
	Version  string     `json:"version,omitempty"`
	Cipher   string     `json:"cipher,omitempty"`
	Vedette  bool       `json:"vedette,omitempty"` // tells its profile, and which agent.conf it runs with
	Profile  string     `json:"profile,omitempty"`

	SyscheckStarted  *time.Time `json:"syscheck_started,omitempty"`
	SyscheckEnded    *time.Time `json:"syscheck_ended,omitempty"`
	RootcheckStarted *time.Time `json:"rootcheck_started,omitempty"`
	RootcheckEnded   *time.Time `json:"rootcheck_ended,omitempty"`
	Maintenance      bool       `json:"fim_maintenance"` // file changes are accepted without alerts

	running string // MD5 of the agent.conf it runs with
	label   string // "(name) ip"
	file    string // "name-ip"
}

// Label is the agent's form in locations and file names: "(name) ip".
func (a *Agent) Label() string { return a.label }

// List gives all agents in the order of client.keys.
func List(root string, now time.Time) ([]Agent, error) {
	known, err := agentcontrol.Agents(root, now)
	if err != nil {
		return nil, err
	}
	out := make([]Agent, 0, len(known))
	for _, k := range known {
		a := Agent{ID: k.ID, Name: k.Name, IP: k.Network, Status: strings.ToLower(k.Status), LastSeen: at(k.Heard), OS: told(k.OS), Version: told(k.Version),
			Cipher: told(k.Encryption), Vedette: k.Vedette, Profile: k.Profile, running: k.Running,
			SyscheckStarted: at(k.SyscheckStart), SyscheckEnded: at(k.SyscheckEnd), RootcheckStarted: at(k.RootcheckStart),
			RootcheckEnded: at(k.RootcheckEnd), Maintenance: k.Maintenance != nil, label: k.Label, file: k.Name + "-" + k.IP}
		out = append(out, a)
	}
	return out, nil
}

func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// told leaves out what an agent did not say.
func told(s string) string {
	if strings.EqualFold(s, "unknown") {
		return ""
	}
	return s
}

// ErrUnknown is wrapped by the error for an agent that is not there.
var ErrUnknown = errors.New("no such agent")

// Find finds an agent by id ("1" is "001") or name.
func Find(list []Agent, who string) (*Agent, error) {
	for i := range list {
		if list[i].ID == keys.PadID(who) || list[i].ID == who {
			return &list[i], nil
		}
	}
	for i := range list {
		if list[i].Name == who {
			return &list[i], nil
		}
	}
	return nil, fmt.Errorf("%w: %q is neither an id nor a name", ErrUnknown, who)
}

// ErrShared is wrapped by the error for an agent whose id another one has too.
var ErrShared = errors.New("two agents have the same id")

// Single refuses an agent that is not the only one with its id: what is done by the id would hit the first of them, whichever was meant. client.keys has to
// be repaired first.
func Single(list []Agent, a *Agent) error {
	for i := range list {
		if o := &list[i]; o.ID == a.ID && (o.Name != a.Name || o.IP != a.IP) {
			return fmt.Errorf("%w: %s is %q and %q; give one of them another id in etc/client.keys", ErrShared, a.ID, o.Name, a.Name)
		}
	}
	return nil
}

// Stale gives the agents that were connected once and not for longer than d. Agents that never connected are new rather than stale and
// are left out.
func Stale(list []Agent, d time.Duration, now time.Time) []Agent {
	var out []Agent
	for _, a := range list {
		if a.Status == Disconnected && a.LastSeen != nil && now.Sub(*a.LastSeen) > d {
			out = append(out, a)
		}
	}
	return out
}

// Remove removes agents, all or none: their keys are taken out of client.keys, and what was known about them is moved to backup/agents.
func Remove(root string, ids ...string) error {
	if err := manageagents.RemoveAll(root, ids, time.Now()); errors.Is(err, keys.ErrNoID) {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	} else if err != nil {
		return fmt.Errorf("removing agents: %w", err)
	}
	return nil
}

func keyFile(root string) string { return filepath.Join(root, "etc", "client.keys") }

// Rename gives an agent another name and returns the key text that the agent has to import: with Blowfish it cannot talk before that, because its
// name is part of its cipher key. What the agent said and what rootcheck found goes by the new name; file states are learnt anew at the
// agent's next start.
func Rename(root string, a *Agent, name string) (keyText string, err error) {
	mode := fs.FileMode(0o640)
	if st, err := os.Stat(keyFile(root)); err == nil {
		mode = st.Mode().Perm()
	}
	var e keys.Entry
	err = keys.Edit(keyFile(root), mode, func(f *keys.File) error {
		var err error
		e, err = f.Rename(a.ID, name)
		return err
	})
	if err != nil {
		return "", err
	}
	ip := strings.TrimPrefix(a.file, a.Name+"-")
	for from, to := range map[string]string{
		"queue/agent-info/" + a.file:                 "queue/agent-info/" + name + "-" + ip,
		"queue/rootcheck/" + a.label + "->rootcheck": "queue/rootcheck/(" + name + ") " + ip + "->rootcheck",
	} {
		err := os.Rename(filepath.Join(root, filepath.FromSlash(from)), filepath.Join(root, filepath.FromSlash(to)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return keys.ExportText(e.String()), fmt.Errorf("the agent was renamed, but not what is known about it: %w", err)
		}
	}
	return keys.ExportText(e.String()), nil
}
