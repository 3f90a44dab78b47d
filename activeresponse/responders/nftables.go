package responders

import (
	"context"
	"fmt"
)

// nftablesDrop keeps the address in a set of the packet filter, with a time limit that the kernel enforces by itself.
func nftablesDrop(ctx context.Context, e *Env, c *Call) Result {
	p, refused := firewallTarget(e, c)
	if refused != nil {
		return *refused
	}
	if e.Sets == nil {
		return refuse(1, fmt.Errorf("nftables: %w", errNotHere))
	}
	return retry(ctx, e, c, "nft returning", func() (string, int, error) {
		if c.adding() {
			note, err := e.Sets.Add(p, c.Timeout)
			return note, 1, err
		}
		note, err := e.Sets.Delete(p)
		return note, 1, err
	})
}

// routeNull makes the kernel refuse to send anything to the address. The exit code is 0 whatever happens, as the stock script's.
func routeNull(_ context.Context, e *Env, c *Call) Result {
	p, err := ParseTarget(c.arg(2), c.bits(e))
	if err != nil {
		return refuse(0, err)
	}
	if r := refuseProtected(e, c, p); r != nil {
		r.Exit = 0
		return *r
	}
	if e.Routes == nil {
		return refuse(0, fmt.Errorf("routes: %w", errNotHere))
	}
	op := e.Routes.Delete
	if c.adding() {
		op = e.Routes.Add
	}
	note, err := op(p)
	return Result{Note: note, Err: err}
}
