package config

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

var errAddress = errors.New("not a numeric address, a network ADDRESS/BITS or any")

// ParseAddress reads an address specification (spec protocol.md, section 1.1): a numeric IPv4 or IPv6 address or "any", with an optional
// "!" before and an optional prefix length after a slash. The short IPv4 forms of the C library are taken (10.1 is 10.0.0.1). Letters in a
// prefix length count as 0, as they do in OSSEC.
func ParseAddress(s string) (AddressSpec, error) {
	spec := AddressSpec{Text: s}
	s, spec.Negate = strings.CutPrefix(s, "!")
	if s == "any" {
		spec.Any = true
		spec.Prefix = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		return spec, nil
	}
	host, bits, slash := strings.Cut(s, "/")
	addr, ok := parseHost(host)
	if !ok {
		return AddressSpec{}, errAddress
	}
	n := addr.BitLen()
	if slash {
		if len(bits) > 3 {
			return AddressSpec{}, errAddress
		}
		if n = leadingInt(bits); n < 0 || n > addr.BitLen() {
			return AddressSpec{}, errAddress
		}
	}
	if addr.Is4In6() && n >= 96 {
		addr, n = addr.Unmap(), n-96
	}
	spec.Prefix = netip.PrefixFrom(addr, n).Masked()
	return spec, nil
}

// parseHost reads a numeric address as the C resolver does in numeric mode.
func parseHost(s string) (netip.Addr, bool) {
	if strings.IndexByte(s, ':') >= 0 {
		a, err := netip.ParseAddr(s)
		return a, err == nil && a.Zone() == ""
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var v uint64
	for i, part := range parts {
		// each part but the last is one byte; the last fills what is left
		limit := uint64(255)
		if i == len(parts)-1 {
			limit = 1<<(8*(5-len(parts))) - 1
		}
		if part == "" || part[0] < '0' || part[0] > '9' || strings.ContainsAny(part, "_bBoO") {
			return netip.Addr{}, false
		}
		x, err := strconv.ParseUint(part, 0, 64) // 0x and 0 prefixes as inet_aton
		if err != nil || x > limit {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			v = v<<(8*(5-len(parts))) | x
		} else {
			v = v<<8 | x
		}
	}
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), true
}

// Contains reports whether the address is in the network, without regard to negation. Prefix length 0 holds every address of both families.
func (a AddressSpec) Contains(addr netip.Addr) bool {
	return a.Any || a.Prefix.IsValid() && (a.Prefix.Bits() == 0 || a.Prefix.Contains(addr.Unmap().WithZone("")))
}

// Match reports whether the address is meant: in the network, or for a negated one, outside of it. An address that is written as IPv4 in
// IPv6 counts as IPv4.
func (a AddressSpec) Match(addr netip.Addr) bool {
	return a.Contains(addr) != a.Negate
}

// Single reports whether one host is meant, negated or not.
func (a AddressSpec) Single() bool {
	return !a.Any && a.Prefix.IsValid() && a.Prefix.IsSingleIP()
}

// Host is the text of the address without prefix length, as file names and logs have it: "127.0.0.0", "!10.0.0.1", "any".
func (a AddressSpec) Host() string {
	host, _, _ := strings.Cut(a.Text, "/")
	return host
}

// String is the text as written.
func (a AddressSpec) String() string { return a.Text }

// MatchList reports whether a list means the address (spec protocol.md, section 18): the first entry that holds it decides, a negated one with
// no; when none holds it, the answer is no unless the last entry is negated.
func MatchList(list []AddressSpec, addr netip.Addr) bool {
	for _, a := range list {
		if a.Contains(addr) {
			return !a.Negate
		}
	}
	return len(list) > 0 && list[len(list)-1].Negate
}

// singleAddress reads an address without prefix length or negation.
func singleAddress(s string) (netip.Addr, bool) {
	a, ok := parseHost(s)
	return a.Unmap(), ok
}
