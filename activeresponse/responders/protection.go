package responders

import (
	"context"
	"net/netip"
	"time"

	"github.com/vedette-hids/vedette/activeresponse/protect"
	"github.com/vedette-hids/vedette/config"
)

// Protection gives the addresses that a responder called on the command line must not block: what the machine found out about itself,
// the managers and the allow list of etc/ossec.conf. Without a readable configuration the machine's own addresses remain.
func Protection(root string) func(netip.Prefix) (why string, yes bool) {
	var managers []string
	cfg, _ := config.Load(root, "etc/ossec.conf") // what can be read of a bad file still protects
	allow := protect.NewList(&cfg.Global)
	if cfg.Client != nil {
		for _, s := range cfg.Client.Servers {
			managers = append(managers, s.Host)
		}
	}
	host := protect.NewHost(protect.Gather, managers...)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	host.Refresh(ctx)
	return func(p netip.Prefix) (string, bool) {
		if why, yes := host.Prefix(p); yes {
			return why, true
		}
		if entry, yes := allow.Prefix(p); yes {
			return "allow list: " + entry, true
		}
		return "", false
	}
}
