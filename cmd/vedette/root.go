package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vedette-hids/vedette/config"
	defaults "github.com/vedette-hids/vedette/etc"
	"github.com/vedette-hids/vedette/internal/control"
	"github.com/vedette-hids/vedette/internal/layout"
	"github.com/vedette-hids/vedette/internal/quickstart"
	"github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/manager"
)

// errReported ends a command whose failure has been shown already.
var errReported = errors.New("reported")

func rootCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:           "vedette",
		Short:         "Operate a host intrusion detection system",
		Long:          "vedette is the toolbox of Vedette, a host intrusion detection system that takes over from OSSEC.\nLinks with the names of OSSEC's tools behave as those tools.",
		Version:       version.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.PersistentFlags().StringVarP(&c.root, "root", "D", c.root, "install root")
	cmd.PersistentFlags().BoolVar(&c.json, "json", false, "results as JSON")
	cmd.AddGroup(&cobra.Group{ID: "begin", Title: "To begin:"}, &cobra.Group{ID: "work", Title: "To work with:"})
	for _, sub := range []*cobra.Command{runCommand(c), demoCommand(c), installCommand(c), checkCommand(c)} {
		sub.GroupID = "begin"
		cmd.AddCommand(sub)
	}
	for _, sub := range []*cobra.Command{agentsCommand(c), blockedCommand(c), blockCommand(c), unblockCommand(c), fimCommand(c), scanCommand(c), rulesCommand(c)} {
		sub.GroupID = "work"
		if sub.HasSubCommands() { // a wrong sub-command is an error, not a call for help
			sub.Args = cobra.NoArgs
			sub.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
		cmd.AddCommand(sub)
	}
	return cmd
}

// installed reports an error when there is no install root, or none that this user may look into. Without that, "no agents" would be the answer.
func installed(root string) error {
	st, err := os.Stat(filepath.Join(root, "etc"))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: permission denied: run it as root", root)
	case err != nil || !st.IsDir():
		return fmt.Errorf("%s is no install root: it has no etc (name another one with -D)", root)
	}
	return nil
}

// binDir is where the programs of this build lie.
func binDir() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding the programs: %w", err)
	}
	return filepath.Dir(self), nil
}

func installCommand(c *call) *cobra.Command {
	var prefix, role string
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Lay out or upgrade an install root",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r, err := layout.ParseRole(role)
			if err != nil {
				return err
			}
			bin, err := binDir()
			if err != nil {
				return err
			}
			if err := layout.Install(layout.Options{Root: prefix, Role: r, BinDir: bin, Etc: defaults.Files, Now: time.Now()}); err != nil {
				return err
			}
			fmt.Fprintf(c.stdout, "Installed (%s) in %s. Next: edit %s/etc/ossec.conf, then %s/bin/ossec-control start\n", r, prefix, prefix, prefix)
			return nil
		},
	}
	cmd.Flags().StringVar(&prefix, "prefix", defaultRoot, "install root")
	cmd.Flags().StringVar(&role, "role", string(layout.Manager), "manager, agent or local")
	return cmd
}

func checkCommand(c *call) *cobra.Command {
	var conf string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, rules, decoders, lists and keys of an install root",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				return c.checkJSON(conf)
			}
			if control.RoleOf(c.root) == "agent" {
				const program = "vedette-agent"
				args := []string{"-t", "-D", c.root}
				if conf != "" {
					args = append(args, "-c", conf)
				}
				bin, err := binDir()
				if err != nil {
					return err
				}
				test := exec.CommandContext(c.ctx, filepath.Join(bin, program), args...)
				test.Stdout, test.Stderr = c.stdout, c.stderr
				if test.Run() != nil {
					return errReported
				}
			} else if n := manager.Check(c.root, conf).Print(c.stderr); n > 0 {
				return fmt.Errorf("%d problem(s) in %s", n, c.root)
			}
			fmt.Fprintf(c.stdout, "%s: the configuration is good.\n", c.root)
			return nil
		},
	}
	cmd.Flags().StringVarP(&conf, "config", "c", "", "configuration file (default etc/ossec.conf in the root)")
	return cmd
}

// checkJSON is check for programs: an object per problem.
func (c *call) checkJSON(conf string) error {
	var problems config.Problems
	if control.RoleOf(c.root) == "agent" {
		if conf == "" {
			conf = "etc/ossec.conf"
		}
		_, problems = config.Load(c.root, conf)
		problems = problems.For(config.AgentPrograms)
	} else {
		problems = manager.Check(c.root, conf)
	}
	if err := c.printJSON(findings(problems)); err != nil {
		return err
	}
	if problems.Err() != nil {
		return errReported
	}
	return nil
}

func demoCommand(c *call) *cobra.Command {
	root := "./run"
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Replay an attack and a file change into the instance that `vedette run` started",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f := cmd.Flag("root"); f != nil && f.Changed {
				root = c.root
			}
			return quickstart.Demo(c.ctx, root, c.stdout, time.Now)
		},
	}
	return cmd
}

func runCommand(c *call) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Watch this machine without installing anything: needs no root, stops with Ctrl-C",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir := "./run"
			if f := cmd.Flag("root"); f != nil && f.Changed {
				dir = c.root
			}
			return quickRun(c, dir)
		},
	}
}

func quickRun(c *call, dir string) error {
	bin, err := binDir()
	if err != nil {
		return err
	}
	root, err := quickstart.Prepare(dir, bin, time.Now())
	if err != nil {
		return err
	}
	manager := exec.Command(filepath.Join(root, "bin", "vedette-manager"), "-f", "-D", root)
	manager.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us; we pass it on
	started := quickstart.NewGate(c.stderr, "Started (pid:")
	manager.Stderr = started
	if err := manager.Start(); err != nil {
		return fmt.Errorf("starting the manager: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- manager.Wait() }()
	select {
	case <-started.Seen():
	case err := <-ended:
		return fmt.Errorf("the manager did not start: %w", err)
	}
	// A terminal that is closed must not leave the manager behind.
	ctx, stop := signal.NotifyContext(c.ctx, syscall.SIGHUP)
	defer stop()
	fmt.Fprintf(c.stdout, quickstart.Welcome, root)
	printer := quickstart.Printer{W: c.stdout, Colour: term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""}
	watch, stopWatch := context.WithCancel(context.Background())
	watched := make(chan error, 1)
	go func() { watched <- printer.Watch(watch, root) }()
	select {
	case <-ctx.Done():
		fmt.Fprintln(c.stdout, "\nStopping ...")
		manager.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended by itself
		err = <-ended
	case err = <-ended:
		err = fmt.Errorf("the manager ended by itself: %w", errors.Join(err, errReported))
	}
	stopWatch()
	err = errors.Join(err, <-watched)
	if err == nil {
		fmt.Fprintf(c.stdout, "Stopped. Everything it wrote is in %s\n", root)
	}
	return err
}
