//go:build unix

// Package program is what the two daemon programs have in common: flags, configuration test, going into the background, pid files,
// signals and exit codes (spec operations.md, section 5).
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/daemon"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/pidfile"
	"github.com/vedette-hids/vedette/internal/version"
)

// Flags are the command line of a daemon.
type Flags struct {
	Root       string
	Config     string
	Foreground bool
	Test       bool
	Debug      int
}

// Running is what a started program may use.
type Running struct {
	Flags   Flags
	Log     *olog.Logger
	Restart func() // asks for a restart of the whole install; does not wait
}

// Service is the working part of a program.
type Service interface {
	Run(ctx context.Context) error
	Reload(ctx context.Context) error
}

// Program describes a daemon.
type Program struct {
	Name    string
	LogName string   // program name of its own lines in ossec.log
	Daemons []string // OSSEC daemons whose part it plays
	Check   func(Flags) config.Problems
	Start   func(ctx context.Context, run Running) (Service, error)
}

// count is a flag that may be repeated.
type count int

func (c *count) String() string   { return fmt.Sprint(int(*c)) }
func (c *count) Set(string) error { *c++; return nil }
func (c *count) IsBoolFlag() bool { return true }

// Main runs the program and exits.
func Main(p Program) { os.Exit(p.main(os.Args[1:], os.Stdout, os.Stderr)) }

func (p Program) main(args []string, stdout, stderr io.Writer) int {
	f, code, ok := p.parse(args, stdout, stderr)
	if !ok {
		return code
	}
	if f.Test {
		return p.test(f, stderr)
	}
	if !f.Foreground && !daemon.IsChild() {
		if err := daemon.Background(); err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		return 0
	}
	if err := p.run(f, stderr); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return 1
	}
	return 0
}

func (p Program) parse(args []string, stdout, stderr io.Writer) (f Flags, code int, ok bool) {
	set := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	set.SetOutput(stderr)
	var debug count
	set.StringVar(&f.Root, "D", rootOf(), "install `root`")
	set.StringVar(&f.Config, "c", "", "configuration `file` (default etc/ossec.conf in the root)")
	set.BoolVar(&f.Foreground, "f", false, "stay in the foreground and log to the terminal too")
	set.BoolVar(&f.Test, "t", false, "test the configuration and exit")
	set.Var(&debug, "d", "log more; may be repeated")
	showVersion := set.Bool("V", false, "print the version and exit")
	set.Usage = func() {
		fmt.Fprintf(stderr, "Usage: %s [-D root] [-c file] [-f] [-t] [-d] [-V]\n", p.Name)
		set.PrintDefaults()
	}
	if err := set.Parse(args); errors.Is(err, flag.ErrHelp) {
		return f, 0, false
	} else if err != nil {
		return f, 1, false
	}
	if *showVersion {
		fmt.Fprintf(stdout, "%s %s (speaks %s %s)\n", p.Name, version.Version, version.Product, version.Compat)
		return f, 0, false
	}
	if set.NArg() > 0 {
		fmt.Fprintf(stderr, "%s: unexpected argument %q\n", p.Name, set.Arg(0))
		return f, 1, false
	}
	f.Debug = int(debug)
	root, err := filepath.Abs(f.Root)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return f, 1, false
	}
	f.Root = root
	if f.Config == "" {
		f.Config = filepath.Join(root, "etc", "ossec.conf")
	} else if f.Config, err = filepath.Abs(f.Config); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return f, 1, false
	}
	return f, 0, true
}

// rootOf finds the install root that the program lies in, or OSSEC's.
func rootOf() string {
	if self, err := os.Executable(); err == nil {
		root := filepath.Dir(filepath.Dir(self))
		if _, err := os.Stat(filepath.Join(root, "etc", "ossec.conf")); err == nil {
			return root
		}
	}
	return "/var/ossec"
}

func (p Program) test(f Flags, stderr io.Writer) int {
	problems := p.Check(f)
	if problems.Err() != nil { // who looks at the log later has to see why nothing started
		log := olog.New(filepath.Join(f.Root, "logs", "ossec.log"), io.Discard)
		for _, text := range problems.LogAll() {
			log.Line(text)
		}
		log.Prog(p.LogName).Code(1202, "ERROR", "Configuration error at '%s'. Exiting.", f.Config)
	}
	if n := problems.Print(stderr); n > 0 {
		fmt.Fprintf(stderr, "%s: %d problem(s); nothing is started with this configuration.\n", p.Name, n)
		return 1
	}
	return 0
}

func (p Program) run(f Flags, stderr io.Writer) error {
	var also io.Writer
	if f.Foreground {
		also = stderr
	}
	log := olog.New(filepath.Join(f.Root, "logs", "ossec.log"), also)
	log.SetDebug(f.Debug)
	debugLevels(f.Root, log)
	own := log.Prog(p.LogName)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer stop()
	signal.Ignore(syscall.SIGPIPE)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	for _, d := range p.Daemons {
		for _, e := range pidfile.Find(f.Root, d) {
			if e.Live && e.PID != os.Getpid() {
				return fmt.Errorf("already running as process %d (%s)", e.PID, e.Path)
			}
			os.Remove(e.Path)
		}
	}
	service, err := p.Start(ctx, Running{Flags: f, Log: log, Restart: func() { restart(f, own) }})
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			own.Text("%s", strings.TrimSpace(line))
		}
		own.Code(1202, "ERROR", "Configuration error at '%s'. Exiting.", f.Config)
		return err
	}
	defer p.removePIDs(f.Root, own)
	for _, d := range p.Daemons {
		if err := pidfile.Write(f.Root, d); err != nil {
			return err
		}
	}
	if err := daemon.Ready(); err != nil {
		own.Warn("going into the background: %v", err)
	}
	reloads := make(chan struct{})
	go func() {
		defer close(reloads)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				debugLevels(f.Root, log)
				if err := service.Reload(ctx); err != nil {
					own.Error("%v", err)
				}
			}
		}
	}()
	err = service.Run(ctx)
	stop()
	<-reloads
	own.Code(1225, "INFO", "SIGNAL [(15)-(Terminated)] Received. Exit Cleaning...")
	return err
}

// debugLevels takes the debug levels of the internal options into force; -d on the command line wins over them.
func debugLevels(root string, log *olog.Logger) {
	if in, problems := config.LoadOptions(root); problems.Err() == nil {
		log.SetLevels(in.DebugLevels())
	}
}

func (p Program) removePIDs(root string, log *olog.Log) {
	for _, d := range p.Daemons {
		if err := pidfile.Remove(root, d); err != nil {
			log.Warn("removing pid file: %v", err)
		}
	}
}

// restart runs `ossec-control restart` in a session of its own, because it ends this process.
func restart(f Flags, log *olog.Log) {
	cmd := exec.Command(filepath.Join(f.Root, "bin", "ossec-control"), "restart")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		log.Error("restarting: %v", err)
		return
	}
	cmd.Process.Release() //nolint:errcheck // the child outlives this process
}
