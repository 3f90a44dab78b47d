package rootcheck

import (
	"context"
	"strings"
)

// promiscuous is an interface that takes packets for others.
type promiscuous struct {
	name    string
	flagged bool // the interface's flags say so, which ifconfig shows; else only the kernel's counter, as when a sniffer runs
}

// checkInterfaces looks for interfaces in promiscuous mode (spec section 10).
func (s *Scanner) checkInterfaces(ctx context.Context) error {
	list, err := promiscuousInterfaces()
	if err != nil {
		return err
	}
	for _, i := range list {
		text := "Interface '%s' in promiscuous mode."
		if i.flagged && s.hiddenByIfconfig(ctx, i.name) {
			text = "Interface '%s' in promiscuous mode, but ifconfig is not showing it(probably trojaned)."
		}
		if err := s.report(ctx, text, i.name); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// hiddenByIfconfig reports whether ifconfig is there, works, and leaves the flag out.
func (s *Scanner) hiddenByIfconfig(ctx context.Context, name string) bool {
	out, err := s.o.run(ctx, "ifconfig", name)
	return err == nil && !strings.Contains(out, "PROMISC")
}
