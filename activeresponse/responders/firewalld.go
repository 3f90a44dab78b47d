package responders

import (
	"context"
	"fmt"
	"strings"
)

// firewalldDrop adds or removes a rich rule of the default zone, at run time only.
func firewalldDrop(ctx context.Context, e *Env, c *Call) Result {
	p, refused := firewallTarget(e, c)
	if refused != nil {
		return *refused
	}
	prog := ""
	for _, path := range []string{"/bin/firewall-cmd", "/usr/bin/firewall-cmd"} {
		if e.Exists(path) {
			prog = path
			break
		}
	}
	if prog == "" {
		return refuse(1, fmt.Errorf("firewall-cmd: %w", errNotHere))
	}
	family := "ipv4"
	if p.Addr().Is6() {
		family = "ipv6"
	}
	option, note := "--add-rich-rule=", "rich rule added"
	if !c.adding() {
		option, note = "--remove-rich-rule=", "rich rule removed"
	}
	argv := []string{prog, fmt.Sprintf("%srule family='%s' source address='%s' drop", option, family, targetText(p))}
	return retry(ctx, e, c, "firewall-cmd returning !=", func() (string, int, error) {
		exit, out, err := e.Run(ctx, argv)
		return note, exit, programError(argv, exit, out, err)
	})
}

// programError makes an error of a program's exit.
func programError(argv []string, exit int, out string, err error) error {
	if err == nil && exit != 0 {
		err = fmt.Errorf("exit status %d: %s", exit, strings.TrimSpace(out))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return nil
}
