package responders

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Subject is what a responder acts on. Two requests with the same subject are the same block.
type Subject uint8

// The subjects.
const (
	Nothing Subject = iota // acts on the host itself, or only tells somebody
	Address                // the source address
	User                   // the account
)

// Call is one request to a responder.
type Call struct {
	Script  string        // path as it stands in the log: "<root>/active-response/bin/host-deny.sh"
	Args    []string      // add|delete user srcip <time>.<id> rule location… file
	Timeout time.Duration // how long the block is to last, for responders that tell the kernel; 0 = until it is deleted
	// IPv6Prefix is how many bits of an IPv6 address are meant, as when the block was made; 0 = as Env says.
	IPv6Prefix int
}

func (c *Call) arg(i int) string {
	if i < len(c.Args) {
		return c.Args[i]
	}
	return ""
}

func (c *Call) adding() bool { return c.arg(0) == "add" }

// Result is what a responder did.
type Result struct {
	Exit int    // exit code of the stock script
	Note string // what was done, for people: "rule added to chain OSSEC"
	Err  error  // nil: the block is as asked for
	// Refused goes with Err: nothing was done, repeating it is useless, and there is nothing to take back.
	Refused bool
}

// refuse makes the result of a request that cannot be carried out, ever.
func refuse(exit int, err error) Result { return Result{Exit: exit, Err: err, Refused: true} }

// Responder is one compiled-in program.
type Responder struct {
	Name         string  // file name in active-response/bin
	Subject      Subject //
	KernelExpiry bool    // the kernel forgets the block by itself, so prolonging it means adding it again
	Names        bool    // takes host names besides addresses

	tells bool   // only tells somebody: no line on delete, eight arguments on add
	usage string // text when the subject is missing, after "<script>: "
	run   func(ctx context.Context, e *Env, c *Call) Result
}

const (
	usageIP   = "Missing argument <action> <user> (ip)"
	usageFW   = "<action> <username> <ip>"
	usageUser = "[ add | delete ] <username>"
)

// all is the table of compiled-in programs.
var all = []*Responder{
	{Name: "host-deny.sh", Subject: Address, Names: true, usage: usageIP, run: hostDeny},
	{Name: "firewall-drop.sh", Subject: Address, usage: usageFW, run: firewallDrop},
	{Name: "firewalld-drop.sh", Subject: Address, usage: usageFW, run: firewalldDrop},
	{Name: "nftables-drop.sh", Subject: Address, KernelExpiry: true, usage: usageFW, run: nftablesDrop},
	{Name: "route-null.sh", Subject: Address, usage: usageIP, run: routeNull},
	{Name: "ip-customblock.sh", Subject: Address, usage: usageIP, run: customBlock},
	{Name: "disable-account.sh", Subject: User, usage: usageUser, run: disableAccount},
	{Name: "ossec-slack.sh", Subject: Nothing, tells: true, run: slack},
	{Name: "restart-ossec.sh", Subject: Nothing, run: restartOSSEC},
}

// Lookup finds a compiled-in program by its file name.
func Lookup(name string) (*Responder, bool) {
	for _, r := range all {
		if r.Name == name {
			return r, true
		}
	}
	return nil, false
}

// Names lists the compiled-in programs in alphabetical order.
func Names() []string {
	var out []string
	for _, r := range all {
		out = append(out, r.Name)
	}
	slices.Sort(out)
	return out
}

// Respond carries out a call and writes its line to the log. It returns when ctx ends at the latest after the step it is in.
func (r *Responder) Respond(ctx context.Context, e *Env, c Call) Result {
	n := 5
	if r.tells {
		if n = 8; c.arg(0) == "delete" {
			return Result{Note: "nothing to tell"}
		}
	}
	e.log(e.date() + " " + shorten(c.Script) + " " + strings.Join(logArgs(c.Args, n), " "))
	if r.subject(&c) == "" && r.Subject != Nothing {
		fmt.Fprintf(e.Stdout, "%s: %s\n", c.Script, r.usage)
		return refuse(1, errors.New("the argument to act on is missing"))
	}
	if a := c.arg(0); a != "add" && a != "delete" {
		fmt.Fprintf(e.Stdout, "%s: invalid action: %s\n", c.Script, shorten(a))
		return refuse(1, fmt.Errorf("invalid action %q", shorten(a)))
	}
	return r.run(ctx, e, &c)
}

func (r *Responder) subject(c *Call) string {
	if r.Subject == User {
		return c.arg(1)
	}
	return c.arg(2)
}

// logArgs gives exactly n arguments, missing ones empty.
func logArgs(args []string, n int) []string {
	out := make([]string, n)
	for i := range out {
		if i < len(args) {
			out[i] = shorten(args[i])
		}
	}
	return out
}

// Main runs the program named by argv0 with its arguments, as the stock script does, and gives its exit code. argv0 may be a path; a
// bare name is logged with the path it has in active-response/bin.
func Main(argv0 string, args []string, e *Env) int {
	name := path.Base(argv0)
	r, ok := Lookup(name)
	if !ok {
		fmt.Fprintf(e.Stderr, "%s: no such response; there are: %s\n", name, strings.Join(Names(), " "))
		return 1
	}
	if !strings.Contains(argv0, "/") {
		argv0 = path.Join(e.Root, "active-response/bin", name)
	}
	if e.Protected == nil {
		e.Protected = Protection(e.Root)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return r.Respond(ctx, e, Call{Script: argv0, Args: args}).Exit
}

// tries is how often a failing packet filter is asked.
const tries = 5

// retry calls op until it succeeds, logging each failure as the stock firewall scripts do and pausing 1, 2, … seconds. The exit code is
// 0 in any case, as theirs.
func retry(ctx context.Context, e *Env, c *Call, what string, op func() (note string, rc int, err error)) Result {
	for n := 1; ; n++ {
		note, rc, err := op()
		if err == nil {
			return Result{Note: note}
		}
		e.log(fmt.Sprintf("%s Unable to run (%s %d): %d - %s %s", e.date(), what, rc, n, shorten(c.Script), strings.Join(logArgs(c.Args, 5), " ")))
		if serr := e.Sleep(ctx, time.Duration(n)*time.Second); serr != nil || n == tries {
			return Result{Err: err}
		}
	}
}
