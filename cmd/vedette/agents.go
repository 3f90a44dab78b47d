package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vedette-hids/vedette/internal/control"
	"github.com/vedette-hids/vedette/internal/table"
	"github.com/vedette-hids/vedette/manager/agents"
)

func agentsCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agents",
		Short: "Look at the agents of this manager, rename and remove them",
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if err := installed(c.root); err != nil {
				return err
			}
			if control.RoleOf(c.root) == "agent" {
				return fmt.Errorf("%s is an agent; its manager knows the agents", c.root)
			}
			return nil
		},
	}
	cmd.AddCommand(agentsList(c), agentsShow(c), agentsConfig(c), agentsRename(c), agentsRemove(c), agentsPrune(c))
	return cmd
}

var statusColours = map[string]table.Colour{agents.Active: table.Green, agents.Disconnected: table.Red, agents.Never: table.Faint}

func (c *call) agentTable(list []agents.Agent, now time.Time) error {
	t := table.New("ID", "NAME", "IP", "STATUS", "LAST SEEN", "VERSION", "SYSTEM")
	for _, a := range list {
		version, _, _ := strings.Cut(strings.TrimPrefix(a.Version, "OSSEC HIDS "), " / ")
		t.Cells(table.Text(a.ID), table.Text(a.Name), table.Text(a.IP), table.Cell{Text: a.Status, Colour: statusColours[a.Status]},
			table.Text(ago(a.LastSeen, now)), table.Text(version), table.Text(clip(a.OS, 60)))
	}
	return c.print(t)
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func agentsList(c *call) *cobra.Command {
	var status string
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the agents",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			want, err := parseStatus(status)
			if err != nil {
				return err
			}
			now := time.Now()
			list, err := agents.List(c.root, now)
			if err != nil {
				return err
			}
			shown := []agents.Agent{}
			for _, a := range list {
				if want == "" || a.Status == want {
					shown = append(shown, a)
				}
			}
			return c.showAgents(shown, now)
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "only agents that are active, disconnected or never (connected)")
	return cmd
}

// parseStatus reads a status or the beginning of one; "" is every status.
func parseStatus(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	for _, known := range []string{agents.Active, agents.Disconnected, agents.Never} {
		if strings.HasPrefix(known, strings.ToLower(s)) {
			return known, nil
		}
	}
	return "", fmt.Errorf("no status %q: %s, %s or %s (never) expected", s, agents.Active, agents.Disconnected, agents.Never)
}

func (c *call) agent(who string) (*agents.Agent, error) {
	list, err := agents.List(c.root, time.Now())
	if err != nil {
		return nil, err
	}
	return agents.Find(list, who)
}

func agentsShow(c *call) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID|NAME",
		Short: "Show what is known about an agent",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := c.agent(args[0])
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(a)
			}
			now := time.Now()
			mode := "off"
			if a.Maintenance {
				mode = "on: file changes are accepted without alerts"
			}
			seen := "never"
			if a.LastSeen != nil {
				seen = clock(*a.LastSeen) + " (" + ago(a.LastSeen, now) + ")"
			}
			c.facts(c.stdout, "Agent", a.ID+" "+a.Name, "Address", a.IP, "Status", a.Status, "Last seen", seen, "System", a.OS, "Version", a.Version, "Cipher", a.Cipher,
				"File scan", scanTimes(a.SyscheckStarted, a.SyscheckEnded), "Rootkit scan", scanTimes(a.RootcheckStarted, a.RootcheckEnded), "FIM maintenance", mode)
			return nil
		},
	}
}

// scanTimes says when a scan ran. An end before the start belongs to the scan before.
func scanTimes(start, end *time.Time) string {
	switch {
	case start == nil:
		return "none yet"
	case end == nil || end.Before(*start):
		return "since " + clock(*start) + ", not ended"
	}
	return clock(*start) + " to " + clock(*end)
}

func agentsConfig(c *call) *cobra.Command {
	var profile string
	cmd := &cobra.Command{
		Use:   "config ID|NAME",
		Short: "Show the blocks of agent.conf that an agent interprets, and whether it has the present file",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := c.agent(args[0])
			if err != nil {
				return err
			}
			conf, err := agents.ConfigOf(c.root, a, profile)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(conf)
			}
			c.showConfig(conf)
			return nil
		},
	}
	cmd.Flags().StringVar(&profile, "profile", "", "the agent's config-profile, which only agents of Vedette tell")
	return cmd
}

func (c *call) showConfig(conf *agents.Config) {
	for _, b := range conf.Blocks {
		var on []string
		for _, s := range [...]struct{ name, value string }{{"name", b.Name}, {"os", b.OS}, {"profile", b.Profile}} {
			if s.value != "" {
				on = append(on, s.name+"="+s.value)
			}
		}
		if on == nil {
			on = []string{"every agent"}
		}
		verdict := "not for this agent"
		switch {
		case b.Selected:
			verdict = "for this agent"
		case b.NeedProfile:
			verdict = "only with that profile (say which one it has with --profile)"
		}
		fmt.Fprintf(c.stdout, "line %d, %s: %s\n", b.Line, table.Printable(strings.Join(on, " ")), verdict)
		if b.Text != "" {
			for l := range strings.Lines(b.Text) {
				fmt.Fprint(c.stdout, "    ", l)
			}
		}
	}
	for _, p := range conf.Problems {
		fmt.Fprintln(c.stdout, p)
	}
	switch {
	case conf.Present == "":
		fmt.Fprintf(c.stdout, "%s does not exist: agents use their own ossec.conf only.\n", conf.File)
	case conf.InSync && conf.Agent.Vedette:
		fmt.Fprintln(c.stdout, "In sync: the agent has this agent.conf and runs with it.")
	case conf.InSync:
		fmt.Fprintln(c.stdout, "In sync: the agent has this agent.conf (and runs with it if it was restarted since it came).")
	case conf.NeedRestart:
		fmt.Fprintf(c.stdout, "Not in sync: the agent has this agent.conf, but has not been restarted since it came: agent_control -R %s\n", conf.Agent.ID)
	case conf.Agent.LastSeen == nil:
		fmt.Fprintln(c.stdout, "The agent never connected, so it has no agent.conf yet.")
	case conf.Held == "":
		fmt.Fprintln(c.stdout, "Not in sync: at its last keepalive the agent had no agent.conf.")
	default:
		fmt.Fprintf(c.stdout, "Not in sync: at its last keepalive (%s ago) the agent had another agent.conf.\n", span(time.Since(*conf.Agent.LastSeen)))
	}
	if len(conf.BundleStale) > 0 {
		fmt.Fprintf(c.stdout, "%s does not have the present %s; a running manager makes it anew.\n", conf.Bundle, table.Printable(strings.Join(conf.BundleStale, ", ")))
	}
}

func agentsRename(c *call) *cobra.Command {
	return &cobra.Command{
		Use:   "rename ID|NAME NEWNAME",
		Short: "Give an agent another name; it then needs its key again",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := c.agent(args[0])
			if err != nil {
				return err
			}
			list, err := agents.List(c.root, time.Now())
			if err != nil {
				return err
			}
			if err := agents.Single(list, a); err != nil {
				return err
			}
			text, err := agents.Rename(c.root, a, args[1])
			if text == "" {
				return err
			}
			if c.json {
				return errors.Join(err, c.printJSON(map[string]string{"id": a.ID, "old_name": a.Name, "name": args[1], "key": text}))
			}
			fmt.Fprintf(c.stdout, "Agent %s is now called %s.\nGive it its key again, which holds the name; with Blowfish it cannot talk before that. On the agent:\n\n  manage_agents -i %s\n  ossec-control restart\n", a.ID, args[1], text)
			return err
		},
	}
}

func agentsRemove(c *call) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "rm ID|NAME...",
		Short: "Remove agents; what was known about them goes to backup/agents",
		Long:  "Remove agents. Their keys are gone for good; what was known about them goes to backup/agents. Nothing is removed when one of the names is wrong.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			list, err := agents.List(c.root, time.Now())
			if err != nil {
				return err
			}
			var doomed []agents.Agent
			for _, who := range args {
				a, err := agents.Find(list, who)
				if err != nil {
					return err
				}
				if slices.ContainsFunc(doomed, func(d agents.Agent) bool { return d.ID == a.ID && d.Name == a.Name }) {
					continue
				}
				if err := agents.Single(list, a); err != nil {
					return err
				}
				doomed = append(doomed, *a)
			}
			if dry {
				return c.showAgents(doomed, time.Now())
			}
			return c.remove(doomed)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show which")
	return cmd
}

// showAgents prints agents as a table or as JSON.
func (c *call) showAgents(list []agents.Agent, now time.Time) error {
	if c.json {
		return c.printJSON(append([]agents.Agent{}, list...))
	}
	return c.agentTable(list, now)
}

// remove removes agents and says which.
func (c *call) remove(list []agents.Agent) error {
	var ids []string
	for _, a := range list {
		ids = append(ids, a.ID)
	}
	if err := agents.Remove(c.root, ids...); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(append([]agents.Agent{}, list...))
	}
	for _, a := range list {
		fmt.Fprintf(c.stdout, "Agent %s %s removed.\n", a.ID, table.Printable(a.Name))
	}
	return nil
}

func agentsPrune(c *call) *cobra.Command {
	var age string
	var yes, dry bool
	cmd := &cobra.Command{
		Use:   "prune --disconnected AGE",
		Short: "Remove the agents that have not been heard of for a time",
		Long:  "Remove the agents that have not been heard of for a time (30d, 12h). Agents that never connected are left alone.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			d, err := parseAge(age)
			if err != nil {
				return err
			}
			now := time.Now()
			list, err := agents.List(c.root, now)
			if err != nil {
				return err
			}
			stale := agents.Stale(list, d, now)
			for i := range stale {
				if err := agents.Single(list, &stale[i]); err != nil {
					return err
				}
			}
			switch {
			case len(stale) == 0 && !c.json:
				fmt.Fprintf(c.stdout, "No agent has been silent for %s.\n", age)
				return nil
			case dry:
				return c.showAgents(stale, now)
			}
			if !yes && len(stale) > 0 {
				if !c.json {
					if err := c.agentTable(stale, now); err != nil {
						return err
					}
				}
				if err := c.confirm(fmt.Sprintf("Remove %d agent(s)?", len(stale))); err != nil {
					return err
				}
			}
			return c.remove(stale)
		},
	}
	cmd.Flags().StringVar(&age, "disconnected", "", "how long not heard of, such as 30d")
	cmd.MarkFlagRequired("disconnected") //nolint:errcheck // the flag exists
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show which")
	return cmd
}
