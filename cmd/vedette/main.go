// Command vedette is the operator's toolbox. Called through a link with the name of an OSSEC tool (manage_agents, ossec-control,
// ossec-logtest, host-deny.sh, ...) it behaves as that tool; called as vedette it has commands of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// call is one invocation of a tool.
type call struct {
	ctx    context.Context
	self   string // absolute path it was called by, links not followed
	name   string // last part of it
	root   string // install root it belongs to
	args   []string
	arg0   string // as it was called, for messages like the C library's
	json   bool   // --json
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	self := calledBy(os.Args[0])
	c := call{ctx: ctx, self: self, name: filepath.Base(self), root: rootOf(self), args: os.Args[1:], arg0: os.Args[0],
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	if tool, ok := tools[c.name]; ok {
		if err := c.rootNeeded(); err != nil {
			fmt.Fprintf(c.stderr, "%s: ERROR: %v\n", c.name, err)
			return 1
		}
		return tool(c)
	}
	if isResponder(c.name) {
		return respond(c)
	}
	cmd := rootCommand(&c)
	cmd.SetArgs(c.args)
	return exitCode(cmd.ExecuteContext(ctx), os.Stderr)
}

// coded is an error with an exit code of its own.
type coded struct {
	error
	code int
}

func (e coded) Unwrap() error { return e.error }

func withCode(code int, err error) error { return coded{err, code} }

// exitCode shows an error that was not shown yet and gives the exit code.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintf(stderr, "vedette: %v\n", err)
	}
	var c coded
	if errors.As(err, &c) {
		return c.code
	}
	return 1
}

// calledBy makes the path of the program absolute without following links, because the link's place tells the install root.
func calledBy(arg0 string) string {
	if !strings.ContainsRune(arg0, filepath.Separator) {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			p := filepath.Join(dir, arg0)
			if st, err := os.Stat(p); err == nil && !st.IsDir() {
				arg0 = p
				break
			}
		}
	}
	abs, err := filepath.Abs(arg0)
	if err != nil {
		return arg0
	}
	return abs
}

// defaultRoot is where OSSEC lives when nothing else is known.
const defaultRoot = "/var/ossec"

// rootOf finds the install root: the nearest directory above the program that holds etc/ossec.conf, through links if need be.
func rootOf(self string) string {
	candidates := []string{self}
	if resolved, err := filepath.EvalSymlinks(self); err == nil && resolved != self {
		candidates = append(candidates, resolved)
	}
	for _, path := range candidates {
		dir := filepath.Dir(path)
		for range 3 {
			_, err := os.Stat(filepath.Join(dir, "etc", "ossec-init.conf"))
			if (err == nil || errors.Is(err, fs.ErrPermission)) && dir != "/" { // one that this user may not look into is one, too
				return dir
			}
			dir = filepath.Dir(dir)
		}
	}
	return defaultRoot
}
