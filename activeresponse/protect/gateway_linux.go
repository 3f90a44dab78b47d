package protect

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
)

func gateways() []Entry {
	var out []Entry
	if data, err := os.ReadFile("/proc/net/route"); err == nil {
		out = append(out, parseRoute4(data)...)
	}
	if data, err := os.ReadFile("/proc/net/ipv6_route"); err == nil {
		out = append(out, parseRoute6(data)...)
	}
	return out
}

// parseRoute4 reads default gateways from /proc/net/route: Iface Destination Gateway Flags RefCnt Use Metric Mask …; the kernel prints
// the address, which is in network order in memory, as one number of the machine's own order.
func parseRoute4(data []byte) []Entry {
	var out []Entry
	sc := bufio.NewScanner(bytes.NewReader(data))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		b, err := hex.DecodeString(f[2])
		if err != nil || len(b) != 4 {
			continue
		}
		var word [4]byte
		binary.NativeEndian.PutUint32(word[:], binary.BigEndian.Uint32(b))
		if a := netip.AddrFrom4(word); !a.IsUnspecified() {
			out = append(out, Entry{a, "default gateway"})
		}
	}
	return out
}

// parseRoute6 reads default gateways from /proc/net/ipv6_route: destination, its length, source, its length, next hop, …
func parseRoute6(data []byte) []Entry {
	var out []Entry
	sc := bufio.NewScanner(bytes.NewReader(data))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 10 || f[1] != "00" || strings.Trim(f[0], "0") != "" {
			continue
		}
		b, err := hex.DecodeString(f[4])
		if err != nil || len(b) != 16 {
			continue
		}
		if a := netip.AddrFrom16([16]byte(b)); !a.IsUnspecified() {
			out = append(out, Entry{a, "default gateway"})
		}
	}
	return out
}
