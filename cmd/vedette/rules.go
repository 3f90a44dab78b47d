package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/manager/logtest"
	"github.com/vedette-hids/vedette/manager/ruleset"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/unittest"
)

func rulesCommand(c *call) *cobra.Command {
	var conf string
	cmd := &cobra.Command{Use: "rules", Short: "Test, check and explain rules and decoders"}
	cmd.PersistentFlags().StringVarP(&conf, "config", "c", "", "configuration file (default etc/ossec.conf in the root)")
	cmd.AddCommand(rulesTestCommand(c, &conf), rulesLintCommand(c, &conf), rulesExplainCommand(c, &conf))
	return cmd
}

// loadRules loads the ruleset as the test tool has it and shows what prevents that.
func (c *call) loadRules(conf string) (ruleset.Set, error) {
	set, problems := ruleset.Load(ruleset.Options{Root: c.root, Config: conf, Adjust: rules.Options.ForTestTool})
	if n := problems.Errors().Print(c.stderr); n > 0 {
		return set, fmt.Errorf("%d problem(s) in the rules of %s", n, c.root)
	}
	return set, nil
}

func rulesTestCommand(c *call, conf *string) *cobra.Command {
	var coverage bool
	cmd := &cobra.Command{
		Use:   "test DIR|FILE...",
		Short: "Run tests of rules: log lines and the rule, level and decoder they must end in",
		Long: `Run tests of rules. A test is a file *.ini

    [Failed logins]
    log 1 pass = Jan  1 10:00:00 web1 sshd[1]: Failed password for bob from 192.0.2.1 port 22 ssh2
    rule = 5716
    alert = 5
    decoder = sshd

or *.yaml or *.yml, which can follow several lines through correlation:

    - name: three failures
      steps:
      - {log: "Jan  1 10:00:00 web1 sshd[1]: ...", rule: 5716, fields: {srcip: 192.0.2.1}}
      - {log: "Jan  1 10:00:09 web1 sshd[1]: ...", after: 9s, rule: 5720, alert: true}

The exit code is 0 when everything holds.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := c.loadRules(*conf)
			if err != nil {
				return err
			}
			cases, err := unittest.Read(args)
			if err != nil {
				return err
			}
			report := unittest.Run(set.Rules, cases)
			if c.json {
				err = c.printJSON(report.Summary(set.Rules, coverage))
			} else {
				err = report.Write(c.stdout, set.Rules, coverage)
			}
			if err == nil && !report.OK() {
				return errReported
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&coverage, "coverage", false, "list the rules that no test exercises")
	return cmd
}

// finding is a problem as JSON.
type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Code    int    `json:"code,omitempty"`
	Text    string `json:"text"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning"`
}

func findings(ps config.Problems) []finding {
	out := []finding{}
	for _, p := range ps {
		out = append(out, finding{p.Pos.File, p.Pos.Line, p.Code, p.Text, p.Hint, p.Warning})
	}
	return out
}

func rulesLintCommand(c *call, conf *string) *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Find rules and decoders that load but are hardly meant: never matching, never reached, understood differently",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			set, problems := ruleset.Load(ruleset.Options{Root: c.root, Config: *conf})
			if set.Rules != nil {
				problems = append(problems, set.Rules.Lint()...)
			}
			errs, warnings := len(problems.Errors()), len(problems.Warnings())
			if c.json {
				if err := c.printJSON(findings(problems)); err != nil {
					return err
				}
			} else {
				problems.Print(c.stdout)
				fmt.Fprintf(c.stdout, "%d error(s), %d warning(s)\n", errs, warnings)
			}
			if errs > 0 || (strict && warnings > 0) {
				return errReported
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "warnings fail too")
	return cmd
}

func rulesExplainCommand(c *call, conf *string) *cobra.Command {
	var id int
	cmd := &cobra.Command{
		Use:   "explain [LOG...]",
		Short: "Say why rules do or do not match log lines, from the arguments or standard input",
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := c.loadRules(*conf)
			if err != nil {
				return err
			}
			if id != 0 && set.Rules.Rule(id) == nil {
				return fmt.Errorf("rule %d is not loaded", id)
			}
			in := c.stdin
			if len(args) > 0 {
				in = strings.NewReader(strings.Join(args, "\n") + "\n")
			}
			return logtest.Explain(logtest.Env{Root: c.root, Stdin: in, Stdout: c.stdout, Stderr: c.stderr, Now: time.Now}, set, id, c.json)
		},
	}
	cmd.Flags().IntVar(&id, "rule", 0, "only this rule, with the rules above it")
	return cmd
}
