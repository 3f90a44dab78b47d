package protect

import (
	"bufio"
	"bytes"
	"net"
	"net/netip"
	"os"
	"strings"
)

// Gather collects the machine's own addresses, the broadcast addresses of its networks, its default gateways and its name servers.
// What cannot be read is left out: protection is best effort, a response is not.
func Gather() []Entry {
	out := own()
	out = append(out, gateways()...)
	if data, err := os.ReadFile("/etc/resolv.conf"); err == nil {
		out = append(out, parseResolvers(data)...)
	}
	return out
}

func own() []Entry {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []Entry
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		out = append(out, Entry{ip, "own address"})
		if b, ok := broadcastOf(ip, n.Mask); ok {
			out = append(out, Entry{b, "broadcast address of an own network"})
		}
	}
	return out
}

// broadcastOf gives the last address of an IPv4 network larger than a point-to-point link.
func broadcastOf(ip netip.Addr, mask net.IPMask) (netip.Addr, bool) {
	ones, bits := mask.Size()
	if !ip.Is4() || bits == 0 || len(mask) != 4 || ones > 30 {
		return netip.Addr{}, false
	}
	b := ip.As4()
	for i := range b {
		b[i] |= ^mask[i]
	}
	return netip.AddrFrom4(b), true
}

// parseResolvers reads the nameserver lines of resolv.conf.
func parseResolvers(data []byte) []Entry {
	var out []Entry
	sc := bufio.NewScanner(bytes.NewReader(data))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			out = append(out, Entry{a.Unmap().WithZone(""), "name server"})
		}
	}
	return out
}
