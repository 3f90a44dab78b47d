package responders

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// rejectRoutes makes and removes "unreachable" host routes of the main table.
type rejectRoutes struct{}

func systemRoutes() RouteBackend { return rejectRoutes{} }

func rejectRoute(p netip.Prefix) *netlink.Route {
	return &netlink.Route{
		Dst:   &net.IPNet{IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
		Type:  unix.RTN_UNREACHABLE,
		Table: unix.RT_TABLE_MAIN,
	}
}

// find reports whether our route is there.
func (rejectRoutes) find(r *netlink.Route) (bool, error) {
	family := netlink.FAMILY_V4
	if len(r.Dst.IP) == 16 {
		family = netlink.FAMILY_V6
	}
	got, err := netlink.RouteListFiltered(family, r, netlink.RT_FILTER_DST|netlink.RT_FILTER_TYPE|netlink.RT_FILTER_TABLE)
	return len(got) > 0, err
}

// Add implements RouteBackend.
func (b rejectRoutes) Add(p netip.Prefix) (string, error) {
	r := rejectRoute(p)
	there, err := b.find(r)
	if err != nil {
		return "", fmt.Errorf("listing routes: %w", err)
	}
	if there {
		return "unreachable route is there already", nil
	}
	if err := netlink.RouteAdd(r); err != nil {
		return "", fmt.Errorf("adding unreachable route to %s: %w", p, err)
	}
	return "unreachable route added", nil
}

// Delete implements RouteBackend.
func (b rejectRoutes) Delete(p netip.Prefix) (string, error) {
	r := rejectRoute(p)
	there, err := b.find(r)
	if err != nil {
		return "", fmt.Errorf("listing routes: %w", err)
	}
	if !there {
		return "no unreachable route", nil
	}
	if err := netlink.RouteDel(r); err != nil && !errors.Is(err, unix.ESRCH) {
		return "", fmt.Errorf("deleting unreachable route to %s: %w", p, err)
	}
	return "unreachable route removed", nil
}
