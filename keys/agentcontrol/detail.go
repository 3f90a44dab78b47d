package agentcontrol

import "strings"

// detail is -i: everything known about one agent.
func (t *tool) detail(id string, ends bool) int {
	d, ok := t.collect(id)
	if !ok {
		return t.invalidID(id)
	}
	switch {
	case t.json:
		t.detailJSON(d, ends)
	case t.csv:
		scans := []string{d.info.syscheckStart, d.info.rootStart}
		if ends {
			scans = []string{d.info.syscheckStart, d.info.syscheckEnd, d.info.rootStart, d.info.rootEnd}
		}
		fields := append([]string{d.id, d.name, d.ip, d.status, d.info.os, d.info.version, d.info.lastAlive}, scans...)
		mark := ""
		if d.maint != nil {
			mark = d.maint.String()
		}
		t.print("%s,%s\n", strings.Join(fields, ","), mark)
	default:
		t.detailText(d, ends)
	}
	return 0
}

// described is one agent with all that is known.
type described struct {
	id, name, ip, status string
	info                 info
	maint                *Maintenance
}

func (t *tool) collect(id string) (d described, ok bool) {
	owner := ""
	if id == serverID {
		uname := t.Uname
		if uname == "" {
			uname = systemName()
		}
		d = described{id: id, name: t.Hostname, ip: "127.0.0.1", status: "Active/Local"}
		d.info = info{os: uname, version: version, encryption: "unknown", lastAlive: "Not available"}
		t.fleet.readScans(&d.info, "rootcheck")
	} else {
		k := t.agent(id)
		if k == nil {
			return d, false
		}
		status, heard := t.fleet.status(k)
		d = described{id: k.ID, name: k.Name, ip: k.Net.String(), status: status, info: t.fleet.about(k, heard)}
		owner = k.Label()
	}
	path, err := MaintenanceFile(t.Root, owner)
	if err == nil {
		d.maint, err = ReadMaintenance(path)
	}
	if err != nil {
		t.log.Error("%v", err)
	}
	return d, true
}

func (t *tool) detailText(d described, ends bool) {
	shown := d.id
	if d.id == serverID {
		shown += " " // as ever
	}
	i := d.info
	t.print("\nOSSEC HIDS agent_control. Agent information:\n   Agent ID:   %s\n   Agent Name: %s\n   IP address: %s\n   Status:     %s\n\n", shown, d.name, d.ip, d.status)
	t.print("   Operating system:    %s\n   Client version:      %s\n   Encryption:          %s\n   Last keep alive:     %s\n\n", i.os, i.version, i.encryption, i.lastAlive)
	if ends {
		t.print("   Syscheck last started at:  %s\n   Syscheck last ended   at:  %s\n   Rootcheck last started at: %s\n   Rootcheck last ended   at: %s\n\n", i.syscheckStart, i.syscheckEnd, i.rootStart, i.rootEnd)
	} else {
		t.print("   Syscheck last started  at: %s\n   Rootcheck last started at: %s\n", i.syscheckStart, i.rootStart)
	}
	if d.maint == nil {
		t.print("   FIM maintenance mode:  disabled\n")
		return
	}
	pending := ""
	if d.maint.PendingEnd {
		pending = " (pending end)"
	}
	t.print("   FIM maintenance mode:  %s%s\n   Maint enabled since:   %d (%d hours ago)\n   Silent FIM accepts:    %d\n", d.maint, pending, d.maint.EnabledAt, d.maint.since(t.now), d.maint.SilentUpdates)
}

func (t *tool) detailJSON(d described, ends bool) {
	r := struct {
		ID            string `json:"id"`
		Name          string `json:"name"`
		IP            string `json:"ip"`
		Status        string `json:"status"`
		OS            string `json:"os"`
		Version       string `json:"version"`
		Encryption    string `json:"encryption"`
		LastKeepAlive string `json:"lastKeepAlive"`
		SyscheckTime  string `json:"syscheckTime"`
		SyscheckEnd   string `json:"syscheckEndTime"`
		RootcheckTime string `json:"rootcheckTime"`
		RootcheckEnd  string `json:"rootcheckEndTime"`
		Maintenance   string `json:"fimMaintenance"`
	}{
		ID: d.id, Name: d.name, IP: d.ip, Status: d.status, OS: d.info.os, Version: d.info.version, Encryption: d.info.encryption,
		LastKeepAlive: d.info.lastAlive, SyscheckTime: d.info.syscheckStart, RootcheckTime: d.info.rootStart, Maintenance: d.maint.String(),
	}
	if ends {
		r.SyscheckEnd, r.RootcheckEnd = d.info.syscheckEnd, d.info.rootEnd
	}
	t.respond(r)
}
