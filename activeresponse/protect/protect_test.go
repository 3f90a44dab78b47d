package protect

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/vedette-hids/vedette/config"
)

func addrs(list ...string) func() []Entry {
	return func() []Entry {
		var out []Entry
		for _, s := range list {
			out = append(out, Entry{netip.MustParseAddr(s), "own address"})
		}
		return out
	}
}

func spec(t *testing.T, texts ...string) []config.AddressSpec {
	t.Helper()
	var out []config.AddressSpec
	for _, s := range texts {
		a, err := config.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	return out
}

func TestHostProtectsWhatItNeeds(t *testing.T) {
	h := NewHost(addrs("192.0.2.1", "2001:db8::1", "fe80::1"), "198.51.100.1", "manager.example.org")
	for s, want := range map[string]string{
		"192.0.2.1": "own address", "::ffff:192.0.2.1": "own address", "192.0.2.2": "", "2001:db8::1": "own address", "fe80::1%eth0": "own address",
		"198.51.100.1": "manager", "127.0.0.1": "loopback address", "127.9.9.9": "loopback address", "::1": "loopback address",
		"0.0.0.0": "unspecified address", "0.1.2.3": "unspecified address", "::": "unspecified address", "224.0.0.1": "multicast address",
		"ff02::1": "multicast address", "255.255.255.255": "broadcast address",
	} {
		if got, ok := h.Addr(netip.MustParseAddr(s)); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", s, got, ok, want)
		}
	}
	if why, ok := (*Host)(nil).Addr(netip.MustParseAddr("127.0.0.1")); !ok || why != "loopback address" {
		t.Error("a nil Host lets loopback be blocked")
	}
	if _, ok := h.Addr(netip.Addr{}); !ok {
		t.Error("no address at all may be blocked")
	}
}

func TestNamesOfThisMachineAndTheManagerAreProtected(t *testing.T) {
	h := NewHost(nil, "manager.example.org", "198.51.100.1")
	h.self = func() string { return "Web1.example.org" }
	for s, want := range map[string]string{
		"localhost": "name of the loopback address", "LocalHost.localdomain": "name of the loopback address", "a.localhost": "name of the loopback address",
		"ip6-localhost": "name of the loopback address", "localhost.": "name of the loopback address", "MANAGER.example.org": "manager",
		"manager.example.org.": "manager", "manager": "", "web1": "own name", "web1.EXAMPLE.org": "own name", "web1.example.com": "", "attacker.example.org": "",
	} {
		if got, ok := h.Name(s); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", s, got, ok, want)
		}
	}
	if _, ok := (*Host)(nil).Name("localhost"); !ok {
		t.Error("a nil Host lets localhost be blocked")
	}
}

func TestNetworksWithAProtectedAddressAreProtected(t *testing.T) {
	h := NewHost(addrs("2001:db8:0:1::1"))
	for s, want := range map[string]bool{"2001:db8:0:1::/64": true, "2001:db8:0:2::/64": false, "2001:db8::/48": true, "2001:db8:0:1::1/128": true, "ff00::/8": true} {
		if _, got := h.Prefix(netip.MustParsePrefix(s)); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func TestManagerNamesAreResolvedAndKept(t *testing.T) {
	h := NewHost(nil, "manager.example.org")
	answer, fail := netip.MustParseAddr("192.0.2.9"), error(nil)
	h.lookup = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{answer}, fail }
	h.Refresh(t.Context())
	if why, ok := h.Addr(answer); !ok || why != "manager manager.example.org" {
		t.Errorf("%q %v", why, ok)
	}
	fail = errors.New("no answer")
	h.Refresh(t.Context())
	if _, ok := h.Addr(answer); !ok {
		t.Error("an unreachable name server makes the manager blockable")
	}
	old := answer
	answer, fail = netip.MustParseAddr("192.0.2.10"), nil
	h.Refresh(t.Context())
	if _, ok := h.Addr(old); ok {
		t.Error("the old address is still protected")
	}
	if got := h.Entries(); len(got) != 1 || got[0].Addr != answer {
		t.Errorf("%v", got)
	}
}

func TestAllowListOfAddresses(t *testing.T) {
	plain := NewList(&config.Global{AllowIPs: spec(t, "10.9.9.9", "10.8.0.0/16", "2001:db8::/32")})
	negated := NewList(&config.Global{AllowIPs: spec(t, "!10.0.0.0/8")})
	mixed := NewList(&config.Global{AllowIPs: spec(t, "!10.8.1.1", "10.8.0.0/16")})
	for _, c := range []struct {
		l    *List
		addr string
		want bool
	}{
		{plain, "10.9.9.9", true}, {plain, "10.8.200.1", true}, {plain, "10.1.2.3", false}, {plain, "::ffff:10.9.9.9", true}, {plain, "2001:db8::5", true},
		{plain, "2001:db9::5", false}, {negated, "10.1.1.1", false}, {negated, "192.0.2.1", true}, {mixed, "10.8.1.1", false}, {mixed, "10.8.1.2", true},
		{mixed, "10.7.0.1", false}, {NewList(&config.Global{}), "10.1.1.1", false}, {nil, "10.1.1.1", false},
		{NewList(&config.Global{AllowIPs: spec(t, "any")}), "192.0.2.1", true},
	} {
		if _, got := c.l.Addr(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("%+v %s: %v, want %v", c.l, c.addr, got, c.want)
		}
	}
	if _, ok := plain.Prefix(netip.MustParsePrefix("2001:d00::/24")); !ok {
		t.Error("a network around the allow list may be blocked")
	}
	if _, ok := plain.Prefix(netip.MustParsePrefix("2001:db9::/64")); ok {
		t.Error("a foreign network is excused")
	}
}

func TestAllowListOfNames(t *testing.T) {
	l := NewList(&config.Global{AllowHosts: []string{"Web1.lan", "^good.example"}})
	exact := NewList(&config.Global{AllowHosts: []string{"Web1.lan"}, OssecExact: true})
	for _, c := range []struct {
		l    *List
		name string
		want bool
	}{
		{l, "web1.lan", true}, {l, "WEB1.LAN", true}, {l, "web1", true}, {l, "web", false}, {l, "web1.lan.evil", false}, {l, "good.example", false}, {l, "", false},
		{exact, "Web1.lan", true}, {exact, "web1.lan", false}, {exact, "We", true}, {nil, "web1.lan", false},
	} {
		if _, got := c.l.Name(c.name); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestResolvConf(t *testing.T) {
	got := parseResolvers([]byte("# comment\nnameserver 192.0.2.53\nsearch lan\nnameserver fe80::1%eth0\nnameserver bad\nnameserver\n"))
	if len(got) != 2 || got[0].Addr.String() != "192.0.2.53" || got[1].Addr.String() != "fe80::1" {
		t.Errorf("%v", got)
	}
}

func TestBroadcastOfANetwork(t *testing.T) {
	p := netip.MustParsePrefix("10.1.2.3/20")
	got, ok := broadcastOf(p.Addr(), []byte{255, 255, 240, 0})
	if !ok || got.String() != "10.1.15.255" {
		t.Errorf("%s %v", got, ok)
	}
	if _, ok := broadcastOf(p.Addr(), []byte{255, 255, 255, 255}); ok {
		t.Error("a host route has a broadcast address")
	}
}

// TestGatherFindsThisMachine is about the real machine: it has at least a loopback address.
func TestGatherFindsThisMachine(t *testing.T) {
	for _, e := range Gather() {
		if e.Addr.IsLoopback() && e.Why == "own address" {
			return
		}
	}
	t.Error("no loopback address among the own addresses")
}
