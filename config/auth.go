package config

import (
	"net/netip"

	"github.com/vedette-hids/vedette/config/xmlconf"
)

// Auth is the <auth> section: the enrolment server inside the manager. OSSEC has ossec-authd's options instead.
type Auth struct {
	Disabled    bool
	Port        int
	LocalIP     netip.Addr // invalid: all addresses
	UseSourceIP bool       // the key works from the address that asked only
	UsePassword bool
	ForceInsert bool   // an agent that is new again takes the place of an old one with its name or address
	ForceTime   int    // if that was silent for this many seconds
	AgentCA     string // agents must show a certificate of this authority; "" = none is asked for
	Cert, Key   string // "" = etc/sslmanager.cert and .key, made when they are missing
	Pos         Position
}

// Defaults of <auth>.
const (
	authPort  = 1515
	forceTime = 3600
)

// auth reads <auth>.
func (p *parser) auth(sec *xmlconf.Node) {
	if p.cfg.Auth == nil {
		p.cfg.Auth = &Auth{Port: authPort, UsePassword: true, ForceTime: forceTime, Pos: p.pos(sec)}
	}
	a := p.cfg.Auth
	for _, e := range sec.Children {
		if p.endpoint(e.Name, e, &a.Port, &a.LocalIP) {
			continue
		}
		switch e.Name {
		case "disabled":
			p.yesNo(e, &a.Disabled)
		case "use_source_ip":
			p.yesNo(e, &a.UseSourceIP)
		case "use_password":
			p.yesNo(e, &a.UsePassword)
		case "force_insert":
			p.yesNo(e, &a.ForceInsert)
		case "force_time":
			p.num(e, &a.ForceTime)
		case "ssl_agent_ca":
			a.AgentCA = e.Text
		case "ssl_manager_cert":
			a.Cert = e.Text
		case "ssl_manager_key":
			a.Key = e.Text
		default:
			p.unknownIn(sec, e)
		}
	}
}
