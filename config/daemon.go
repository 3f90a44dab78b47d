package config

import "strings"

// Daemon is a set of OSSEC's programs. Each program reads only its own sections (spec configuration.md, section 2.1), so a problem belongs to
// the programs that would have found it.
type Daemon uint16

// The programs.
const (
	Analysisd Daemon = 1 << iota
	Remoted
	Syscheckd
	Logcollector
	Maild
	Execd
	Monitord
	Csyslogd
	Dbd
	Agentlessd
	Agentd
	Authd
)

// The programs that run on each kind of host. A Vedette manager is all of ManagerPrograms in one, an agent all of AgentPrograms.
const (
	AgentPrograms   = Agentd | Logcollector | Syscheckd | Execd
	ManagerPrograms = Analysisd | Remoted | Syscheckd | Logcollector | Maild | Execd | Monitord | Csyslogd | Dbd | Agentlessd | Authd
	LocalPrograms   = ManagerPrograms &^ (Remoted | Authd)
	AllPrograms     = ManagerPrograms | AgentPrograms
)

// exceptExecd are the programs that check the structure of the file; execd looks for two values only.
const exceptExecd = AllPrograms &^ Execd

var daemonNames = []string{"ossec-analysisd", "ossec-remoted", "ossec-syscheckd", "ossec-logcollector", "ossec-maild", "ossec-execd",
	"ossec-monitord", "ossec-csyslogd", "ossec-dbd", "ossec-agentlessd", "ossec-agentd", "ossec-authd"}

// ParseDaemon finds a program by name, "ossec-remoted" or "remoted". Programs that read what another one reads count as that one (ossec-logtest,
// ossec-makelists).
func ParseDaemon(name string) (Daemon, bool) {
	name = strings.TrimPrefix(name, "ossec-")
	switch name {
	case "logtest", "makelists":
		return Analysisd, true
	}
	for i, n := range daemonNames {
		if n == "ossec-"+name {
			return 1 << i, true
		}
	}
	return 0, false
}

// String lists the names.
func (d Daemon) String() string {
	var names []string
	for i, n := range daemonNames {
		if d&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ",")
}

// ForDaemon returns what the named OSSEC program finds wrong with a loaded configuration: its share of the problems, and for programs that
// refuse to start without their section, that. It is what `-t` reports.
func ForDaemon(name string, cfg *Config, ps Problems) Problems {
	d, ok := ParseDaemon(name)
	if !ok {
		return ps
	}
	out := ps.For(d)
	if d == Agentd && cfg.Client == nil && out.Err() == nil {
		out = append(out, Problem{Code: 4105, Text: "ERROR: No valid server IP found.", Daemons: Agentd,
			Hint: "Add <client><server-ip>ADDRESS</server-ip></client>."})
	}
	return out
}
