package responders

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/vedette-hids/vedette/activeresponse/protect"
)

// ParseTarget reads the address of a request: a numeric IPv4 or IPv6 address without zone. Mapped addresses count as IPv4; of an IPv6
// address the first ipv6Prefix bits are meant.
func ParseTarget(s string, ipv6Prefix int) (netip.Prefix, error) {
	if len(s) > 64 {
		return netip.Prefix{}, fmt.Errorf("%q… is too long for an address", s[:64])
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not an address", s)
	}
	if a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q has a zone", s)
	}
	a = a.Unmap()
	bits := a.BitLen()
	if a.Is6() && ipv6Prefix > 0 && ipv6Prefix < bits {
		bits = ipv6Prefix
	}
	return a.Prefix(bits)
}

// bits is the prefix length that a call means for IPv6.
func (c *Call) bits(e *Env) int {
	if c.IPv6Prefix > 0 {
		return c.IPv6Prefix
	}
	return e.IPv6Prefix
}

// targetText is the form that firewalls and files take: without length for a single address.
func targetText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// protectedBy says why a target must not be blocked.
func (e *Env) protectedBy(p netip.Prefix) (why string, yes bool) {
	if why, yes = protect.NotAHost(p.Addr()); yes {
		return why, true
	}
	if e.Protected == nil {
		return "", false
	}
	return e.Protected(p)
}

// firewallTarget checks the address of a firewall script and logs a refusal.
func firewallTarget(e *Env, c *Call) (netip.Prefix, *Result) {
	p, err := ParseTarget(c.arg(2), c.bits(e))
	if err != nil {
		e.log(fmt.Sprintf("%s Unable to run active response (invalid IP: '%s').", e.date(), shorten(c.arg(2))))
		r := refuse(1, err)
		return p, &r
	}
	return p, refuseProtected(e, c, p)
}

func refuseProtected(e *Env, c *Call, p netip.Prefix) *Result {
	if !c.adding() {
		return nil
	}
	why, yes := e.protectedBy(p)
	if !yes {
		return nil
	}
	e.log(fmt.Sprintf("%s Unable to run active response (protected address: '%s', %s).", e.date(), p.Addr(), why))
	r := refuse(1, fmt.Errorf("%s is protected: %s", p.Addr(), why))
	return &r
}

// isHostName accepts dotted names that tcp wrappers take literally: no wildcard (a dot at either end), no pattern letters, not a partial
// address.
func isHostName(s string) bool {
	if len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || strings.Trim(label, hostBytes) != "" {
			return false
		}
		last = label
	}
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(strings.ToLower(last), "0x")
}

const hostBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
