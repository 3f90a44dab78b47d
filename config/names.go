package config

import (
	"context"
	"net"
	"net/netip"
	"strings"
)

// Resolver looks up host names; *net.Resolver is one.
type Resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// CheckNames looks up the host names that the configuration uses, as `-t` of OSSEC's programs does: mail server and syslog destinations must
// resolve, managers of an agent should. A nil resolver is that of the host.
func CheckNames(ctx context.Context, cfg *Config, r Resolver) Problems {
	if r == nil {
		r = net.DefaultResolver
	}
	resolves := func(host string) bool {
		if _, err := netip.ParseAddr(host); err == nil {
			return true
		}
		if _, ok := parseHost(host); ok {
			return true
		}
		_, err := r.LookupHost(ctx, host)
		return err == nil
	}
	var ps Problems
	g := &cfg.Global
	pos := Position{File: cfg.File}
	if g.EmailNotification && g.SMTPServer != "" && !strings.HasPrefix(g.SMTPServer, "/") && !resolves(g.SMTPServer) {
		ps = append(ps, Problem{Pos: pos, Code: 1501, Daemons: Maild, Text: "ERROR: Invalid SMTP Server: " + g.SMTPServer,
			Hint: "The name does not resolve."})
	}
	for _, o := range cfg.SyslogOutputs {
		if !resolves(o.Server) {
			ps = append(ps, Problem{Pos: o.Pos, Daemons: Csyslogd,
				Text: "ERROR: Unable to resolve syslog_output server hostname '" + o.Server + "'."})
		}
	}
	if cfg.Client == nil {
		return ps
	}
	for _, s := range cfg.Client.Servers {
		if !resolves(s.Host) {
			ps = append(ps,
				Problem{Pos: pos, Daemons: Agentd, Warning: true, Text: "WARN: '" + s.Host + "' does not resolve to an address."},
				Problem{Pos: pos, Code: 4104, Daemons: Agentd, Warning: true, Text: "ERROR: Invalid hostname: '" + s.Host + "'."})
		}
	}
	return ps
}
