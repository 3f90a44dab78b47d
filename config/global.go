package config

import (
	"regexp"

	"github.com/vedette-hids/vedette/config/xmlconf"
)

// mailAddress is all that OSSEC asks of an address.
var mailAddress = regexp.MustCompile(`[A-Za-z0-9._-]+@[A-Za-z0-9._-]`)

// global reads <global>; elements that only one of analysisd and maild checks narrow p.who.
func (p *parser) global(sec *xmlconf.Node) {
	both := p.who
	for _, e := range sec.Children {
		p.who = both
		if !p.globalAnalysis(e) && !p.globalMail(e) && !p.globalIgnored(e) {
			p.unknownIn(sec, e)
		}
	}
	p.who = both
}

func (p *parser) globalAnalysis(e *xmlconf.Node) bool {
	g := &p.cfg.Global
	p.who = Analysisd
	switch e.Name {
	case "logall":
		p.yesNo(e, &g.LogAll)
	case "logall_json":
		p.yesNo(e, &g.LogAllJSON)
	case "jsonout_output":
		p.yesNo(e, &g.JSONOut)
	case "custom_alert_output":
		g.CustomAlertOutput = e.Text
	case "stats":
		p.level(e, &g.Stats)
	case "memory_size":
		if p.num(e, &g.MemorySize) {
			g.MemorySize = max(g.MemorySize, 2048)
		}
	case "white_list", "allow_list":
		p.allow(e)
	case "ossec_exact":
		p.yesNo(e, &g.OssecExact)
	default:
		p.who = Analysisd | Maild
		return false
	}
	return true
}

// allow adds an entry that is never blocked: an address, or what is none, a host name.
func (p *parser) allow(e *xmlconf.Node) {
	g := &p.cfg.Global
	if a, err := ParseAddress(e.Text); err == nil {
		g.AllowIPs = append(g.AllowIPs, a)
		return
	}
	g.AllowHosts = append(g.AllowHosts, e.Text)
	if e.Text == "" || e.Text[0] >= '0' && e.Text[0] <= '9' {
		p.warn(e, 0, "WARN: '"+e.Text+"' in element '"+e.Name+"' is not an address and is taken as a host name.", errAddress.Error()+" was expected")
	}
}

func (p *parser) globalMail(e *xmlconf.Node) bool {
	g := &p.cfg.Global
	switch e.Name {
	case "email_notification":
		p.yesNo(e, &g.EmailNotification)
	case "email_to":
		if !mailAddress.MatchString(e.Text) {
			p.fail(e, 0, "ERROR: Invalid Email address: "+e.Text+".", "expected user@host")
			break
		}
		g.EmailTo = append(g.EmailTo, e.Text)
	case "email_from":
		g.EmailFrom = e.Text
	case "email_reply_to":
		g.EmailReplyTo = e.Text
	case "email_idsname":
		g.EmailIDSName = e.Text
	case "smtp_server":
		g.SMTPServer = e.Text
	case "helo_server":
		g.HeloServer = e.Text
	case "auth_smtp":
		p.yesNo(e, &g.AuthSMTP)
	case "secure_smtp":
		p.yesNo(e, &g.SecureSMTP)
	case "smtp_tls_verify":
		p.yesNo(e, &g.SMTPTLSVerify)
	case "smtp_user":
		g.SMTPUser = e.Text
	case "smtp_password":
		g.SMTPPassword = e.Text
	case "email_maxperhour":
		p.who = Maild
		p.ranged(e, &g.EmailMaxPerHour, 1, 9999)
	case "smtp_port":
		p.smtpPorts = append(p.smtpPorts, e) // checked only when mail is on
	default:
		return false
	}
	return true
}

// ranged stores a number within limits; message 1235 otherwise.
func (p *parser) ranged(e *xmlconf.Node, out *int, low, high int) {
	v := leadingInt(e.Text)
	if !digits(e.Text) || e.Text == "" || len(e.Text) > 9 || v < low || v > high {
		p.bad(e, "expected a number from "+itoa(low)+" to "+itoa(high))
		return
	}
	*out = v
}

// globalIgnored checks elements without effect: features of builds that Vedette replaces.
func (p *parser) globalIgnored(e *xmlconf.Node) bool {
	var b bool
	switch e.Name {
	case "integrity_checking", "rootkit_detection", "host_information", "prelude_log_level":
		p.who = Analysisd
		p.ignoredNum(e)
	case "prelude_output", "zeromq_output":
		p.who = Analysisd
		if p.yesNo(e, &b) && b {
			p.warn(e, 0, "WARN: Element '"+e.Name+"' is not supported and ignored.", "")
		}
	case "compress_alerts", "geoipdb", "prelude_profile", "zeromq_uri", "zeromq_server_cert", "zeromq_client_cert":
		// accepted, no effect
	case "geoip_db_path", "geoip6_db_path", "md5_allowlist", "md5_whitelist":
		p.warn(e, 0, "WARN: Element '"+e.Name+"' is not supported and ignored.", "")
	default:
		return false
	}
	return true
}

// finishGlobal looks at combinations.
func (p *parser) finishGlobal() {
	g := &p.cfg.Global
	pos := Position{File: p.file}
	warn := func(text, hint string, fatal bool) {
		p.problems = append(p.problems, Problem{Pos: pos, Text: text, Hint: hint, Warning: !fatal, Daemons: Maild})
	}
	if !g.EmailNotification {
		return
	}
	p.who = Maild
	for _, e := range p.smtpPorts {
		p.ranged(e, &g.SMTPPort, 1, 65535)
	}
	if g.AuthSMTP && (g.SMTPUser == "" || g.SMTPPassword == "") {
		warn("auth_smtp=yes requires both smtp_user and smtp_password to be set.", "", true)
	}
	if g.SMTPServer == "" || len(g.EmailTo) == 0 || g.EmailFrom == "" {
		warn("WARN: email_notification is yes, but smtp_server, email_to or email_from is missing: no mail can be sent.",
			"Add them to <global>, or set email_notification to no.", false)
	}
}

// alerts reads <alerts>.
func (p *parser) alerts(sec *xmlconf.Node) {
	for _, e := range sec.Children {
		switch e.Name {
		case "log_alert_level":
			p.level(e, &p.cfg.Alerts.LogLevel)
		case "email_alert_level":
			p.level(e, &p.cfg.Alerts.EmailLevel)
		case "use_geoip":
			p.warn(e, 0, "WARN: Element 'use_geoip' is not supported and ignored.", "")
		default:
			p.unknownIn(sec, e)
		}
	}
}

// emailAlerts reads one <email_alerts>.
func (p *parser) emailAlerts(sec *xmlconf.Node) {
	a := EmailAlert{Pos: p.pos(sec)}
	before := len(p.problems)
	for _, e := range sec.Children {
		switch e.Name {
		case "email_to":
			a.To = e.Text
		case "level":
			p.num(e, &a.Level)
		case "rule_id":
			p.ids(e, &a.RuleIDs)
		case "group":
			a.Group = p.match(e, e.Text)
		case "event_location":
			a.EventLocation = p.match(e, e.Text)
		case "do_not_delay":
			a.DoNotDelay = true
		case "do_not_group":
			a.DoNotGroup = true
		case "format":
			if e.Text != "default" {
				p.bad(e, "expected default")
			}
		default:
			p.unknownIn(sec, e)
		}
	}
	if p.problems[before:].Err() != nil {
		return
	}
	if a.To == "" || a.Level == 0 && len(a.RuleIDs) == 0 && a.Group == nil && a.EventLocation == nil && !a.DoNotDelay && !a.DoNotGroup {
		p.fail(sec, 1224, "ERROR: Invalid 'email_alerts' config (missing parameters).",
			"email_to and one of level, rule_id, group, event_location, do_not_delay, do_not_group are needed")
		return
	}
	p.cfg.EmailAlerts = append(p.cfg.EmailAlerts, a)
}
