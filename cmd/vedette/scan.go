package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/vedette-hids/vedette/agent/localscan"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/control"
	"github.com/vedette-hids/vedette/internal/table"
	"github.com/vedette-hids/vedette/syscheck"
)

func scanCommand(c *call) *cobra.Command {
	var conf string
	var background, diff bool
	cmd := &cobra.Command{
		Use:   "scan [DIR...]",
		Short: "Compare this machine's files with the baseline, without alerts; or have the running agent scan now",
		Long: `Compare this machine's files with the baseline and show what is new, changed or gone. Nothing is sent and the baseline stays as
it is: the agent reports the changes all the same. Directories replace those of the configuration. With --background the running agent
(or manager) is asked to scan now, which does send alerts.

The exit code is 0 when nothing differs, 1 when something does, 2 when the scan failed.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if background {
				return c.askScan()
			}
			return c.scan(conf, args, diff)
		},
	}
	cmd.Flags().StringVarP(&conf, "config", "c", "", "configuration file (default etc/ossec.conf in the root)")
	cmd.Flags().BoolVar(&background, "background", false, "let the running agent or manager scan now")
	cmd.Flags().BoolVar(&diff, "no-diff", false, "do not show what changed inside files")
	return cmd
}

// askScan leaves the mark that the running program looks for.
func (c *call) askScan() error {
	path := filepath.Join(c.root, "var", "run", ".syscheck_run")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o660)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	fmt.Fprintln(c.stdout, "The running program starts a scan within seconds.")
	return nil
}

// watched reads what is watched: ossec.conf and, on an agent, agent.conf.
func (c *call) watched(conf string, dirs []string) (*config.Syscheck, error) {
	if conf == "" {
		conf = "etc/ossec.conf"
	}
	cfg, problems := config.Load(c.root, conf)
	if control.RoleOf(c.root) == "agent" {
		opts, _ := config.LoadOptions(c.root)
		who, _ := config.ReadAgentInfo(c.root, "") //nolint:errcheck // no information: blocks for all agents are read
		problems = append(problems, config.LoadAgentConf(c.root, who, cfg, opts)...)
	}
	if problems.For(config.Syscheckd).Errors().Print(c.stderr) > 0 {
		return nil, errors.New("the configuration has errors")
	}
	s := cfg.Syscheck
	if len(dirs) > 0 {
		own := config.Syscheck{}
		if s != nil {
			own = *s
			own.Directories = nil
		}
		for _, d := range dirs {
			abs, err := filepath.Abs(d)
			if err != nil {
				return nil, err
			}
			own.Directories = append(own.Directories, config.Directory{Path: abs, Size: true, Perm: true, Owner: true, Group: true, MD5: true, SHA1: true, SHA256: true})
		}
		s = &own
	}
	if s == nil || len(s.Directories) == 0 {
		return nil, errors.New("no <syscheck><directories> in the configuration")
	}
	return s, nil
}

func (c *call) scan(conf string, dirs []string, noDiff bool) error {
	cfg, err := c.watched(conf, dirs)
	if err != nil {
		return withCode(2, err)
	}
	o := localscan.Options{Root: c.root, Config: cfg}
	done := func() {}
	if terminal(c.stderr) {
		o.Progress, done = c.progress(cfg)
	}
	res, err := localscan.Run(c.ctx, o)
	done()
	if err != nil {
		return withCode(2, err)
	}
	if c.json {
		err = c.printJSON(res)
	} else {
		err = c.showScan(res, noDiff)
	}
	if err == nil && len(res.Changes) > 0 {
		return errReported
	}
	return err
}

// progress draws a bar of the files seen, with the rate and the time left. How many there are is known from the scan before, or else is
// counted meanwhile, which takes much less time than reading them.
func (c *call) progress(cfg *config.Syscheck) (show func(syscheck.Progress), done func()) {
	var bar *progressbar.ProgressBar
	draw := func(total int64) {
		bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(c.stderr), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetItsString("files"), progressbar.OptionShowIts(), progressbar.OptionFullWidth(), progressbar.OptionSetSpinnerChangeInterval(0))
	}
	draw(-1)
	begin := time.Now()
	var counted atomic.Int64
	counting, stop := context.WithCancel(c.ctx)
	go func() { counted.Store(countFiles(counting, cfg)) }()
	most := int64(0)
	show = func(p syscheck.Progress) {
		if total := max(p.Known, counted.Load()); total > most {
			most = total
			bar.Clear() //nolint:errcheck // a bar is not worth an error
			draw(most)
		}
		bar.Describe(fmt.Sprintf("%.0f MB/s", float64(p.Bytes)/1e6/max(time.Since(begin).Seconds(), 0.1)))
		files := p.Files
		if most > 0 {
			files = min(files, most)
		}
		bar.Set64(files) //nolint:errcheck // a bar is not worth an error
	}
	return show, func() {
		stop()
		bar.Finish() //nolint:errcheck // a bar is not worth an error
	}
}

// countFiles counts what lies in the watched directories, without looking at it; 0 when it did not come to the end.
func countFiles(ctx context.Context, cfg *config.Syscheck) (n int64) {
	for _, d := range cfg.Directories {
		root, err := filepath.EvalSymlinks(d.Path)
		if err != nil {
			continue
		}
		err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				return nil //nolint:nilerr // the scan says so
			case !e.IsDir():
				n++
			case d.NoRecurse && path != root:
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			return 0
		}
	}
	return n
}

var kindColours = map[string]table.Colour{localscan.New: table.Green, localscan.Changed: table.Yellow, localscan.Deleted: table.Red}

func (c *call) showScan(res *localscan.Result, noDiff bool) error {
	if !res.Baseline {
		fmt.Fprintf(c.stdout, "%d files, %d MB read in %s. There is no baseline to compare with yet: the agent makes it with its first scan.\n",
			res.Files, res.Bytes/1e6, span(res.Took))
		return nil
	}
	counts := map[string]int{}
	t := table.New("KIND", "WHAT", "PATH")
	for _, ch := range res.Changes {
		counts[ch.Kind]++
		t.Cells(table.Cell{Text: ch.Kind, Colour: kindColours[ch.Kind]}, table.Text(strings.Join(ch.What, " ")), table.Text(ch.Path))
	}
	if t.Len() > 0 {
		if err := c.print(t); err != nil {
			return err
		}
	}
	for _, ch := range res.Changes {
		if ch.Diff != "" && !noDiff {
			fmt.Fprintf(c.stdout, "\n%s\n", table.Printable(ch.Path))
			for l := range strings.Lines(ch.Diff) {
				fmt.Fprintln(c.stdout, "  "+table.Printable(strings.TrimSuffix(l, "\n")))
			}
		}
	}
	fmt.Fprintf(c.stdout, "%d files, %d MB read in %s: %d new, %d changed, %d deleted", res.Files, res.Bytes/1e6, span(res.Took),
		counts[localscan.New], counts[localscan.Changed], counts[localscan.Deleted])
	if res.Errors > 0 {
		fmt.Fprintf(c.stdout, ", %d could not be read", res.Errors)
	}
	fmt.Fprintln(c.stdout, ".")
	return nil
}
