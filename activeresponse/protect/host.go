package protect

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Entry is one protected address and why it is protected: "own address", "default gateway", "name server", "manager".
type Entry struct {
	Addr netip.Addr
	Why  string
}

// Host is what a machine knows about itself. It is refreshed from time to time, since addresses and gateways change; asking it never
// touches the system. The zero value protects only what is not a host.
type Host struct {
	gather func() []Entry
	names  []string // managers by name
	lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	self   func() string // own host name, "" = unknown
	cur    atomic.Pointer[snapshot]
}

type snapshot struct {
	entries []Entry
	byAddr  map[netip.Addr]string
}

// NewHost makes a Host from gather (Gather for the real machine, a fixed list in tests) and the managers' addresses or names. It holds
// the gathered addresses and numeric managers at once; names need Refresh.
func NewHost(gather func() []Entry, managers ...string) *Host {
	h := &Host{gather: gather, names: managers, lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	}, self: hostname}
	h.store(nil)
	return h
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// Refresh gathers anew and resolves the managers' names; a name that cannot be resolved keeps the addresses it had.
func (h *Host) Refresh(ctx context.Context) {
	var found []Entry
	for _, name := range h.names {
		if _, err := netip.ParseAddr(name); err == nil {
			continue
		}
		why := "manager " + name
		addrs, err := h.lookup(ctx, name)
		if err != nil {
			found = append(found, h.known(why)...)
			continue
		}
		for _, a := range addrs {
			found = append(found, Entry{a.Unmap(), why})
		}
	}
	h.store(found)
}

// Run refreshes every interval until ctx ends.
func (h *Host) Run(ctx context.Context, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		rctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		h.Refresh(rctx)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (h *Host) known(why string) []Entry {
	var out []Entry
	if s := h.cur.Load(); s != nil {
		for _, e := range s.entries {
			if e.Why == why {
				out = append(out, e)
			}
		}
	}
	return out
}

func (h *Host) store(resolved []Entry) {
	s := &snapshot{byAddr: map[netip.Addr]string{}}
	add := func(e Entry) {
		e.Addr = e.Addr.Unmap().WithZone("")
		if _, dup := s.byAddr[e.Addr]; !dup && e.Addr.IsValid() {
			s.byAddr[e.Addr] = e.Why
			s.entries = append(s.entries, e)
		}
	}
	if h.gather != nil {
		for _, e := range h.gather() {
			add(e)
		}
	}
	for _, name := range h.names {
		if a, err := netip.ParseAddr(name); err == nil {
			add(Entry{a, "manager"})
		}
	}
	for _, e := range resolved {
		add(e)
	}
	h.cur.Store(s)
}

// Entries lists the protected addresses of the machine, for display.
func (h *Host) Entries() []Entry {
	if h == nil {
		return nil
	}
	if s := h.cur.Load(); s != nil {
		return append([]Entry(nil), s.entries...)
	}
	return nil
}

// Addr reports whether the address must not be blocked, and why. A nil Host protects what is not a host.
func (h *Host) Addr(a netip.Addr) (why string, ok bool) {
	a = a.Unmap()
	if why, ok := NotAHost(a); ok {
		return why, true
	}
	if h == nil {
		return "", false
	}
	if s := h.cur.Load(); s != nil {
		why, ok = s.byAddr[a.WithZone("")]
	}
	return why, ok
}

// Name reports whether a host name is this machine's or a manager's, and why it must not be blocked: a program that looks it up would
// block the address behind it. A nil Host protects the names of loopback.
func (h *Host) Name(name string) (why string, ok bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	first, _, _ := strings.Cut(name, ".")
	if first == "localhost" || strings.HasPrefix(first, "ip6-") || strings.HasSuffix(name, ".localhost") {
		return "name of the loopback address", true
	}
	if h == nil {
		return "", false
	}
	for _, own := range h.names {
		if strings.EqualFold(name, strings.TrimSuffix(own, ".")) {
			return "manager", true
		}
	}
	if h.self == nil {
		return "", false
	}
	own := strings.ToLower(h.self())
	short, _, _ := strings.Cut(own, ".")
	if own != "" && (name == own || name == short) {
		return "own name", true
	}
	return "", false
}

// Prefix reports whether a block of the network would hit a protected address.
func (h *Host) Prefix(p netip.Prefix) (why string, ok bool) {
	if p.IsSingleIP() {
		return h.Addr(p.Addr())
	}
	if why, ok := NotAHost(p.Addr().Unmap()); ok {
		return why, true
	}
	if h == nil {
		return "", false
	}
	if s := h.cur.Load(); s != nil {
		for _, e := range s.entries {
			if p.Contains(e.Addr) {
				return e.Why, true
			}
		}
	}
	return "", false
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// NotAHost reports addresses that no single host has: blocking them would hurt only this machine.
func NotAHost(a netip.Addr) (why string, ok bool) {
	switch {
	case !a.IsValid():
		return "not an address", true
	case a.IsUnspecified() || a.Is4() && a.As4()[0] == 0:
		return "unspecified address", true
	case a.IsLoopback():
		return "loopback address", true
	case a.IsMulticast():
		return "multicast address", true
	case a == broadcast:
		return "broadcast address", true
	}
	return "", false
}
