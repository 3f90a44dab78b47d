package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vedette-hids/vedette/activeresponse"
	"github.com/vedette-hids/vedette/internal/table"
)

// ask puts a request to the running executor.
func (c *call) ask(q activeresponse.ControlRequest) (activeresponse.ControlReply, error) {
	r, err := activeresponse.Control(c.ctx, activeresponse.ControlPath(c.root), q)
	if err != nil {
		return r, fmt.Errorf("asking the running program of %s: %w", c.root, err)
	}
	return r, nil
}

func blockedCommand(c *call) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   "blocked",
		Short: "List what active responses block at present, or say why an address is (not) blocked",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if why != "" {
				return c.why(why)
			}
			r, err := c.ask(activeresponse.ControlRequest{Do: "blocked"})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(append([]activeresponse.Block{}, r.Blocks...))
			}
			return c.blockTable(r.Blocks, r.Now)
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "say what was decided about this address or user, and why")
	return cmd
}

func (c *call) blockTable(blocks []activeresponse.Block, now time.Time) error {
	t := table.New("WHO", "RESPONSE", "SINCE", "LEFT", ">OFFENCES", "RULE", "STATE", "LOCATION")
	for i := range blocks {
		b := &blocks[i]
		who := b.Address
		if who == "" {
			who = b.User
		}
		left := "for ever"
		if !b.Until.IsZero() {
			left = span(b.TimeLeft(now))
		}
		state := table.Text(string(b.State))
		if b.Error != "" {
			state = table.Cell{Text: string(b.State) + ": " + b.Error, Colour: table.Red}
		}
		if b.DryRun {
			state.Text += " (dry run)"
		}
		t.Cells(table.Text(who), table.Text(b.Response), table.Text(clock(b.Since)), table.Text(left), table.Text(fmt.Sprint(b.Offences)),
			table.Text(b.RuleID), state, table.Text(b.Location))
	}
	if t.Len() == 0 {
		fmt.Fprintln(c.stdout, "Nothing is blocked.")
		return nil
	}
	return c.print(t)
}

// whyReply is what is known about one address.
type whyReply struct {
	Who       string                  `json:"who"`
	Blocks    []activeresponse.Block  `json:"blocks"`
	Records   []activeresponse.Record `json:"records"`
	Protected string                  `json:"protected,omitempty"` // why it is never blocked
}

func (c *call) why(who string) error {
	r, err := c.ask(activeresponse.ControlRequest{Do: "why", Who: who})
	if err != nil {
		return err
	}
	out := whyReply{Who: who, Blocks: []activeresponse.Block{}, Records: append([]activeresponse.Record{}, r.Records...)}
	for _, b := range r.Blocks {
		if strings.EqualFold(b.Address, who) || b.User == who {
			out.Blocks = append(out.Blocks, b)
		}
	}
	for _, p := range r.Protected {
		if p.Addr.String() == who {
			out.Protected = p.Why
		}
	}
	if c.json {
		return c.printJSON(out)
	}
	switch {
	case len(out.Blocks) > 0:
		if err := c.blockTable(out.Blocks, r.Now); err != nil {
			return err
		}
	default:
		fmt.Fprintf(c.stdout, "%s is not blocked.\n", table.Printable(who))
	}
	if out.Protected != "" {
		fmt.Fprintf(c.stdout, "It is never blocked: %s.\n", out.Protected)
	}
	if len(out.Records) == 0 {
		fmt.Fprintln(c.stdout, "Nothing was decided about it since the start.")
		return nil
	}
	fmt.Fprintln(c.stdout)
	t := table.New("TIME", "DECISION", "RESPONSE", "RULE", "TARGET", "REASON")
	for _, d := range out.Records {
		t.Row(clock(d.Time), fmt.Sprint(d.Verdict), d.Response, d.RuleID, d.Target, d.Reason)
	}
	return c.print(t)
}

func unblockCommand(c *call) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "unblock ADDRESS|USER...",
		Short: "Take back blocks and forget the offences",
		RunE: func(_ *cobra.Command, args []string) error {
			if all != (len(args) == 0) {
				return errors.New("name an address or a user, or use --all")
			}
			if all {
				args = []string{""}
			}
			freed := []activeresponse.Block{}
			for _, who := range args {
				r, err := c.ask(activeresponse.ControlRequest{Do: "unblock", Who: who})
				if err != nil {
					return err
				}
				freed = append(freed, r.Blocks...)
			}
			if c.json {
				return c.printJSON(freed)
			}
			if len(freed) == 0 {
				fmt.Fprintln(c.stdout, "Nothing was blocked.")
			}
			for _, b := range freed {
				who := b.Address
				if who == "" {
					who = b.User
				}
				fmt.Fprintf(c.stdout, "%s: %s taken back.\n", table.Printable(who), table.Printable(b.Response))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "everything that is blocked")
	return cmd
}

func blockCommand(c *call) *cobra.Command {
	return &cobra.Command{
		Use:   "block RESPONSE ADDRESS",
		Short: "Run an active response by hand; its names are those of etc/shared/ar.conf, such as firewall-drop600",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := c.ask(activeresponse.ControlRequest{Do: "block", Name: args[0], Who: args[1]})
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(append([]activeresponse.Block{}, r.Blocks...))
			}
			if len(r.Blocks) == 0 {
				fmt.Fprintf(c.stdout, "%s was run for %s.\n", args[0], args[1])
				return nil
			}
			return c.blockTable(r.Blocks, r.Now)
		},
	}
}
