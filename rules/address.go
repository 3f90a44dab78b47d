package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// parseAddrTest reads `[!]address[/prefix]` or `[!]any` (spec rules.md, 4.2).
func parseAddrTest(s string) (addrTest, error) {
	t := addrTest{text: s}
	rest, neg := strings.CutPrefix(s, "!")
	t.negate = neg
	if rest == "any" {
		t.any = true
		return t, nil
	}
	host, bitsText, hasBits := strings.Cut(rest, "/")
	addr, ok := parseAddr(host)
	if !ok {
		return t, errors.New("neither an address, nor an address with the length of its prefix, nor any")
	}
	bits := addr.BitLen()
	if hasBits {
		if len(bitsText) > 3 {
			return t, fmt.Errorf("prefix length %q is not of at most three digits", bitsText)
		}
		bits, _ = strconv.Atoi(leadingDigits(bitsText))
		if addr.Is4In6() && bits >= 96 && bits <= 128 {
			addr, bits = addr.Unmap(), bits-96
		}
		if bits > addr.BitLen() {
			return t, fmt.Errorf("prefix length %q is more than %d", bitsText, addr.BitLen())
		}
	} else if addr.Is4In6() {
		addr = addr.Unmap()
		bits = 32
	}
	t.prefix = netip.PrefixFrom(addr, bits).Masked()
	t.any = bits == 0 // of either family
	return t, nil
}

// leadingDigits is the number that s begins with; a text that is not all digits reads as 0.
func leadingDigits(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return "0"
		}
	}
	return s
}

// parseAddr reads an IPv6 literal or an IPv4 literal in any of the classic forms: a.b.c.d, a.b.c, a.b, a, the last number filling the
// remaining bytes, each number decimal, 0octal or 0xhex.
func parseAddr(s string) (netip.Addr, bool) {
	if len(s) == 0 || len(s) > 45 {
		return netip.Addr{}, false
	}
	if strings.IndexByte(s, ':') >= 0 {
		if strings.IndexByte(s, '%') >= 0 {
			return netip.Addr{}, false
		}
		a, err := netip.ParseAddr(s)
		return a, err == nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a, true
	}
	return parseShortIPv4(s)
}

func parseShortIPv4(s string) (netip.Addr, bool) {
	var v uint32
	for part := 0; ; part++ {
		num, rest, more := strings.Cut(s, ".")
		n, ok := parseCNumber(num)
		if !ok {
			return netip.Addr{}, false
		}
		if more {
			if part == 3 || n > 255 {
				return netip.Addr{}, false
			}
			v |= n << (24 - 8*part)
			s = rest
			continue
		}
		if part > 0 && n >= 1<<(32-8*part) {
			return netip.Addr{}, false
		}
		v |= n
		return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), true
	}
}

// parseCNumber reads a number as C writes it.
func parseCNumber(s string) (uint32, bool) {
	base := 10
	switch {
	case len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X'):
		s, base = s[2:], 16
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	if s == "" || s[0] == '+' || s[0] == '-' || strings.IndexByte(s, '_') >= 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, base, 32)
	return uint32(n), err == nil
}

// matchAddr evaluates the entries in document order: the first one that contains the address decides, otherwise the opposite of the
// polarity of the last one.
func matchAddr(tests []addrTest, a netip.Addr) bool {
	for i := range tests {
		if t := &tests[i]; t.any || t.prefix.Contains(a) {
			return !t.negate
		}
	}
	return tests[len(tests)-1].negate
}
