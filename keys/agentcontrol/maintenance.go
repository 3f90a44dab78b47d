package agentcontrol

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// Maintenance is the state of file integrity maintenance of one agent: its changes are accepted without alerts.
type Maintenance struct {
	EnabledAt     int64 // seconds since the epoch
	PendingEnd    bool  // ends when the scan that was asked for is complete
	SilentUpdates int   // changes accepted so far
}

// String gives the mark that lists show.
func (m *Maintenance) String() string {
	switch {
	case m == nil:
		return "disabled"
	case m.PendingEnd:
		return "Maint(pending-end)"
	}
	return "Maint"
}

// MaintenanceFile gives the path of the marker: owner is an agent's "(name) ip", the name of an agentless device, or "" for the server.
func MaintenanceFile(root, owner string) (string, error) {
	if owner == "" {
		owner = "syscheck"
	}
	name, ok := fileName("." + owner + ".maint")
	if !ok {
		return "", fmt.Errorf("maintenance marker: %q cannot be part of a file name", owner)
	}
	return filepath.Join(root, "queue", "syscheck", name), nil
}

// ReadMaintenance reads a marker; nil without error means that there is none. A marker without a time began when the file was written.
func ReadMaintenance(path string) (*Maintenance, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("maintenance marker: %w", err)
	}
	defer f.Close()
	m := &Maintenance{}
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		name, value, _ := strings.Cut(sc.Text(), "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "enabled_at":
			m.EnabledAt = n
		case "pending_end":
			m.PendingEnd = n != 0
		case "silent_updates":
			m.SilentUpdates = int(n)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("maintenance marker %s: %w", path, err)
	}
	if m.EnabledAt == 0 {
		if st, err := f.Stat(); err == nil {
			m.EnabledAt = st.ModTime().Unix()
		}
	}
	return m, nil
}

// WriteMaintenance writes a marker, or removes it when m is nil.
func WriteMaintenance(path string, m *Maintenance) error {
	if m == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("maintenance marker: %w", err)
		}
		return nil
	}
	pending := 0
	if m.PendingEnd {
		pending = 1
	}
	text := fmt.Sprintf("#!maint\nenabled_at=%d\npending_end=%d\nsilent_updates=%d\n", m.EnabledAt, pending, m.SilentUpdates)
	return atomicfile.Write(path, []byte(text), 0o640)
}

// maintenance carries out -M.
func (t *tool) maintenance(action, id string) int {
	if id == "" {
		return t.fail(44, "\n** -M requires -u <agent_id>.\n", "-M requires -u <agent_id>")
	}
	switch action {
	case "enable", "disable", "status", "end":
	default:
		return t.fail(45, fmt.Sprintf("\n** Invalid -M action '%s' (use enable|disable|status|end).\n", action), "Invalid -M action")
	}
	owner := ""
	if id != serverID {
		k := t.agent(id)
		if k == nil {
			return t.invalidID(id)
		}
		owner = k.Label()
	}
	path, err := MaintenanceFile(t.Root, owner)
	if err == nil {
		err = t.maintain(path, action, id)
	}
	if errors.Is(err, errDelivery) {
		return t.fail(47, "\n** Unable to connect to remoted.\n", "Unable to connect to remoted")
	}
	if err != nil {
		t.log.Error("%v", err)
		return t.fail(46, fmt.Sprintf("\n** Unable to update FIM maintenance mode for agent %s.\n", id), "Unable to update FIM maintenance mode")
	}
	return 0
}

var errDelivery = errors.New("request not delivered")

func (t *tool) maintain(path, action, id string) error {
	before, err := ReadMaintenance(path)
	if err != nil {
		return err
	}
	after := before
	if before == nil && (action == "enable" || action == "end") {
		after = &Maintenance{EnabledAt: t.now.Unix()}
	}
	switch action {
	case "enable":
		err = WriteMaintenance(path, after)
	case "disable":
		after = nil
		err = WriteMaintenance(path, nil)
	case "end":
		ending := *after
		ending.PendingEnd = true
		after = &ending
		if err = WriteMaintenance(path, after); err == nil {
			if err = t.rescan(id); err != nil {
				return errors.Join(fmt.Errorf("%w: %w", errDelivery, err), WriteMaintenance(path, before))
			}
		}
	}
	if err != nil {
		return err
	}
	t.reportMaintenance(action, id, after)
	return nil
}

func (t *tool) reportMaintenance(action, id string, m *Maintenance) {
	if t.json {
		type response struct {
			Agent   string `json:"agent"`
			State   string `json:"fimMaintenance"`
			Action  string `json:"action"`
			At      *int64 `json:"fimMaintEnabledAt,omitempty"`
			Updates *int   `json:"fimMaintSilentUpdates,omitempty"`
			Pending *bool  `json:"fimMaintPendingEnd,omitempty"`
		}
		r := response{Agent: id, State: "disabled", Action: action}
		if m != nil {
			r.State, r.At, r.Updates, r.Pending = "enabled", &m.EnabledAt, &m.SilentUpdates, &m.PendingEnd
			if m.PendingEnd {
				r.State = m.String()
			}
		}
		t.respond(r)
		return
	}
	const head = "\nOSSEC HIDS agent_control: "
	switch {
	case action == "enable":
		t.print(head+"FIM maintenance mode enabled for agent %s.\n", id)
	case action == "disable":
		t.print("\n** Warning: immediate disable does not wait for a syscheck scan. Prefer '-M end' after patching.\n")
		t.print(head+"FIM maintenance mode disabled for agent %s.\n", id)
	case action == "end":
		t.print(head+"FIM maintenance end requested for agent %s.\nSyscheck/Rootcheck restart sent; maintenance clears when the baseline scan completes (syscheck-db-completed).\n", id)
	case m == nil:
		t.print(head+"Agent %s FIM maintenance mode: disabled\n", id)
	default:
		pending := 0
		if m.PendingEnd {
			pending = 1
		}
		t.print(head+"Agent %s FIM maintenance: %s\n   enabled_at=%d  silent_updates=%d  pending_end=%d\n", id, m, m.EnabledAt, m.SilentUpdates, pending)
	}
}

// since tells for how many hours the maintenance lasts.
func (m *Maintenance) since(now time.Time) int64 { return (now.Unix() - m.EnabledAt) / 3600 }
