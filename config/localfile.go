package config

import (
	"path/filepath"
	"strings"

	"github.com/vedette-hids/vedette/config/xmlconf"
)

// logFormats are the values of log_format, except multi-line:N.
var logFormats = map[string]bool{
	"syslog": true, "generic": true, "snort-full": true, "snort-fast": true, "apache": true, "iis": true, "squid": true, "nmapg": true,
	"mysql_log": true, "mssql_log": true, "postgresql_log": true, "ossecalert": true, "djb-multilog": true, "syslog-pipe": true,
	"command": true, "full_command": true, "audit": true, "modsec-audit": true, "journald": true, "multi-line_indented": true,
	"eventlog": true, "eventchannel": true,
	"json": true, "docker": true, "cri": true, // Vedette's own; OSSEC refuses them
}

// localfile reads one <localfile>.
func (p *parser) localfile(sec *xmlconf.Node) {
	l := Localfile{Frequency: 360, FromAgentConf: p.agent != nil, Pos: p.pos(sec)}
	hasLocation, hasCommand := false, false
	before := len(p.problems)
	for _, e := range sec.Children {
		switch {
		case e.Name == "location":
			l.Location, hasLocation = e.Text, true
		case strings.EqualFold(e.Name, "log_format"):
			p.logFormat(e, &l)
		case e.Name == "command":
			if !p.remoteCommandAllowed(e) {
				return
			}
			l.Command, hasCommand = e.Text, true
		case e.Name == "frequency":
			p.commandFrequency(e, &l)
		case strings.EqualFold(e.Name, "alias"):
			l.Alias = e.Text
		case e.Name == "only-future-events":
			l.OnlyFutureEvents = e.Text == "yes"
		case e.Name == "query":
			l.Query = e.Text
		default:
			p.unknownIn(sec, e)
		}
	}
	if p.problems[before:].Err() != nil {
		return
	}
	switch {
	case l.Format == "":
		p.fail(sec, 1901, "ERROR: Missing 'log_format' element.", "add <log_format>syslog</log_format>")
		return
	case !hasLocation && !hasCommand:
		p.fail(sec, 1902, "ERROR: Missing 'location' element.", "add <location>FILE</location>")
		return
	}
	if !hasLocation {
		l.Location = l.Command
	}
	p.checkLocalfile(sec, l, hasCommand)
	p.cfg.Localfiles = append(p.cfg.Localfiles, l)
}

// checkLocalfile warns of entries that will not do what was meant.
func (p *parser) checkLocalfile(sec *xmlconf.Node, l Localfile, hasCommand bool) {
	isCommand := l.Format == "command" || l.Format == "full_command"
	switch {
	case isCommand && !hasCommand:
		p.warn(sec, 0, "ERROR: Missing 'command' argument. This option will be ignored.", "add <command>PROGRAM ARGUMENTS</command>")
	case l.Format == "eventlog" && l.Location != "Application" && l.Location != "System" && l.Location != "Security":
		p.warn(sec, 1907, "INFO: Non-standard event log set: '"+l.Location+"'.", "")
	}
	if isCommand || p.root == "" || l.Format == "eventchannel" || l.Format == "journald" || !strings.ContainsAny(l.Location, "*?[") {
		return
	}
	if found, err := filepath.Glob(l.Location); err != nil || len(found) == 0 {
		p.warn(sec, 1121, "ERROR: Glob error. Invalid pattern: '"+l.Location+"'.", "no file matches now; the pattern is tried again at run time")
	}
}

// logFormat stores a format; "multi-line: 3" is taken apart.
func (p *parser) logFormat(e *xmlconf.Node, l *Localfile) {
	if logFormats[e.Text] {
		l.Format, l.Lines = e.Text, 0
		return
	}
	if rest, ok := strings.CutPrefix(e.Text, "multi-line"); ok {
		if n, ok := strings.CutPrefix(strings.TrimLeft(rest, " "), ":"); ok {
			if n = strings.Trim(n, " "); digits(n) && len(n) < 7 {
				l.Format, l.Lines = "multi-line", leadingInt(n)
				return
			}
		}
	}
	p.bad(e, "expected a format such as syslog, apache, audit, command, multi-line:N")
}

func (p *parser) commandFrequency(e *xmlconf.Node, l *Localfile) {
	switch e.Text {
	case "hourly":
		l.Frequency = 3600
	case "daily":
		l.Frequency = 86400
	default:
		p.num(e, &l.Frequency)
	}
}

// remoteCommandAllowed refuses commands in agent.conf unless the agent's own options allow them.
func (p *parser) remoteCommandAllowed(e *xmlconf.Node) bool {
	if p.agent == nil || p.agent.remoteCommands {
		return true
	}
	p.fail(e, 0, "Remote commands are not accepted from the manager. Ignoring it on the agent.conf",
		"set logcollector.remote_commands=1 in the agent's local_internal_options.conf to allow them")
	return false
}
