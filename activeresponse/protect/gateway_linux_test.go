package protect

import (
	"encoding/binary"
	"fmt"
	"testing"
)

func TestDefaultGateways(t *testing.T) {
	word := func(a, b, c, d byte) string {
		return fmt.Sprintf("%08X", binary.NativeEndian.Uint32([]byte{a, b, c, d}))
	}
	four := "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t" + word(192, 0, 2, 1) + "\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t" + word(192, 0, 2, 0) + "\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n" +
		"tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
	if got := parseRoute4([]byte(four)); len(got) != 1 || got[0].Addr.String() != "192.0.2.1" {
		t.Errorf("%v", got)
	}
	six := "00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n" +
		"20010db8000000000000000000000000 20 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n" +
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n"
	if got := parseRoute6([]byte(six)); len(got) != 1 || got[0].Addr.String() != "2001:db8::1" {
		t.Errorf("%v", got)
	}
}
