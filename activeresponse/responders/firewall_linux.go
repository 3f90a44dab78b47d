package responders

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/coreos/go-iptables/iptables"
)

// firewallCache keeps the handles, whose making starts a program to ask for the version.
type firewallCache struct {
	mu     *sync.Mutex
	byProg map[string]*iptables.IPTables
}

func (fc *firewallCache) get(prog string, proto iptables.Protocol) (*iptables.IPTables, error) {
	if fc.mu != nil {
		fc.mu.Lock()
		defer fc.mu.Unlock()
	}
	if t, ok := fc.byProg[prog]; ok {
		return t, nil
	}
	t, err := iptables.New(iptables.Path(prog), iptables.IPFamily(proto), iptables.Timeout(10))
	if err == nil && fc.byProg != nil {
		fc.byProg[prog] = t
	}
	return t, err
}

func newFirewallCache() firewallCache {
	return firewallCache{mu: &sync.Mutex{}, byProg: map[string]*iptables.IPTables{}}
}

// defaultChain is where OSSEC keeps its rules; blocks of an earlier installation are found there.
const defaultChain = "OSSEC"

const table = "filter"

// firewallDrop keeps one DROP rule per address in a chain of its own, reached from INPUT and, on a router, FORWARD.
func firewallDrop(ctx context.Context, e *Env, c *Call) Result {
	p, refused := firewallTarget(e, c)
	if refused != nil {
		return *refused
	}
	chain, err := chainName(e.Getenv("OSSEC_FW_CHAIN"))
	if err != nil {
		return refuse(1, err)
	}
	prog, proto := "iptables", iptables.ProtocolIPv4
	if p.Addr().Is6() {
		prog, proto = "ip6tables", iptables.ProtocolIPv6
	}
	path := ""
	for _, dir := range []string{"/sbin", "/usr/sbin"} {
		if f := filepath.Join(dir, prog); path == "" && e.Exists(f) {
			path = f
		}
	}
	if path == "" {
		fmt.Fprintf(e.Stdout, "%s: can not find iptables\n", c.Script)
		return refuse(0, fmt.Errorf("%s: %w", prog, errNotHere))
	}
	return retry(ctx, e, c, "iptables returning !=", func() (string, int, error) {
		t, err := e.firewalls.get(path, proto)
		if err != nil {
			return "", 1, err
		}
		note, err := e.dropRule(t, chain, p, c.adding())
		return note, exitStatus(err), err
	})
}

func chainName(s string) (string, error) {
	if s == "" {
		return defaultChain, nil
	}
	if len(s) > 28 || s[0] == '-' || strings.Trim(s, hostBytes) != "" {
		return "", fmt.Errorf("OSSEC_FW_CHAIN: %q is not a chain name", shorten(s))
	}
	switch s {
	case "INPUT", "FORWARD", "OUTPUT", "ACCEPT", "DROP", "RETURN", "QUEUE", "REJECT":
		return "", fmt.Errorf("OSSEC_FW_CHAIN: %q is taken", s)
	}
	return s, nil
}

func exitStatus(err error) int {
	var te *iptables.Error
	if errors.As(err, &te) {
		return te.ExitStatus()
	}
	return 1
}

// dropRule brings the rule into the state asked for. Repeating it changes nothing.
func (e *Env) dropRule(t *iptables.IPTables, chain string, p netip.Prefix, add bool) (note string, err error) {
	rule := []string{"-s", targetText(p), "-j", "DROP"}
	there, err := t.ChainExists(table, chain)
	if err != nil {
		return "", err
	}
	if !add {
		if !there {
			return "no chain " + chain, nil
		}
		return removeRule(t, chain, rule)
	}
	if !there {
		if err := t.NewChain(table, chain); err != nil {
			return "", err
		}
	}
	for _, from := range e.hooks() {
		if err := t.InsertUnique(table, from, 1, "-j", chain); err != nil {
			return "", err
		}
	}
	if there, err = t.Exists(table, chain, rule...); err != nil || there {
		return "already in chain " + chain, err
	}
	return "rule added to chain " + chain, t.Insert(table, chain, 1, rule...)
}

// removeRule deletes every copy of the rule; the stock script may have stacked several.
func removeRule(t *iptables.IPTables, chain string, rule []string) (note string, err error) {
	note = "no rule in chain " + chain
	for range 10000 {
		there, err := t.Exists(table, chain, rule...)
		if err != nil || !there {
			return note, err
		}
		if err := t.Delete(table, chain, rule...); err != nil {
			return "", err
		}
		note = "rule removed from chain " + chain
	}
	return note, nil
}

// hooks names the chains from which ours must be reached.
func (e *Env) hooks() []string {
	for _, f := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if data, err := os.ReadFile(filepath.Join(e.ProcSys, f)); err == nil && strings.TrimSpace(string(data)) != "0" {
			return []string{"INPUT", "FORWARD"}
		}
	}
	return []string{"INPUT"}
}
