package config

import (
	"net/netip"
	"strings"

	"github.com/vedette-hids/vedette/config/xmlconf"
)

// maxRemotes is the number of <remote> sections.
const maxRemotes = 16

// remote reads one <remote>.
func (p *parser) remote(sec *xmlconf.Node) {
	r := Remote{AcceptAES: true, AcceptBlowfish: true, Pos: p.pos(sec)}
	connection, secure := false, 0
	before := len(p.problems)
	for _, e := range sec.Children {
		name := strings.ToLower(e.Name)
		if p.endpoint(name, e, &r.Port, &r.LocalIP) {
			continue
		}
		switch name {
		case "connection":
			connection = true
			if r.Secure = e.Text == "secure"; r.Secure {
				secure++
			}
			if !r.Secure && e.Text != "syslog" {
				p.bad(e, "expected secure or syslog")
			}
			if secure > 1 {
				p.fail(e, 0, "Only one <connection>secure</connection> is supported.", "")
			}
		case "protocol":
			p.protocol(e, &r.TCP, true)
		case "ipv6":
			// accepted, no effect: all listeners take both families
		case "crypto_accept":
			p.cryptoAccept(e, &r)
		default:
			p.remoteList(sec, e, &r)
		}
	}
	switch {
	case p.problems[before:].Err() != nil:
		return
	case !connection:
		p.fail(sec, 1201, "ERROR: No remote connection configured.", "add <connection>secure</connection>")
		return
	case len(p.cfg.Remotes) == maxRemotes:
		p.fail(sec, 0, "Too many remoted connections (max 16).", "")
		return
	}
	if r.Port == 0 && r.Secure {
		r.Port = 1514
	} else if r.Port == 0 {
		r.Port = 514
	}
	p.cfg.Remotes = append(p.cfg.Remotes, r)
}

// remoteList reads the access lists; these names are case-sensitive.
func (p *parser) remoteList(sec, e *xmlconf.Node, r *Remote) {
	var list *[]AddressSpec
	switch e.Name {
	case "allowed-ips":
		list = &r.Allowed
	case "denied-ips":
		list = &r.Denied
	default:
		p.unknownIn(sec, e)
		return
	}
	a, err := ParseAddress(e.Text)
	if err != nil {
		p.badAddress(e, err.Error())
		return
	}
	*list = append(*list, a)
}

// badAddress is message 1237.
func (p *parser) badAddress(e *xmlconf.Node, hint string) {
	p.fail(e, 1237, "ERROR: Invalid ip address: '"+e.Text+"'.", hint)
}

func (p *parser) hostAddress(e *xmlconf.Node, store func()) {
	if _, ok := singleAddress(e.Text); !ok {
		p.badAddress(e, "expected a numeric address without prefix length")
		return
	}
	store()
}

// endpoint reads what every section about one end of a connection has, <port> and <local_ip>; false for other elements.
func (p *parser) endpoint(name string, e *xmlconf.Node, port *int, local *netip.Addr) bool {
	switch name {
	case "port":
		p.port(e, port)
	case "local_ip":
		p.hostAddress(e, func() { *local, _ = singleAddress(e.Text) })
	default:
		return false
	}
	return true
}

// port stores a port; a number out of range gives the message that OSSEC gives.
func (p *parser) port(e *xmlconf.Node, out *int) {
	if !digits(e.Text) {
		p.bad(e, "expected a port from 1 to 65535")
		return
	}
	v := 0
	if e.Text != "" {
		v = leadingInt(e.Text)
	}
	if v < 1 || v > 65535 {
		p.fail(e, 1205, "INFO: No port specified. Using default: '"+itoa(v)+"'.", "expected a port from 1 to 65535")
		return
	}
	*out = v
}

// protocol stores udp or tcp.
func (p *parser) protocol(e *xmlconf.Node, tcp *bool, anyCase bool) {
	text := e.Text
	if anyCase {
		text = strings.ToLower(text)
	}
	if text != "udp" && text != "tcp" {
		p.bad(e, "expected udp or tcp")
		return
	}
	*tcp = text == "tcp"
}

func (p *parser) cryptoAccept(e *xmlconf.Node, r *Remote) {
	switch strings.ToLower(e.Text) {
	case "both", "any":
		r.AcceptAES, r.AcceptBlowfish = true, true
	case "aes":
		r.AcceptAES, r.AcceptBlowfish = true, false
	case "blowfish":
		r.AcceptAES, r.AcceptBlowfish = false, true
	default:
		p.bad(e, "expected aes, blowfish or both")
	}
}

// finishRemotes looks at all sections together. All syslog listeners share one access list, as in OSSEC.
func (p *parser) finishRemotes() {
	p.who = Remoted
	var allowed, denied []AddressSpec
	last := len(p.cfg.Remotes) - 1
	secure := map[netip.AddrPort]bool{}
	for _, r := range p.cfg.Remotes {
		allowed, denied = append(allowed, r.Allowed...), append(denied, r.Denied...)
		if !r.Secure {
			continue
		}
		// OSSEC has one for all; here each address and port may have its own.
		at := netip.AddrPortFrom(r.LocalIP, uint16(r.Port))
		if secure[at] || len(secure) > 0 && p.cfg.Global.OssecExact {
			p.problems = append(p.problems, Problem{Pos: r.Pos, Daemons: Remoted,
				Text: "ERROR: Only one secure remoted connection is supported.", Hint: "Remove one of the <remote> sections, or give it another <local_ip> or <port>."})
		}
		secure[at] = true
	}
	for i := range p.cfg.Remotes {
		r := &p.cfg.Remotes[i]
		if p.cfg.Global.OssecExact {
			r.AcceptAES, r.AcceptBlowfish = p.cfg.Remotes[last].AcceptAES, p.cfg.Remotes[last].AcceptBlowfish
		}
		if r.Secure {
			continue
		}
		r.Allowed, r.Denied = allowed, denied
		if len(allowed) == 0 {
			p.problems = append(p.problems, Problem{Pos: r.Pos, Code: 1501, Daemons: Remoted, Warning: true,
				Text: "ERROR: No IP or network allowed in the access list for syslog. No reason for running it. Exiting.",
				Hint: "Add <allowed-ips>NETWORK</allowed-ips>."})
		}
	}
}

// Defaults of <client>.
const (
	defaultNotifyTime = 600
	defaultReconnect  = 1800
	defaultSpool      = 64 << 20
	agentPort         = 1514
)

// client reads one <client>. Several sections add up their servers; the times and the cipher start from their defaults in each.
func (p *parser) client(sec *xmlconf.Node) {
	if p.cfg.Client == nil {
		p.cfg.Client = &Client{SpoolSize: defaultSpool}
		p.clientPort = agentPort
	}
	c := p.cfg.Client
	c.NotifyTime, c.TimeReconnect, c.AES = 0, defaultReconnect, true
	for _, e := range sec.Children {
		if p.endpoint(e.Name, e, &p.clientPort, &c.LocalIP) {
			continue
		}
		switch e.Name {
		case "server-ip":
			p.hostAddress(e, func() { c.Servers = append(c.Servers, Server{Host: e.Text}) })
		case "server-hostname":
			c.Servers = append(c.Servers, Server{Host: e.Text})
		case "protocol":
			p.protocol(e, &p.clientTCP, true)
		case "notify_time":
			p.num(e, &c.NotifyTime)
		case "time-reconnect":
			p.num(e, &c.TimeReconnect)
		case "config-profile":
			c.Profile = e.Text
		case "disable-active-response":
			p.yesNo(e, &c.DisableAR)
		case "crypto_method":
			p.cryptoMethod(e, c)
		case "spool_size":
			mib := 0
			p.ranged(e, &mib, 1, 1<<20)
			c.SpoolSize = int64(mib) << 20
		default:
			p.unknownIn(sec, e)
		}
	}
	p.clientTimes(sec, c)
}

func (p *parser) cryptoMethod(e *xmlconf.Node, c *Client) {
	switch e.Text {
	case "aes":
		c.AES = true
	case "blowfish":
		c.AES = false
	default:
		p.bad(e, "expected aes or blowfish")
	}
}

func (p *parser) clientTimes(sec *xmlconf.Node, c *Client) {
	if c.NotifyTime == 0 {
		c.NotifyTime = defaultNotifyTime
	}
	if c.TimeReconnect <= c.NotifyTime {
		c.TimeReconnect = c.NotifyTime * 3
		p.warn(sec, 0, "INFO: Max time to reconnect can't be less than notify_time("+itoa(c.NotifyTime)+"), using notify_time*3 ("+
			itoa(c.TimeReconnect)+")", "")
	}
}

// Times is the line about the times in use that ossec-agentd logs at each start, and when it tests its configuration.
func (c *Client) Times() Problem {
	return Problem{Warning: true, Daemons: Agentd,
		Text: "INFO: Using notify time: " + itoa(c.NotifyTime) + " and max time to reconnect: " + itoa(c.TimeReconnect)}
}

// finishClient gives every server the port and protocol, which hold for all of them.
func (p *parser) finishClient() {
	c := p.cfg.Client
	if c == nil {
		return
	}
	for i := range c.Servers {
		c.Servers[i].Port, c.Servers[i].TCP = p.clientPort, p.clientTCP
	}
	if len(c.Servers) == 0 && p.problems.For(Agentd).Err() == nil {
		p.problems = append(p.problems, Problem{Pos: Position{File: p.file}, Code: 1215, Daemons: Agentd,
			Text: "ERROR: No client configured. Exiting.", Hint: "Add <server-ip>ADDRESS</server-ip> to <client>."})
	}
}
