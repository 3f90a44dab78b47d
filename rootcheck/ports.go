package rootcheck

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// portView is what can be asked about ports of one protocol, "tcp" or "udp".
type portView interface {
	listed(proto string) (*portSet, error)      // ports that the kernel lists, in any state
	inUse(proto string, port int) (bool, error) // the port cannot be bound because it is in use
}

// portSet is a set of port numbers.
type portSet [1 << 16 / 64]uint64

func (p *portSet) add(port int)      { p[port>>6&1023] |= 1 << (port & 63) }
func (p *portSet) has(port int) bool { return p[port>>6&1023]>>(port&63)&1 != 0 }

const maxHiddenPorts = 20

// checkPorts looks for ports that are in use, as binding them fails, but that the kernel's lists or netstat do not show (spec section 9).
func (s *Scanner) checkPorts(ctx context.Context) error {
	if s.o.ports == nil {
		return nil // no such check on this system
	}
	for _, proto := range []string{"tcp", "udp"} {
		if err := s.protocol(ctx, proto); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scanner) protocol(ctx context.Context, proto string) error {
	used, err := s.usedPorts(ctx, proto)
	if err != nil || len(used) == 0 {
		return err
	}
	shown, err := s.shownPorts(ctx, proto)
	if err != nil {
		return err
	}
	found := 0
	for _, port := range used {
		if shown.has(port) {
			continue
		}
		hidden, err := s.stillHidden(ctx, proto, port)
		if err != nil {
			return err
		}
		if !hidden {
			continue
		}
		if found++; found > maxHiddenPorts {
			return s.report(ctx, "Excessive number of '%s' ports hidden. It maybe a false-positive or something really bad is going on.", proto)
		}
		if err := s.report(ctx, "Port '%d'(%s) hidden. Kernel-level rootkit or trojaned version of netstat.", port, proto); err != nil {
			return err
		}
	}
	return nil
}

// usedPorts tries to bind every port.
func (s *Scanner) usedPorts(ctx context.Context, proto string) (used []int, err error) {
	for port := 1; port <= s.o.top; port++ {
		if port&1023 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		busy, err := s.o.ports.inUse(proto, port)
		if err != nil {
			return nil, fmt.Errorf("binding %s ports: %w", proto, err)
		}
		if busy {
			used = append(used, port)
		}
	}
	return used, nil
}

// stillHidden looks a second time: a port that is free again, or shown before or after it is found in use, is not hidden.
func (s *Scanner) stillHidden(ctx context.Context, proto string, port int) (bool, error) {
	if err := s.pause(ctx, s.o.Sleep); err != nil {
		return false, err
	}
	for range 2 {
		shown, err := s.shownPorts(ctx, proto)
		if err != nil || shown.has(port) {
			return false, err
		}
		busy, err := s.o.ports.inUse(proto, port)
		if err != nil || !busy {
			return false, err
		}
	}
	return true, nil
}

// shownPorts gives the ports that the kernel lists and that netstat, if it can be asked, shows too.
func (s *Scanner) shownPorts(ctx context.Context, proto string) (*portSet, error) {
	listed, err := s.o.ports.listed(proto)
	if err != nil {
		return nil, fmt.Errorf("listing %s ports: %w", proto, err)
	}
	out, err := s.o.run(ctx, "netstat", "-an")
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return listed, nil // not installed, or not to be asked: the kernel's word counts
	}
	shown := netstatPorts(out, proto)
	for i := range listed {
		listed[i] &= shown[i]
	}
	return listed, nil
}

var netstatLine = regexp.MustCompile(`(?m)^(tcp|udp)\S*(?:\s+\d+){2}\s+\S*[:.](\d+)\s`)

// netstatPorts reads the local ports of a protocol in netstat's output.
func netstatPorts(out, proto string) *portSet {
	set := &portSet{}
	for _, m := range netstatLine.FindAllStringSubmatch(out, -1) {
		port, err := strconv.Atoi(m[2])
		if err == nil && port < 1<<16 && strings.HasPrefix(m[1], proto) {
			set.add(port)
		}
	}
	return set
}
