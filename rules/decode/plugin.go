package decode

import (
	"strconv"
	"strings"
	"sync"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/pattern"
)

// plugin is a built-in decoder: it reads ev.Log and sets fields (spec section 8).
type plugin func(ev *event.Event, o *Options)

// plugins are the values of the plugin_decoder element.
var plugins = map[string]plugin{
	"PF_Decoder":         decodePF,
	"SymantecWS_Decoder": decodeSymantec,
	"SonicWall_Decoder":  decodeSonicWall,
	"OSSECAlert_Decoder": decodeForwardedAlert,
}

// after returns what follows the first sep in s.
func after(s, sep string) (string, bool) {
	_, rest, ok := strings.Cut(s, sep)
	return rest, ok
}

// decodePF reads a line of OpenBSD's packet filter: "rule 0/(match) pass in on em0: 10.0.0.1.1024 > 10.0.0.2.22: udp …".
func decodePF(ev *event.Event, _ *Options) {
	rest, ok := after(ev.Log, ")")
	if !ok {
		return
	}
	rest, ok = strings.CutPrefix(rest, " ")
	if !ok || rest == "" {
		return
	}
	switch rest[0] {
	case 'p':
		ev.Fields.Set(event.Action, "pass")
	case 'b':
		ev.Fields.Set(event.Action, "block")
	default:
		return
	}
	if rest, ok = after(rest, ":"); !ok {
		return
	}
	if rest, ok = strings.CutPrefix(rest, " "); !ok {
		return
	}
	source, rest, ok := strings.Cut(rest, " ")
	if !ok {
		return
	}
	setEndpoint(ev, source, event.SrcIP, event.SrcPort)
	if rest, ok = strings.CutPrefix(rest, "> "); !ok {
		return
	}
	destination, rest, ok := strings.Cut(rest, ":")
	if !ok {
		return
	}
	setEndpoint(ev, destination, event.DstIP, event.DstPort)
	switch rest = strings.TrimLeft(rest, " "); {
	case rest == "":
	case rest[0] == 'u':
		ev.Fields.Set(event.Protocol, "UDP")
	case rest[0] == 'i':
		ev.Fields.Set(event.Protocol, "ICMP")
	default:
		ev.Fields.Set(event.Protocol, "TCP")
	}
}

// setEndpoint sets address and port of "a.b.c.d.port"; without a fourth dot all of it is the address.
func setEndpoint(ev *event.Event, s string, ip, port event.Field) {
	dots := 0
	for i := 0; i < len(s); i++ {
		if s[i] != '.' {
			continue
		}
		if dots++; dots == 4 {
			ev.Fields.Set(port, s[i+1:])
			s = s[:i]
		}
	}
	ev.Fields.Set(ip, s)
}

// decodeSymantec reads the "key=value" list of a Symantec Web Security line.
func decodeSymantec(ev *event.Event, _ *Options) {
	const idLength = 9
	setOnce := func(f event.Field, v string) {
		if !ev.Fields.Has(f) {
			ev.Fields.Set(f, v)
		}
	}
	rest, ok := after(ev.Log, ",")
	for ok {
		value, _, _ := strings.Cut(rest, ",")
		switch {
		case strings.HasPrefix(rest, "10="):
			setOnce(event.DstUser, upTo(value[3:], 128))
		case strings.HasPrefix(rest, "11="):
			setOnce(event.SrcIP, upTo(value[3:], 128))
		case strings.HasPrefix(rest, "60="):
			setOnce(event.URL, upTo(value[3:], 1024))
		case (strings.HasPrefix(rest, "3=") || strings.HasPrefix(rest, "2=")) && !ev.Fields.Has(event.ID):
			id := upTo(rest, idLength)
			ev.Fields.Set(event.ID, id)
			rest = rest[len(id):]
		}
		rest, ok = after(rest, ",")
	}
}

func upTo(s string, n int) string { return s[:min(n, len(s))] }

// The patterns of a SonicWall line, compiled at first use.
var (
	sonicHead   = compiled(`pri=(\d) c=(\d+) m=(\d+) `)
	sonicAddrs  = compiled(`src=(\d+.\d+.\d+.\d+):(\d+):\S+ dst=(\d+.\d+.\d+.\d+):(\d+):`)
	sonicResult = compiled(`result=(\d+) dstname=(\S+) arg=(\S+)$`)
)

func compiled(p string) func() *pattern.Regex {
	return sync.OnceValue(func() *pattern.Regex {
		re, err := pattern.CompileRegex(p)
		if err != nil {
			panic(err) // a constant of this file
		}
		return re
	})
}

// decodeSonicWall reads a line of a SonicWall firewall; its category and id decide the type of the event.
func decodeSonicWall(ev *event.Event, _ *Options) {
	end, head, ok := sonicHead().Find(ev.Log, nil)
	if !ok || len(head) < 3 {
		return
	}
	category, id := head[1], head[2]
	ev.Fields.Set(event.Status, head[0])
	ev.Fields.Set(event.ID, id)
	rest := ev.Log[end:]
	end, addrs, ok := sonicAddrs().Find(rest, nil)
	if !ok || len(addrs) < 4 {
		return
	}
	for i, f := range [...]event.Field{event.SrcIP, event.SrcPort, event.DstIP, event.DstPort} {
		ev.Fields.Set(f, addrs[i])
	}
	rest = rest[end:]
	if next, ok := after(rest, " "); ok {
		rest = next
		if p, ok := strings.CutPrefix(rest, "proto="); ok {
			n := strings.IndexAny(p, "/ ")
			if n < 0 {
				n = len(p)
			}
			ev.Fields.Set(event.Protocol, upTo(p[:n], 6))
		}
	}
	ev.Type = event.TypeSyslog
	switch {
	case category == "32":
		ev.Type = event.TypeIDS
	case id == "98" || id == "597" || id == "598":
		sonicFirewall(ev, "pass")
	case id == "36" || id == "37" || id == "38" || id == "173" || id == "174":
		sonicFirewall(ev, "drop")
	case id == "537":
		sonicFirewall(ev, "close")
	case id == "97":
		ev.Type = event.TypeSquid
		if _, r, ok := sonicResult().Find(rest, nil); ok && len(r) == 3 {
			ev.Fields.Set(event.ID, r[0])
			ev.Fields.Set(event.URL, r[1]+r[2])
		}
	}
}

func sonicFirewall(ev *event.Event, action string) {
	ev.Type = event.TypeFirewall
	ev.Fields.Set(event.Action, action)
}

// Limits of a forwarded alert.
const (
	maxForwardedLocation = 255
	maxForwardedLog      = 4094
)

// decodeForwardedAlert reads an alert that another manager sent by syslog: the event takes over its rule, location, addresses and log.
func decodeForwardedAlert(ev *event.Event, o *Options) {
	ev.Type = event.TypeOSSECAlert
	if !strings.HasPrefix(ev.Log, "Alert Level:") && !strings.HasPrefix(ev.Log, "ossec: Alert Level:") {
		return
	}
	rest, ok := after(ev.Log, ";")
	if !ok {
		return
	}
	if rest, ok = after(rest, ": "); !ok {
		return
	}
	word, _, _ := strings.Cut(rest, " ")
	id, err := strconv.Atoi(word)
	if err != nil || o.RuleKnown == nil || !o.RuleKnown(id) {
		if o.Warn != nil {
			o.Warn("WARN: Rule id '" + rest + "' not found internally: " + ev.Log)
		}
		return
	}
	if rest, ok = after(rest, ";"); !ok {
		return
	}
	if rest, ok = strings.CutPrefix(rest, " Location: "); !ok {
		return
	}
	origin, rest, ok := strings.Cut(rest, ";")
	if !ok {
		return
	}
	log, ok := forwardedFields(ev, rest)
	if !ok {
		return
	}
	ev.ForwardedRule = id
	ev.Location = upTo(ev.Location+"|"+origin, maxForwardedLocation)
	ev.Hostname = ev.Location
	log = upTo(strings.Trim(log, " "), maxForwardedLog)
	ev.FullLog, ev.Log = log, log
}

// forwardedFields reads the " name: value;" pieces of a forwarded alert and returns its log, which two blanks precede.
func forwardedFields(ev *event.Event, s string) (log string, ok bool) {
	for !strings.HasPrefix(s, "  ") {
		piece, rest, ok := strings.Cut(s, ";")
		if !ok {
			return "", false
		}
		if v, ok := strings.CutPrefix(piece, " srcip: "); ok {
			ev.Fields.Set(event.SrcIP, v)
		} else if v, ok := strings.CutPrefix(piece, " user: "); ok {
			ev.Fields.Set(event.DstUser, v)
		}
		s = rest
	}
	return s, true
}
