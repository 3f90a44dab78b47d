package rootcheck

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// promiscuousInterfaces asks the kernel for all links. The counter of a link that belongs to a bridge or bond, or carries another link, is
// raised by the kernel itself and means nothing.
func promiscuousInterfaces() ([]promiscuous, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	carries := make(map[int]bool)
	for _, l := range links {
		if l.Attrs().NetNsID < 0 { // the carrier is in this namespace
			carries[l.Attrs().ParentIndex] = true
		}
	}
	var out []promiscuous
	for _, l := range links {
		a := l.Attrs()
		flagged := a.RawFlags&unix.IFF_PROMISC != 0
		quiet := a.MasterIndex == 0 && !carries[a.Index] && a.Flags&net.FlagUp != 0
		if flagged || a.Promisc > 0 && quiet {
			out = append(out, promiscuous{a.Name, flagged})
		}
	}
	return out, nil
}
