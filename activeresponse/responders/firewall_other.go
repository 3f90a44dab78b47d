//go:build !linux

package responders

import (
	"context"
	"fmt"
)

type firewallCache struct{}

func newFirewallCache() firewallCache { return firewallCache{} }

func firewallDrop(_ context.Context, e *Env, c *Call) Result {
	fmt.Fprintf(e.Stdout, "%s: can not find iptables\n", c.Script)
	return refuse(0, fmt.Errorf("iptables: %w", errNotHere))
}
