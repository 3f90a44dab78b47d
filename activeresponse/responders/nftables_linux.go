package responders

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// nftSets speaks to the kernel over netlink. It uses the sets that OSSEC's documentation asks the operator to make (inet filter
// ossec_ar4 and ossec_ar6) when they exist, else a table of its own.
type nftSets struct{}

func systemSets() SetBackend { return nftSets{} }

const (
	stockTable = "filter"
	ownTable   = "vedette"
	ownSet4    = "blocked4"
	ownSet6    = "blocked6"
	ownNets6   = "blocked6_nets"
)

// kernelSlack is how much longer than asked for the kernel keeps an element, so that it never forgets one before its time.
const kernelSlack = 30 * time.Second

// Add implements SetBackend.
func (nftSets) Add(p netip.Prefix, timeout time.Duration) (string, error) {
	c, err := nftables.New()
	if err != nil {
		return "", err
	}
	set, ok := findSet(c, stockTable, stockName(p))
	if !ok || !p.IsSingleIP() {
		if set, err = ownSetFor(c, p); err != nil {
			return "", err
		}
	}
	el := elements(set, p)
	if set.HasTimeout && timeout > 0 {
		el[0].Timeout = timeout + kernelSlack
	}
	where := set.Table.Name + " " + set.Name
	// Replacing is one transaction: no packet passes in between. An absent element fails it, then it is only added.
	if err := change(c, set, el, true); err == nil {
		return "element renewed in " + where, nil
	} else if !errors.Is(err, unix.ENOENT) {
		return "", err
	}
	if err := change(c, set, el, false); err != nil {
		return "", err
	}
	return "element added to " + where, nil
}

// Delete implements SetBackend.
func (nftSets) Delete(p netip.Prefix) (string, error) {
	c, err := nftables.New()
	if err != nil {
		return "", err
	}
	note := "no such element"
	for _, at := range [][2]string{{stockTable, stockName(p)}, {ownTable, ownName(p)}} {
		set, ok := findSet(c, at[0], at[1])
		if !ok || set.Interval == p.IsSingleIP() {
			continue
		}
		if err := c.SetDeleteElements(set, elements(set, p)); err != nil {
			return "", err
		}
		switch err := c.Flush(); {
		case err == nil:
			note = "element removed from " + at[0] + " " + at[1]
		case !errors.Is(err, unix.ENOENT):
			return "", fmt.Errorf("removing from set %s %s: %w", at[0], at[1], err)
		}
	}
	return note, nil
}

func change(c *nftables.Conn, set *nftables.Set, el []nftables.SetElement, replace bool) error {
	if replace {
		if err := c.SetDeleteElements(set, el); err != nil {
			return err
		}
	}
	if err := c.SetAddElements(set, el); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("set %s %s: %w", set.Table.Name, set.Name, err)
	}
	return nil
}

func stockName(p netip.Prefix) string {
	if p.Addr().Is6() {
		return "ossec_ar6"
	}
	return "ossec_ar4"
}

func ownName(p netip.Prefix) string {
	switch {
	case !p.IsSingleIP():
		return ownNets6
	case p.Addr().Is6():
		return ownSet6
	}
	return ownSet4
}

// findSet looks a set up; any error counts as absent, the next step will tell.
func findSet(c *nftables.Conn, table, name string) (*nftables.Set, bool) {
	s, err := c.GetSetByName(&nftables.Table{Name: table, Family: nftables.TableFamilyINet}, name)
	return s, err == nil
}

// elements makes the set elements of a target: one address, or the first address and the one behind the last of a network.
func elements(s *nftables.Set, p netip.Prefix) []nftables.SetElement {
	el := []nftables.SetElement{{Key: p.Masked().Addr().AsSlice()}}
	if s.Interval {
		el = append(el, nftables.SetElement{Key: behind(p).AsSlice(), IntervalEnd: true})
	}
	return el
}

// behind gives the first address after a network. The last network of all has none; it wraps to zero, which the kernel takes as the end.
func behind(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := range b {
		if host := 8*(i+1) - p.Bits(); host >= 8 {
			b[i] = 0xff
		} else if host > 0 {
			b[i] |= 1<<host - 1
		}
	}
	a, _ := netip.AddrFromSlice(b)
	if n := a.Next(); n.IsValid() {
		return n
	}
	return netip.IPv6Unspecified()
}

// ownSetFor gives our own set for the target, making table, sets, chains and rules when they are not there.
func ownSetFor(c *nftables.Conn, p netip.Prefix) (*nftables.Set, error) {
	if s, ok := findSet(c, ownTable, ownName(p)); ok {
		return s, nil
	}
	t := c.AddTable(&nftables.Table{Name: ownTable, Family: nftables.TableFamilyINet})
	sets := []*nftables.Set{
		{Table: t, Name: ownSet4, KeyType: nftables.TypeIPAddr, HasTimeout: true},
		{Table: t, Name: ownSet6, KeyType: nftables.TypeIP6Addr, HasTimeout: true},
		{Table: t, Name: ownNets6, KeyType: nftables.TypeIP6Addr, HasTimeout: true, Interval: true},
	}
	for _, s := range sets {
		if err := c.AddSet(s, nil); err != nil {
			return nil, err
		}
	}
	for name, hook := range map[string]*nftables.ChainHook{"input": nftables.ChainHookInput, "forward": nftables.ChainHookForward} {
		ch := c.AddChain(&nftables.Chain{Table: t, Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook,
			Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityFilter - 10)})
		for _, s := range sets {
			c.AddRule(&nftables.Rule{Table: t, Chain: ch, Exprs: dropFrom(s)})
		}
	}
	if err := c.Flush(); err != nil {
		return nil, fmt.Errorf("making table inet %s: %w", ownTable, err)
	}
	s, ok := findSet(c, ownTable, ownName(p))
	if !ok {
		return nil, fmt.Errorf("table inet %s: %w", ownTable, os.ErrNotExist)
	}
	return s, nil
}

// dropFrom is the rule "meta nfproto X, source address in the set: drop".
func dropFrom(s *nftables.Set) []expr.Any {
	family, offset, length := byte(unix.NFPROTO_IPV4), uint32(12), uint32(4)
	if s.KeyType == nftables.TypeIP6Addr {
		family, offset, length = unix.NFPROTO_IPV6, 8, 16
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}
