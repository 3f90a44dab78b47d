package responders

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func sh(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", argv, err, out)
	}
	return string(out)
}

// kernelWorld has the real packet filter and routes, and two addresses that can talk to each other.
func kernelWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.env.Exists, w.env.Sets, w.env.Routes = fileExists, systemSets(), systemRoutes()
	sh(t, "ip", "link", "set", "lo", "up")
	for _, a := range []string{"10.77.0.1/32", "10.77.0.2/32", "2001:db8:77::1/128", "2001:db8:77::2/128", "2001:db8:88::9/128"} {
		sh(t, "ip", "addr", "add", a, "dev", "lo")
	}
	return w
}

func respond(t *testing.T, w *world, script string, timeout time.Duration, action, ip string) Result {
	t.Helper()
	r, ok := Lookup(script)
	if !ok {
		t.Fatal("no", script)
	}
	return r.Respond(t.Context(), w.env, Call{Script: "/b/" + script, Args: []string{action, "-", ip, "1.1", "5712", "x", "-"}, Timeout: timeout})
}

func mustRespond(t *testing.T, w *world, script string, timeout time.Duration, action, ip string) string {
	t.Helper()
	res := respond(t, w, script, timeout, action, ip)
	if res.Err != nil {
		t.Errorf("%s %s %s: %v", script, action, ip, res.Err)
	}
	return res.Note
}

// reaches opens a connection from one address to the other.
func reaches(t *testing.T, from, to string) bool {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(to, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// TestRealBlocksCutTrafficAndEnd runs every packet responder both ways, twice each, for both families.
func TestRealBlocksCutTrafficAndEnd(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	w := kernelWorld(t)
	for _, script := range []string{"firewall-drop.sh", "nftables-drop.sh"} {
		for _, pair := range [][2]string{{"10.77.0.2", "10.77.0.1"}, {"2001:db8:77::2", "2001:db8:77::1"}} {
			if !reaches(t, pair[0], pair[1]) {
				t.Fatalf("%v: no traffic before the block", pair)
			}
			for range 2 {
				mustRespond(t, w, script, time.Minute, "add", pair[0])
			}
			if reaches(t, pair[0], pair[1]) {
				t.Errorf("%s: %v is not cut", script, pair)
			}
			if !reaches(t, pair[1], pair[1]) {
				t.Errorf("%s: others are cut too", script)
			}
			for range 2 {
				mustRespond(t, w, script, 0, "delete", pair[0])
			}
			if !reaches(t, pair[0], pair[1]) {
				t.Errorf("%s: %v is still cut", script, pair)
			}
		}
	}
}

func TestFirewallKeepsForeignRules(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	w := kernelWorld(t)
	sh(t, "iptables", "-A", "INPUT", "-s", "192.0.2.0/24", "-j", "ACCEPT")
	sh(t, "iptables", "-N", "OSSEC")
	sh(t, "iptables", "-A", "OSSEC", "-s", "192.0.2.7", "-j", "DROP") // stacked by an older script
	sh(t, "iptables", "-A", "OSSEC", "-s", "192.0.2.7", "-j", "DROP")
	mustRespond(t, w, "firewall-drop.sh", 0, "add", "192.0.2.7")
	mustRespond(t, w, "firewall-drop.sh", 0, "delete", "192.0.2.7")
	if got := sh(t, "iptables", "-S"); strings.Contains(got, "192.0.2.7") || !strings.Contains(got, "-A INPUT -s 192.0.2.0/24 -j ACCEPT") {
		t.Errorf("rules:\n%s", got)
	}
	w.vars["OSSEC_FW_CHAIN"] = "INPUT"
	if res := respond(t, w, "firewall-drop.sh", 0, "add", "192.0.2.7"); res.Err == nil || !res.Refused {
		t.Errorf("a built-in chain as our own: %+v", res)
	}
}

func TestIPv6NetworksAreBlockedWhole(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	w := kernelWorld(t)
	w.env.IPv6Prefix = 64
	for _, script := range []string{"firewall-drop.sh", "nftables-drop.sh"} {
		mustRespond(t, w, script, time.Minute, "add", "2001:db8:88::1")
		mustRespond(t, w, script, time.Minute, "add", "2001:db8:88::2")
		if reaches(t, "2001:db8:88::9", "2001:db8:77::1") {
			t.Errorf("%s: a neighbour in the network is not cut", script)
		}
		mustRespond(t, w, script, 0, "delete", "2001:db8:88::3")
		if !reaches(t, "2001:db8:88::9", "2001:db8:77::1") {
			t.Errorf("%s: the network is still cut", script)
		}
	}
}

// nftElements gives the elements of a set with their time limits in seconds.
func nftElements(t *testing.T, table, set string) map[string]int {
	t.Helper()
	var doc struct {
		Nftables []struct {
			Set *struct{ Elem []json.RawMessage }
		}
	}
	if err := json.Unmarshal([]byte(sh(t, "nft", "-j", "list", "set", "inet", table, set)), &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, n := range doc.Nftables {
		if n.Set == nil {
			continue
		}
		for _, raw := range n.Set.Elem {
			var el struct {
				Elem struct {
					Val     string
					Timeout int
				}
			}
			var plain string
			if json.Unmarshal(raw, &plain) == nil {
				out[plain] = 0
			} else if json.Unmarshal(raw, &el) == nil {
				out[el.Elem.Val] = el.Elem.Timeout
			}
		}
	}
	return out
}

func TestNftablesSets(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	w := kernelWorld(t)
	slack := int(kernelSlack / time.Second)
	mustRespond(t, w, "nftables-drop.sh", 600*time.Second, "add", "192.0.2.7")
	mustRespond(t, w, "nftables-drop.sh", 0, "add", "192.0.2.8")
	if got := nftElements(t, "vedette", "blocked4"); got["192.0.2.7"] != 600+slack || len(got) != 2 || got["192.0.2.8"] != 0 {
		t.Errorf("elements %v", got)
	}
	mustRespond(t, w, "nftables-drop.sh", 3600*time.Second, "add", "192.0.2.7") // prolonged
	if got := nftElements(t, "vedette", "blocked4"); got["192.0.2.7"] != 3600+slack {
		t.Errorf("elements %v", got)
	}
	// An operator's set, as OSSEC's documentation asks for, is used when there is one; old blocks of our own table still end.
	sh(t, "nft", "add table inet filter; add set inet filter ossec_ar4 { type ipv4_addr; }")
	mustRespond(t, w, "nftables-drop.sh", 600*time.Second, "add", "192.0.2.9")
	if got := nftElements(t, "filter", "ossec_ar4"); len(got) != 1 || got["192.0.2.9"] != 0 {
		t.Errorf("elements %v", got)
	}
	for _, ip := range []string{"192.0.2.7", "192.0.2.8", "192.0.2.9"} {
		if note := mustRespond(t, w, "nftables-drop.sh", 0, "delete", ip); !strings.HasPrefix(note, "element removed") {
			t.Errorf("%s: %q", ip, note)
		}
	}
	if a, b := nftElements(t, "filter", "ossec_ar4"), nftElements(t, "vedette", "blocked4"); len(a)+len(b) != 0 {
		t.Errorf("left: %v %v", a, b)
	}
}

func TestNullRoutes(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	w := kernelWorld(t)
	sh(t, "ip", "route", "add", "198.51.100.7/32", "dev", "lo")
	for range 2 {
		mustRespond(t, w, "route-null.sh", 0, "add", "192.0.2.7")
		mustRespond(t, w, "route-null.sh", 0, "add", "2001:db8:99::7")
	}
	if got := sh(t, "ip", "route"); strings.Count(got, "unreachable 192.0.2.7") != 1 {
		t.Errorf("routes:\n%s", got)
	}
	if got := sh(t, "ip", "-6", "route"); strings.Count(got, "unreachable 2001:db8:99::7") != 1 {
		t.Errorf("routes:\n%s", got)
	}
	if _, err := net.DialTimeout("udp", "192.0.2.7:9", time.Second); err == nil {
		t.Error("the route does not refuse packets")
	}
	if res := respond(t, w, "route-null.sh", 0, "add", "198.51.100.7"); res.Err == nil {
		t.Errorf("an operator's route was taken for ours: %+v", res)
	}
	if note := mustRespond(t, w, "route-null.sh", 0, "delete", "198.51.100.7"); note != "no unreachable route" {
		t.Errorf("delete of an operator's route: %q", note)
	}
	for range 2 {
		mustRespond(t, w, "route-null.sh", 0, "delete", "192.0.2.7")
		mustRespond(t, w, "route-null.sh", 0, "delete", "2001:db8:99::7")
	}
	if got := sh(t, "ip", "route") + sh(t, "ip", "-6", "route"); strings.Contains(got, "unreachable") || !strings.Contains(got, "198.51.100.7 dev lo") {
		t.Errorf("routes:\n%s", got)
	}
}

func TestKernelThatRefusesIsReported(t *testing.T) {
	w := newWorld(t)
	w.env.Sets = failing{}
	res := respond(t, w, "nftables-drop.sh", 0, "add", "192.0.2.7")
	if res.Err == nil || res.Refused || w.slept != 15*time.Second {
		t.Errorf("%+v after %s", res, w.slept)
	}
}

type failing struct{ setStub }

func (failing) Add(netip.Prefix, time.Duration) (string, error) {
	return "", errors.New("operation not supported")
}
