package agentcontrol

import (
	"time"
)

// Agent is what the manager knows about an agent from its files.
type Agent struct {
	ID, Name string
	IP       string // ip field without prefix length, as in file names
	Network  string // ip field with prefix length: "any/0", "10.1.0.5/32"
	Label    string // "(name) ip"
	Status   string // "Active", "Disconnected" or "Never connected"
	Heard    time.Time

	// As the agent says, "Unknown" when it has not said anything.
	OS, Version, Encryption string

	// Vedette's agents say more: the MD5 of the agent.conf they run with ("" = none), and their profile ("" = none).
	Vedette          bool
	Running, Profile string

	// Zero when not known.
	SyscheckStart, SyscheckEnd, RootcheckStart, RootcheckEnd time.Time

	Maintenance *Maintenance // nil = off
}

// Agents lists the agents of client.keys, in its order.
func Agents(root string, now time.Time) ([]Agent, error) {
	f := fleet{root: root, now: now, loc: time.UTC}
	set, err := f.keys()
	if err != nil {
		return nil, err
	}
	var out []Agent
	for _, k := range set.All() {
		status, heard := f.status(k)
		i := f.about(k, heard)
		a := Agent{
			ID: k.ID, Name: k.Name, IP: k.IP, Network: k.Net.String(), Label: k.Label(), Status: status, Heard: heard,
			OS: i.os, Version: i.version, Encryption: i.encryption,
			Vedette: i.vedette, Running: i.running, Profile: i.profile,
			SyscheckStart: clock(i.syscheckStart), SyscheckEnd: clock(i.syscheckEnd),
			RootcheckStart: clock(i.rootStart), RootcheckEnd: clock(i.rootEnd),
		}
		if path, err := MaintenanceFile(root, k.Label()); err == nil {
			if a.Maintenance, err = ReadMaintenance(path); err != nil {
				return nil, err
			}
		}
		out = append(out, a)
	}
	return out, nil
}

// clock reads a time that info holds as a text.
func clock(s string) time.Time {
	t, err := time.ParseInLocation(timeForm, s, time.UTC)
	if err != nil {
		return time.Time{}
	}
	return t
}
