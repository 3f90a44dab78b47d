package config

import "github.com/vedette-hids/vedette/config/xmlconf"

// DefaultRootcheck is the section with its defaults, which also hold when the file has no section.
func DefaultRootcheck() *Rootcheck {
	return &Rootcheck{Frequency: 72000, BaseDirectory: "/", CheckDev: true, CheckFiles: true, CheckIf: true, CheckPids: true,
		CheckPorts: true, CheckSys: true, CheckTrojans: true, CheckUnixAudit: true}
}

// rootcheck reads one <rootcheck>.
func (p *parser) rootcheck(sec *xmlconf.Node) {
	if p.cfg.Rootcheck == nil {
		p.cfg.Rootcheck = DefaultRootcheck()
	}
	r := p.cfg.Rootcheck
	for _, e := range sec.Children {
		if flag := r.flag(e.Name); flag != nil {
			p.yesNo(e, flag)
			continue
		}
		switch e.Name {
		case "frequency":
			p.num(e, &r.Frequency)
		case "rootkit_files":
			r.RootkitFiles = e.Text
		case "rootkit_trojans":
			r.RootkitTrojans = e.Text
		case "system_audit":
			r.SystemAudit = append(r.SystemAudit, e.Text)
		case "base_directory":
			r.BaseDirectory = e.Text
		case "ignore":
			r.Ignore = append(r.Ignore, e.Text)
		case "windows_audit", "windows_apps", "windows_malware", "check_winapps", "check_winaudit", "check_winmalware":
			// Windows only
		default:
			p.unknownIn(sec, e)
		}
	}
}

// flag is the yes/no option of that element, nil when there is none.
func (r *Rootcheck) flag(name string) *bool {
	switch name {
	case "disabled":
		return &r.Disabled
	case "scanall":
		return &r.ScanAll
	case "readall":
		return &r.ReadAll
	case "skip_nfs":
		return &r.SkipNFS
	case "check_dev":
		return &r.CheckDev
	case "check_files":
		return &r.CheckFiles
	case "check_if":
		return &r.CheckIf
	case "check_pids":
		return &r.CheckPids
	case "check_ports":
		return &r.CheckPorts
	case "check_sys":
		return &r.CheckSys
	case "check_trojans":
		return &r.CheckTrojans
	case "check_unixaudit":
		return &r.CheckUnixAudit
	}
	return nil
}
