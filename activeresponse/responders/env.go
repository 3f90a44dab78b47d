package responders

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Env is the world as a responder sees it. NewEnv fills it in; tests replace parts.
type Env struct {
	Root       string                                                                     // install root
	Stdout     io.Writer                                                                  // usage texts
	Stderr     io.Writer                                                                  // messages of programs
	Getenv     func(string) string                                                        // OSSEC_FW_CHAIN
	Now        func() time.Time                                                           // date of the log line
	Sleep      func(context.Context, time.Duration) error                                 // pause between two tries
	Protected  func(netip.Prefix) (why string, yes bool)                                  // asked before an address is blocked
	HostsDeny  string                                                                     // file of host-deny.sh
	BlockDir   string                                                                     // directory of ip-customblock.sh
	IPv6Prefix int                                                                        // bits of an IPv6 address that are blocked, 1 to 128
	ProcSys    string                                                                     // "/proc/sys", where forwarding is looked up
	Run        func(ctx context.Context, argv []string) (exit int, out string, err error) // runs a program; err: it did not start
	Exists     func(path string) bool                                                     // is there such a program
	LookupUser func(name string) (uid int, err error)                                     // account data base
	Post       func(ctx context.Context, site string, form url.Values) error              // ossec-slack.sh
	Restart    func() error                                                               // restart-ossec.sh; nil: bin/ossec-control restart
	Sets       SetBackend                                                                 // nftables-drop.sh
	Routes     RouteBackend                                                               // route-null.sh

	firewalls firewallCache
}

// SetBackend puts addresses into the packet filter's sets.
type SetBackend interface {
	// Add makes the address an element of the block set; timeout 0 means for ever. An element that is there gets the new timeout.
	Add(p netip.Prefix, timeout time.Duration) (note string, err error)
	// Delete removes it; an absent element is no error.
	Delete(p netip.Prefix) (note string, err error)
}

// RouteBackend rejects packets to an address by a route.
type RouteBackend interface {
	Add(p netip.Prefix) (note string, err error)
	Delete(p netip.Prefix) (note string, err error)
}

// NewEnv gives the environment of the real machine. It protects what protected says; nil protects only what is not a host.
func NewEnv(root string, protected func(netip.Prefix) (string, bool)) *Env {
	return &Env{
		Root: root, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Now: time.Now, Sleep: sleep, Protected: protected,
		HostsDeny: "/etc/hosts.deny", BlockDir: "/ipblock", IPv6Prefix: 128, ProcSys: "/proc/sys",
		Run: runProgram, Post: postForm, Exists: fileExists, LookupUser: lookupUser, Sets: systemSets(), Routes: systemRoutes(), firewalls: newFirewallCache(),
	}
}

// Quiet gives a copy for use inside a daemon, whose output nobody reads.
func (e *Env) Quiet() *Env {
	c := *e
	c.Stdout, c.Stderr = io.Discard, io.Discard
	return &c
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func fileExists(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

func lookupUser(name string) (int, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return 0, fmt.Errorf("user id %q of %s: %w", u.Uid, name, err)
	}
	return uid, nil
}

// LogFile is where responders write what they were asked to do.
func (e *Env) LogFile() string { return filepath.Join(e.Root, "logs", "active-responses.log") }

// dateForm is the output of date(1) in the C locale.
const dateForm = "Mon Jan _2 15:04:05 MST 2006"

func (e *Env) date() string { return e.Now().Format(dateForm) }

// log appends one line to the log. A log that cannot be written does not stop a response.
func (e *Env) log(line string) {
	f, err := openLog(e.LogFile())
	if err != nil {
		fmt.Fprintln(e.Stderr, err)
		return
	}
	defer f.Close()
	if _, err := f.WriteString(oneLine(line) + "\n"); err != nil {
		fmt.Fprintln(e.Stderr, err)
	}
}

// maxLogArg bounds what one argument adds to the log.
const maxLogArg = 512

// oneLine keeps an argument from forging a second log line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

func shorten(s string) string {
	if len(s) > maxLogArg {
		return s[:maxLogArg]
	}
	return s
}

var errNotHere = errors.New("not available on this system")
