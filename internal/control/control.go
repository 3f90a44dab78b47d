//go:build unix

// Package control is ossec-control: it starts, stops and reports on the daemon process of an install root, with the words operators and
// their scripts know (spec operations.md, section 7).
//
// Vedette runs one process where OSSEC runs many; that process writes a pid file for each part that is up, so that status and start
// still speak of ossec-analysisd, ossec-remoted and so on.
package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vedette-hids/vedette/internal/pidfile"
	"github.com/vedette-hids/vedette/internal/version"
)

// Waits and pauses of start and stop.
const (
	readyWait = 60 * time.Second
	stopWait  = 45 * time.Second
	poll      = 50 * time.Millisecond
	lockTries = 10
)

// Env is what one run of the tool works on.
type Env struct {
	Root   string // install root
	Self   string // path shown in usage texts
	Type   string // server, local or agent (etc/ossec-init.conf)
	Stdout io.Writer
	Stderr io.Writer
}

// RoleOf reads the TYPE of an install root from etc/ossec-init.conf, "server" when there is none.
func RoleOf(root string) string {
	data, err := os.ReadFile(filepath.Join(root, "etc", "ossec-init.conf"))
	if err != nil {
		return "server"
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "TYPE="); ok {
			return strings.Trim(v, `"`)
		}
	}
	return "server"
}

// Run carries out one call and returns its exit code.
func Run(ctx context.Context, env Env, args []string) int {
	c := &control{Env: env}
	var sub string
	if len(args) > 0 {
		sub = args[0]
	}
	switch sub {
	case "start":
		return c.start(ctx)
	case "stop":
		return c.stop(ctx)
	case "restart":
		return c.restart(ctx)
	case "reload":
		if env.Type == "local" {
			break
		}
		return c.reload(ctx)
	case "status":
		return c.status()
	case "enable", "disable":
		if env.Type == "agent" {
			break
		}
		return c.toggle(sub, args[1:])
	}
	return c.usage()
}

type control struct{ Env }

func (c *control) say(format string, args ...any) { fmt.Fprintf(c.Stdout, format+"\n", args...) }

func (c *control) usage() int {
	switch c.Type {
	case "agent":
		c.say("Usage: %s {start|stop|reload|restart|status}", c.Self)
	case "local":
		c.say("\nUsage: %s {start|stop|restart|status|enable|disable}", c.Self)
	default:
		c.say("\nUsage: %s {start|stop|reload|restart|status|enable|disable}", c.Self)
	}
	return 1
}

// program is the daemon program of this kind of install.
func (c *control) program() string {
	if c.Type == "agent" {
		return filepath.Join(c.Root, "bin", "vedette-agent")
	}
	return filepath.Join(c.Root, "bin", "vedette-manager")
}

// daemons lists the parts in status order, without the mailer when it is off.
func (c *control) daemons() []string {
	all := c.everyDaemon()
	if c.mailOff() {
		all = slices.DeleteFunc(all, func(d string) bool { return d == "ossec-maild" })
	}
	return all
}

// everyDaemon lists the parts that a stop looks for.
func (c *control) everyDaemon() []string {
	if c.Type == "agent" {
		return []string{"ossec-logcollector", "ossec-syscheckd", "ossec-agentd", "ossec-execd"}
	}
	d := []string{"ossec-monitord", "ossec-logcollector", "ossec-remoted", "ossec-syscheckd", "ossec-analysisd"}
	if c.Type == "local" {
		d = slices.Delete(d, 2, 3)
	}
	d = append(d, "ossec-maild", "ossec-execd")
	enabled := c.processList()
	for _, opt := range []string{"DB_DAEMON", "CSYSLOG_DAEMON", "AGENTLESS_DAEMON"} {
		if enabled[opt] != "" {
			d = append(d, enabled[opt])
		}
	}
	return d
}

// startOrder lists the parts in the order in which start reports them.
func (c *control) startOrder() []string {
	order := []string{"ossec-dbd", "ossec-csyslogd", "ossec-agentlessd", "ossec-maild", "ossec-execd", "ossec-analysisd", "ossec-agentd",
		"ossec-logcollector", "ossec-remoted", "ossec-syscheckd", "ossec-monitord"}
	have := c.daemons()
	return slices.DeleteFunc(order, func(d string) bool { return !slices.Contains(have, d) })
}

func (c *control) mailOff() bool {
	data, err := os.ReadFile(filepath.Join(c.Root, "etc", "ossec.conf"))
	return err == nil && strings.Contains(string(data), "<email_notification>no<")
}

func (c *control) listPath() string { return filepath.Join(c.Root, "bin", ".process_list") }

// processList reads the shell assignments of bin/.process_list; the last one of a name wins.
func (c *control) processList() map[string]string {
	values := map[string]string{}
	data, err := os.ReadFile(c.listPath())
	if err != nil {
		return values
	}
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[k] = strings.Trim(v, `"`)
		}
	}
	return values
}

// running gives the pid of a live daemon, 0 when there is none; stale pid files are removed with a word.
func (c *control) running(daemon string) int {
	for _, e := range pidfile.Find(c.Root, daemon) {
		if e.Live {
			return e.PID
		}
		c.say("%s: Process %d not used by ossec, removing ..", daemon, e.PID)
		os.Remove(e.Path)
	}
	return 0
}

func (c *control) status() int {
	code := 0
	for _, d := range c.daemons() {
		if c.running(d) != 0 {
			c.say("%s is running...", d)
		} else {
			c.say("%s not running...", d)
			code = 1
		}
	}
	return code
}

func (c *control) toggle(verb string, args []string) int {
	lines := map[string][2]string{
		"database":      {"DB_DAEMON=ossec-dbd", `DB_DAEMON=""`},
		"client-syslog": {"CSYSLOG_DAEMON=ossec-csyslogd", `CSYSLOG_DAEMON=""`},
		"agentless":     {"AGENTLESS_DAEMON=ossec-agentlessd", `AGENTLESS_DAEMON=""`},
		"debug":         {`DEBUG_CLI="-d"`, `DEBUG_CLI=""`},
	}
	option := ""
	if len(args) > 0 {
		option = args[0]
	}
	pair, ok := lines[option]
	if !ok {
		if option != "" {
			c.say("\nInvalid %s option.", verb)
		}
		c.say("\n%s options: database, client-syslog, agentless, debug", strings.ToUpper(verb[:1])+verb[1:])
		c.say("Usage: %s %s [database|client-syslog|agentless|debug]", c.Self, verb)
		return 1
	}
	line := pair[0]
	if verb == "disable" {
		line = pair[1]
	}
	f, err := os.OpenFile(c.listPath(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err == nil {
		_, err = f.WriteString(line + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		fmt.Fprintf(c.Stderr, "ossec-control: changing %s: %v\n", c.listPath(), err)
		return 1
	}
	return 0
}

// test runs the daemon's configuration test and shows what it finds.
func (c *control) test(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.program(), "-t", "-D", c.Root)
	cmd.Stdout, cmd.Stderr = c.Stderr, c.Stderr
	return cmd.Run()
}

func (c *control) testFailed() int {
	switch c.Type {
	case "agent":
		c.say("ossec-agentd: Configuration error. Exiting")
	case "local":
		c.say("ossec-analysisd: Configuration error. Exiting.")
	default:
		c.say("OSSEC analysisd: Testing rules failed. Configuration error. Exiting.")
	}
	return 1
}

func (c *control) lockDir() string { return filepath.Join(c.Root, "var", "start-script-lock") }

// lock takes the start lock; after lockTries it is taken by force, at once when its holder is dead.
func (c *control) lock(ctx context.Context) {
	for try := 0; ; try++ {
		if err := os.Mkdir(c.lockDir(), 0o750); err == nil || !errors.Is(err, os.ErrExist) {
			break
		}
		holder, err := os.ReadFile(filepath.Join(c.lockDir(), "pid"))
		pid, _ := strconv.Atoi(strings.TrimSpace(string(holder)))
		if try >= lockTries || (err == nil && syscall.Kill(pid, 0) != nil) {
			break
		}
		if !sleep(ctx, time.Second) {
			return
		}
	}
	os.WriteFile(filepath.Join(c.lockDir(), "pid"), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o640) //nolint:errcheck // the lock is advisory
}

func (c *control) unlock() { os.RemoveAll(c.lockDir()) }

// sleep waits for d or the end of ctx; it reports whether to go on.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *control) start(ctx context.Context) int {
	c.say("Starting %s %s...", version.Product, version.Compat)
	if c.test(ctx) != nil {
		return c.testFailed()
	}
	c.lock(ctx)
	defer c.unlock()
	c.removeStale()
	return c.launch(ctx)
}

func (c *control) removeStale() {
	for _, d := range c.daemons() {
		for _, e := range pidfile.Find(c.Root, d) {
			if !e.Live {
				c.say("Deleting PID file '%s' not used...", e.Path)
				os.Remove(e.Path)
			}
		}
	}
}

func (c *control) launch(ctx context.Context) int {
	order := c.startOrder()
	if slices.ContainsFunc(order, func(d string) bool { return c.running(d) != 0 }) {
		for _, d := range order {
			if c.running(d) != 0 {
				c.say("%s already running...", d)
			}
		}
		c.say("Completed.")
		return 0
	}
	args := []string{"-D", c.Root}
	if c.processList()["DEBUG_CLI"] == "-d" {
		args = append(args, "-d")
	}
	// The daemon puts itself into the background once it is ready, and reports its failure otherwise.
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.program(), args...)
	cmd.Stdout, cmd.Stderr = c.Stderr, c.Stderr
	if err := cmd.Run(); err != nil {
		c.say("%s did not start correctly.", order[0])
		return 1
	}
	for _, d := range order {
		if c.running(d) != 0 {
			c.say("Started %s...", d)
		}
	}
	c.say("Completed.")
	return 0
}

func (c *control) stop(ctx context.Context) int {
	c.lock(ctx)
	defer c.unlock()
	pids := map[int]bool{}
	for _, d := range c.everyDaemon() {
		if pid := c.running(d); pid != 0 {
			c.say("Killing %s .. ", d)
			pids[pid] = true
		} else {
			c.say("%s not running ..", d)
		}
	}
	for pid := range pids {
		syscall.Kill(pid, syscall.SIGTERM) //nolint:errcheck // it may have ended by itself
	}
	for pid := range pids {
		if !c.waitGone(ctx, pid) {
			c.say("Process %d did not exit; sending SIGKILL ..", pid)
			syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // as above
			c.waitGone(ctx, pid)
		}
	}
	for pid := range pids {
		left, _ := filepath.Glob(filepath.Join(pidfile.Dir(c.Root), fmt.Sprintf("*-%d.pid", pid)))
		for _, path := range left {
			os.Remove(path)
		}
	}
	os.Remove(filepath.Join(c.Root, "queue", "ossec", "queue"))
	c.say("%s %s Stopped", version.Product, version.Compat)
	return 0
}

func (c *control) waitGone(ctx context.Context, pid int) bool {
	for deadline := time.Now().Add(stopWait); time.Now().Before(deadline); {
		if !pidfile.Ours(pid) {
			return true
		}
		if !sleep(ctx, poll) {
			return false
		}
	}
	return false
}

// restart tests the configuration first, so that a mistake in it leaves the running processes alone.
func (c *control) restart(ctx context.Context) int {
	if c.test(ctx) != nil {
		return c.testFailed()
	}
	c.stop(ctx)
	return c.start(ctx)
}

// reload asks the running process to read its configuration anew; without one it starts.
func (c *control) reload(ctx context.Context) int {
	if c.test(ctx) != nil {
		return c.testFailed()
	}
	for _, d := range c.daemons() {
		if pid := c.running(d); pid != 0 {
			if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
				fmt.Fprintf(c.Stderr, "ossec-control: reload: %v\n", err)
				return 1
			}
			c.say("Completed.")
			return 0
		}
	}
	return c.start(ctx)
}
