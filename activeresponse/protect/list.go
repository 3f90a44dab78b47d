package protect

import (
	"net/netip"
	"strings"

	"github.com/vedette-hids/vedette/config"
)

// List is the operator's allow list: addresses, networks and host names (<allow_list>, <white_list>).
type List struct {
	specs []config.AddressSpec
	names []string // lower case unless prefixed
	exact bool     // OSSEC's comparison of names: case-sensitive, any prefix of an entry is excused
}

// NewList makes the list of a configuration. With ossec_exact host names are compared as OSSEC does.
func NewList(g *config.Global) *List {
	l := &List{specs: g.AllowIPs, exact: g.OssecExact}
	for _, n := range g.AllowHosts {
		if !l.exact {
			n = strings.ToLower(n)
		}
		l.names = append(l.names, n)
	}
	return l
}

// Addr reports whether the address is excused. The first entry that contains it decides; when none does, a list that ends with a
// negated entry excuses it (spec rules.md, section 4.2).
func (l *List) Addr(a netip.Addr) (entry string, ok bool) {
	if l == nil || len(l.specs) == 0 {
		return "", false
	}
	a = a.Unmap()
	for i := range l.specs {
		s := &l.specs[i]
		if s.Any || specContains(s.Prefix, a) {
			return s.Text, !s.Negate
		}
	}
	last := &l.specs[len(l.specs)-1]
	return last.Text, last.Negate
}

// Prefix reports whether a block of the whole network would hit an excused address. Negated entries are ignored here, which can only
// refuse too much, never too little.
func (l *List) Prefix(p netip.Prefix) (entry string, ok bool) {
	if p.IsSingleIP() {
		return l.Addr(p.Addr())
	}
	if l == nil {
		return "", false
	}
	for i := range l.specs {
		s := &l.specs[i]
		if !s.Negate && (s.Any || overlaps(s.Prefix, p)) {
			return s.Text, true
		}
	}
	return l.Addr(p.Addr())
}

// Name reports whether a host name is excused: it equals an entry, in any letter case, or is the first labels of one ("web1" of
// "web1.lan").
func (l *List) Name(host string) (entry string, ok bool) {
	if l == nil || host == "" {
		return "", false
	}
	if !l.exact {
		host = strings.ToLower(host)
	}
	for _, n := range l.names {
		if !strings.HasPrefix(n, host) {
			continue
		}
		if l.exact || len(n) == len(host) || n[len(host)] == '.' {
			return n, true
		}
	}
	return "", false
}

// specContains is Prefix.Contains where prefix length 0 holds both families, and mapped addresses count as IPv4.
func specContains(p netip.Prefix, a netip.Addr) bool {
	if !p.IsValid() {
		return false
	}
	return p.Bits() == 0 || unmap(p).Contains(a)
}

func overlaps(p, q netip.Prefix) bool {
	if !p.IsValid() {
		return false
	}
	return p.Bits() == 0 || unmap(p).Overlaps(unmap(q))
}

// unmap gives the IPv4 form of a prefix of mapped addresses.
func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}
