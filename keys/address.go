package keys

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Network is the ip field of a key line: which source addresses may use the key (spec protocol.md, section 1.1).
type Network struct {
	Prefix netip.Prefix // ::/0 for "any"
	Any    bool         // written as "any"
	Negate bool         // every address except those
}

// ErrAddress is wrapped by every error of ParseNetwork.
var ErrAddress = errors.New("not an address, a network or 'any'")

// ParseNetwork reads an ip field: an address, `address/prefix`, `any`, each optionally behind `!`. The short IPv4 forms of the C library
// ("10.1") are understood, as existing files may hold them.
func ParseNetwork(s string) (Network, error) {
	var n Network
	text := s
	if rest, ok := strings.CutPrefix(text, "!"); ok {
		n.Negate, text = true, rest
	}
	if text == "any" {
		n.Any, n.Prefix = true, netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		return n, nil
	}
	host, bits, cidr := strings.Cut(text, "/")
	addr, err := parseAddr(host)
	if err != nil {
		return n, fmt.Errorf("%w: %q", ErrAddress, s)
	}
	size := addr.BitLen()
	if cidr {
		if size, err = prefixLength(bits, addr.BitLen()); err != nil {
			return n, fmt.Errorf("%w: %q: %w", ErrAddress, s, err)
		}
	}
	n.Prefix = netip.PrefixFrom(addr, size)
	return n, nil
}

// prefixLength reads the one to three digits behind the slash.
func prefixLength(s string, limit int) (int, error) {
	if s == "" || len(s) > 3 || strings.Trim(s, "0123456789") != "" {
		return 0, errors.New("prefix length is not a number")
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > limit {
		return 0, fmt.Errorf("prefix length is above %d", limit)
	}
	return n, nil
}

func parseAddr(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err == nil {
		if addr.Zone() != "" {
			return netip.Addr{}, errors.New("address with a zone")
		}
		return addr.Unmap(), nil
	}
	if short, ok := parseShortIPv4(s); ok {
		return short, nil
	}
	return netip.Addr{}, err
}

// parseShortIPv4 reads the classic forms a, a.b, a.b.c and a.b.c.d, decimal, octal (0…) or hexadecimal (0x…), where the last
// number fills the remaining bytes.
func parseShortIPv4(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, p := range parts {
		if p == "" || strings.Contains(p, "_") || p[0] == '+' || strings.HasPrefix(strings.ToLower(p), "0b") || strings.HasPrefix(strings.ToLower(p), "0o") {
			return netip.Addr{}, false
		}
		v, err := strconv.ParseUint(p, 0, 32)
		if err != nil {
			return netip.Addr{}, false
		}
		last := i == len(parts)-1
		width := 8
		if last {
			width = 8 * (5 - len(parts))
		}
		if v >= 1<<width {
			return netip.Addr{}, false
		}
		value = value<<width | v
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}

// Single reports whether the field names one host (prefix 32 or 128, negated or not). An agent whose field does not puts its id in
// front of each packet.
func (n Network) Single() bool { return !n.Any && n.Prefix.IsSingleIP() }

// Contains reports whether a packet from addr may use the key. IPv4-mapped IPv6 addresses count as IPv4; a prefix of 0 matches both
// families.
func (n Network) Contains(addr netip.Addr) bool {
	addr = addr.Unmap()
	in := n.Prefix.Bits() == 0 || n.Prefix.Contains(addr.WithZone(""))
	return in != n.Negate
}

// String gives the form with prefix length that the control tools show: "any/0", "10.3.0.0/16", "!10.0.0.1/32".
func (n Network) String() string {
	neg := ""
	if n.Negate {
		neg = "!"
	}
	if n.Any {
		return neg + "any/0"
	}
	return neg + n.Prefix.String()
}

// trimPrefix removes "/nn" of an ip field: the text used in messages, file names and logs.
func trimPrefix(field string) string {
	text, _, _ := strings.Cut(field, "/")
	return text
}
