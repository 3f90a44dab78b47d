package config

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/vedette-hids/vedette/config/xmlconf"
)

// syslogOutput reads one <syslog_output>.
func (p *parser) syslogOutput(sec *xmlconf.Node) {
	o := SyslogOutput{Port: 514, Format: "default", TLSVerify: true, Pos: p.pos(sec)}
	hasServer, udp := false, false
	before := len(p.problems)
	for _, e := range sec.Children {
		switch e.Name {
		case "server":
			hasServer = true
			o.Server = p.syslogServer(e)
		case "port":
			p.syslogPort(e, &o.Port)
		case "format":
			if e.Text != "default" && e.Text != "cef" && e.Text != "json" && e.Text != "splunk" {
				p.bad(e, "expected default, cef, json or splunk")
				break
			}
			o.Format = e.Text
		case "level":
			p.num(e, &o.Level)
		case "rule_id":
			p.ids(e, &o.RuleIDs)
		case "group":
			o.Group = p.match(e, e.Text)
		case "location":
			o.Location = p.match(e, e.Text)
		case "use_fqdn":
			p.yesNo(e, &o.UseFQDN)
		case "protocol":
			p.protocol(e, &o.TCP, false)
			udp = e.Text == "udp"
		case "tls":
			p.yesNo(e, &o.TLS)
		case "tls_verify":
			p.yesNo(e, &o.TLSVerify)
		case "tls_ca":
			if e.Text == "" {
				p.bad(e, "expected the path of a file of certificates")
			}
			o.TLSCA = e.Text
		default:
			p.unknownIn(sec, e)
		}
	}
	switch {
	case p.problems[before:].Err() != nil:
		return
	case !hasServer:
		p.fail(sec, 5301, "ERROR: Invalid client-syslog configuration.", "add <server>ADDRESS</server>")
		return
	case o.TLS && udp:
		p.fail(sec, 0, "ERROR: syslog_output tls=yes requires protocol=tcp (got protocol=udp).", "")
		return
	}
	o.TCP = o.TCP || o.TLS
	p.cfg.SyslogOutputs = append(p.cfg.SyslogOutputs, o)
}

func (p *parser) syslogServer(e *xmlconf.Node) string {
	switch {
	case e.Text == "":
		p.fail(e, 0, "ERROR: syslog_output server is empty.", "")
	case strings.Contains(e.Text, "/"):
		p.fail(e, 0, "ERROR: syslog_output server '"+e.Text+"' must be a hostname or IP address, not a network/CIDR.", "")
	}
	return e.Text
}

// syslogPort stores a port; OSSEC takes any number, here one out of range is warned of and not used.
func (p *parser) syslogPort(e *xmlconf.Node, out *int) {
	v := 0
	if !p.num(e, &v) {
		return
	}
	if v < 1 || v > 65535 {
		p.warn(e, 0, "WARN: Port "+e.Text+" of 'syslog_output' is out of range; "+itoa(*out)+" is used.", "expected 1 to 65535")
		return
	}
	*out = v
}

// database reads <database_output>. A section in which everything is empty does not count.
func (p *parser) database(sec *xmlconf.Node) {
	d := &Database{}
	if p.cfg.Database != nil {
		*d = *p.cfg.Database
	}
	before := len(p.problems)
	for _, e := range sec.Children {
		switch e.Name {
		case "hostname":
			d.Host = e.Text
		case "username":
			d.User = e.Text
		case "password":
			d.Password = e.Text
		case "database":
			d.Name = e.Text
		case "type":
			if e.Text != "mysql" && e.Text != "postgresql" {
				p.bad(e, "expected mysql or postgresql")
				break
			}
			d.Type = e.Text
		case "port":
			d.Port = leadingInt(e.Text)
		case "socket":
			d.Socket = e.Text
		default:
			p.unknownIn(sec, e)
		}
	}
	switch {
	case p.problems[before:].Err() != nil || *d == Database{Port: d.Port} && d.Port == 0:
		return
	case d.Host == "" || d.User == "" || d.Password == "" || d.Name == "" || d.Type == "":
		p.fail(sec, 5205, "ERROR: Missing database configuration. It requires host, user, pass and database.",
			"hostname, username, password, database and type are needed")
		return
	}
	p.cfg.Database = d
}

// reportFields are the elements that filter a report, with the field they filter.
var reportFields = map[string]string{"category": "group", "group": "group", "rule": "rule", "level": "level", "location": "location",
	"srcip": "srcip", "user": "user"}

// report reads one <reports>.
func (p *parser) report(sec *xmlconf.Node) {
	r := Report{Pos: p.pos(sec)}
	before := len(p.problems)
	for _, e := range sec.Children {
		switch e.Name {
		case "title":
			if r.Title == "" {
				r.Title = e.Text
			}
		case "type":
			if e.Text != "email" {
				p.warn(e, 1235, badValue(e.Name, e.Text), "expected email")
			}
		case "frequency":
			// reports are daily
		case "showlogs":
			r.ShowLogs = strings.EqualFold(e.Text, "yes")
		case "email_to":
			r.EmailTo = append(r.EmailTo, e.Text)
		default:
			if _, ok := reportFields[e.Name]; !ok {
				p.unknownIn(sec, e)
				continue
			}
			p.reportFilter(e, &r)
		}
	}
	if p.problems[before:].Err() != nil {
		return
	}
	if len(r.EmailTo) == 0 {
		text := `No "email to" and title configured for report. Ignoring it.`
		if r.Title != "" {
			text = `No "email to" configured for the report '` + r.Title + "'. Ignoring it."
		}
		p.warn(sec, 0, text, "add <email_to>ADDRESS</email_to>")
		return
	}
	if r.Title == "" {
		r.Title = "OSSEC Report (unnamed)"
	}
	p.cfg.Reports = append(p.cfg.Reports, r)
}

// reportFilter adds a filter or relation.
func (p *parser) reportFilter(e *xmlconf.Node, r *Report) {
	f := ReportFilter{Field: reportFields[e.Name], Value: reportText(e.Text)}
	for _, a := range e.Attrs {
		switch {
		case a.Name != "type":
			p.warn(e, 0, "WARN: Invalid attribute: "+a.Name+" (ignored). ", "only type is known here")
		case a.Value != "relation":
			p.warn(e, 0, "WARN: Invalid value for 'relation' attribute: '"+a.Value+"'. (ignored).", "expected relation")
		default:
			f.Relation = true
		}
	}
	if f.Relation {
		field, ok := reportFields[f.Value]
		if !ok {
			p.warn(e, 0, "ERROR: Invalid relation '"+f.Value+"'.", "expected group, rule, level, location, srcip or user")
			p.warn(e, 0, "Invalid filter: "+e.Name+":"+e.Text+" (ignored).", "")
			return
		}
		f.Value = field
	}
	r.Filters = append(r.Filters, f)
}

// reportText replaces what a filter may not hold by dashes.
func reportText(s string) string {
	b := []byte(s)
	for i, c := range b {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			b[i] = '-'
		}
	}
	return string(b)
}

// agentless reads one <agentless>.
func (p *parser) agentless(sec *xmlconf.Node) {
	a := Agentless{Frequency: 86400, Pos: p.pos(sec)}
	before := len(p.problems)
	for _, e := range sec.Children {
		switch e.Name {
		case "type":
			p.agentlessType(e)
			a.Type = e.Text
		case "host":
			a.Hosts = append(a.Hosts, e.Text)
		case "state":
			if e.Text != "periodic" && e.Text != "periodic_diff" && e.Text != "stay_connected" {
				p.bad(e, "expected periodic, periodic_diff or stay_connected")
			}
			a.State = e.Text
		case "frequency":
			p.num(e, &a.Frequency)
		case "port":
			p.num(e, &a.Port)
		case "run_command":
			a.RunCommand = e.Text
		case "arguments":
			a.Arguments = e.Text
		default:
			p.unknownIn(sec, e)
		}
	}
	switch {
	case p.problems[before:].Err() != nil:
		return
	case a.Type == "" || len(a.Hosts) == 0 || a.State == "":
		p.fail(sec, 7103, "ERROR: Missing agentless options.", "type, host and state are needed")
		return
	case a.Frequency == 0 && a.State != "stay_connected":
		p.fail(sec, 7102, "ERROR: Frequency not set for the periodic option.", "add <frequency>SECONDS</frequency>")
		return
	}
	p.cfg.Agentless = append(p.cfg.Agentless, a)
}

func (p *parser) agentlessType(e *xmlconf.Node) {
	if strings.ContainsAny(e.Text, `/\`) || e.Text == ".." || e.Text == "." {
		p.bad(e, "expected the name of a file in agentless/")
		return
	}
	if p.root == "" {
		return
	}
	if _, err := os.Stat(filepath.Join(p.root, "agentless", e.Text)); err != nil {
		p.fail(e, 0, "ERROR: Unable to find '"+e.Text+"' at '"+filepath.Join(p.root, "agentless")+"'.", "")
		p.bad(e, "expected the name of a file in agentless/")
	}
}
