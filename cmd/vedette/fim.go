package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/table"
	"github.com/vedette-hids/vedette/syscheck/baseline"
)

func fimCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fim",
		Short: "Ask the manager's file integrity state",
		Long:  "Ask the manager's file integrity state. An AGENT is an id, a name, 000 for the manager itself, or a location as `vedette fim ls` shows it.",
	}
	cmd.AddCommand(fimList(c), fimSearch(c), fimShow(c), fimHistory(c))
	return cmd
}

// withBaseline opens the state beside a running manager.
func (c *call) withBaseline(f func(*baseline.Store) error) error {
	dir := filepath.Join(c.root, "queue", "syscheck")
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("no file integrity state: %w", err)
	}
	s, err := baseline.Open(dir, baseline.Options{Shared: true})
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

// locations finds the locations of an agent, or the one named.
func (c *call) locations(s *baseline.Store, who string) ([]string, error) {
	if who == "" {
		return []string{""}, nil
	}
	if who == "000" || who == "0" || strings.EqualFold(who, "local") {
		return []string{"syscheck"}, nil
	}
	all, err := s.Locations()
	if err != nil {
		return nil, err
	}
	var out []string
	a, agentErr := c.agent(who)
	for _, l := range all {
		if l.Name == who || (agentErr == nil && strings.HasPrefix(l.Name, a.Label()+"->")) {
			out = append(out, l.Name)
		}
	}
	if len(out) == 0 {
		if agentErr != nil {
			return nil, agentErr
		}
		return nil, fmt.Errorf("nothing is known about the files of %s", a.Label())
	}
	return out, nil
}

func fimList(c *call) *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the hosts with the number of their files",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return c.withBaseline(func(s *baseline.Store) error {
				all, err := s.Locations()
				if err != nil {
					return err
				}
				if c.json {
					out := []fimLocation{}
					for _, l := range all {
						out = append(out, fimLocation(l))
					}
					return c.printJSON(out)
				}
				t := table.New("LOCATION", ">FILES", ">CHANGED", ">DELETED", ">SILENCED", "SCAN")
				for _, l := range all {
					scan := "not complete"
					if l.Complete {
						scan = "complete"
					}
					t.Row(l.Name, fmt.Sprint(l.Files), fmt.Sprint(l.Changed), fmt.Sprint(l.Deleted), fmt.Sprint(l.Ignored), scan)
				}
				return c.print(t)
			})
		},
	}
}

// fimLocation is a location as JSON.
type fimLocation struct {
	Name     string `json:"location"`
	Files    int    `json:"files"`
	Deleted  int    `json:"deleted"`
	Changed  int    `json:"changed"`
	Ignored  int    `json:"silenced"`
	Complete bool   `json:"scan_complete"`
}

// fimEntry is a state of a file as JSON.
type fimEntry struct {
	Location string    `json:"location"`
	Path     string    `json:"path"`
	Time     time.Time `json:"time"`
	Deleted  bool      `json:"deleted"`
	Changes  int       `json:"changes"`
	Size     string    `json:"size,omitempty"`
	Mode     string    `json:"mode,omitempty"`
	UID      string    `json:"uid,omitempty"`
	GID      string    `json:"gid,omitempty"`
	MD5      string    `json:"md5,omitempty"`
	SHA1     string    `json:"sha1,omitempty"`
	SHA256   string    `json:"sha256,omitempty"`
}

func fimJSON(e *baseline.Entry) fimEntry {
	out := fimEntry{Location: e.Location, Path: e.Path, Time: e.Time.UTC(), Deleted: e.Deleted(), Changes: e.Changes}
	if !out.Deleted {
		st := e.State()
		out.Size, out.UID, out.GID, out.MD5, out.SHA1, out.SHA256 = st.Size, st.UID, st.GID, checked(st.MD5), checked(st.SHA1), checked(st.SHA256)
		out.Mode = modeText(st)
	}
	return out
}

// checked leaves out the mark of a sum that is not computed.
func checked(sum string) string {
	if sum == "xxx" {
		return ""
	}
	return sum
}

func modeText(st event.FileState) string {
	if st.Mode == 0 {
		return ""
	}
	return fmt.Sprintf("%04o", st.Mode&0o7777)
}

func fimSearch(c *call) *cobra.Command {
	var agent, since string
	var q baseline.Query
	cmd := &cobra.Command{
		Use:   "search [TEXT]",
		Short: "Find files by a part of their path",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				q.Path = args[0]
			}
			if since != "" {
				d, err := parseAge(since)
				if err != nil {
					return err
				}
				q.Since = time.Now().Add(-d)
			}
			return c.withBaseline(func(s *baseline.Store) error { return c.search(s, agent, q) })
		},
	}
	cmd.Flags().StringVar(&agent, "agent", "", "only this host")
	cmd.Flags().StringVar(&since, "since", "", "only states from this time on, such as 7d")
	cmd.Flags().BoolVar(&q.Changed, "changed", false, "only files that changed since the base line")
	cmd.Flags().IntVar(&q.Limit, "limit", 1000, "at most so many, 0 = all")
	return cmd
}

func (c *call) search(s *baseline.Store, agent string, q baseline.Query) error {
	where, err := c.locations(s, agent)
	if err != nil {
		return err
	}
	found := []fimEntry{}
	limit, cut := q.Limit, false
	if limit > 0 {
		q.Limit++
	}
	for _, q.Location = range where {
		n := 0
		err := s.Search(c.ctx, q, func(e baseline.Entry) error {
			if n++; limit > 0 && n > limit {
				cut = true
				return nil
			}
			found = append(found, fimJSON(&e))
			return nil
		})
		if err != nil {
			return err
		}
	}
	if cut {
		fmt.Fprintf(c.stderr, "Only the first %d are shown; --limit 0 shows all.\n", limit)
	}
	if c.json {
		return c.printJSON(found)
	}
	t := table.New("TIME", ">CHANGES", ">SIZE", "MODE", "OWNER", "LOCATION", "PATH")
	for _, e := range found {
		size := table.Text(e.Size)
		if e.Deleted {
			size = table.Cell{Text: "deleted", Colour: table.Red}
		}
		owner := ""
		if e.UID != "" {
			owner = e.UID + ":" + e.GID
		}
		t.Cells(table.Text(clock(e.Time)), table.Text(fmt.Sprint(e.Changes)), size, table.Text(e.Mode), table.Text(owner), table.Text(e.Location), table.Text(e.Path))
	}
	return c.print(t)
}

// history gives all states of a file, oldest first.
func (c *call) history(s *baseline.Store, agent, path string) ([]fimEntry, error) {
	where, err := c.locations(s, agent)
	if err != nil {
		return nil, err
	}
	var out []fimEntry
	for _, l := range where {
		list, err := s.History(c.ctx, l, path)
		if err != nil {
			return nil, err
		}
		for i := range list {
			out = append(out, fimJSON(&list[i]))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("nothing is known about %s of %s", path, agent)
	}
	return out, nil
}

func fimShow(c *call) *cobra.Command {
	return &cobra.Command{
		Use:   "show AGENT PATH",
		Short: "Show the present state of a file",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.withBaseline(func(s *baseline.Store) error {
				list, err := c.history(s, args[0], args[1])
				if err != nil {
					return err
				}
				e := list[len(list)-1]
				if c.json {
					return c.printJSON(e)
				}
				state := "present"
				if e.Deleted {
					state = "deleted"
				}
				owner := ""
				if e.UID != "" {
					owner = e.UID + ":" + e.GID
				}
				c.facts(c.stdout, "File", e.Path, "Location", e.Location, "State", state, "Since", clock(e.Time), "Changes", fmt.Sprint(e.Changes),
					"Size", e.Size, "Mode", e.Mode, "Owner", owner, "MD5", e.MD5, "SHA1", e.SHA1, "SHA256", e.SHA256)
				return nil
			})
		},
	}
}

func fimHistory(c *call) *cobra.Command {
	return &cobra.Command{
		Use:   "history AGENT PATH",
		Short: "Show every kept state of a file, oldest first, and what changed each time",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.withBaseline(func(s *baseline.Store) error {
				list, err := c.history(s, args[0], args[1])
				if err != nil {
					return err
				}
				if c.json {
					return c.printJSON(list)
				}
				t := table.New("TIME", "WHAT", ">SIZE", "MODE", "OWNER", "SHA256 OR SHA1 OR MD5")
				var before *fimEntry
				for i := range list {
					e := &list[i]
					owner := ""
					if e.UID != "" {
						owner = e.UID + ":" + e.GID
					}
					best := e.SHA256
					for _, s := range []string{e.SHA1, e.MD5} {
						if best == "" {
							best = s
						}
					}
					t.Cells(table.Text(clock(e.Time)), step(before, e), table.Text(e.Size), table.Text(e.Mode), table.Text(owner), table.Text(best))
					before = e
				}
				return c.print(t)
			})
		},
	}
}

// step says how a state came from the one before.
func step(before, e *fimEntry) table.Cell {
	switch {
	case e.Deleted:
		return table.Cell{Text: "deleted", Colour: table.Red}
	case before == nil:
		return table.Text("first seen")
	case before.Deleted:
		return table.Cell{Text: "back again", Colour: table.Yellow}
	}
	var what []string
	for _, f := range [...]struct{ name, a, b string }{{"size", before.Size, e.Size}, {"mode", before.Mode, e.Mode}, {"owner", before.UID + ":" + before.GID, e.UID + ":" + e.GID},
		{"content", before.MD5 + before.SHA1 + before.SHA256, e.MD5 + e.SHA1 + e.SHA256}} {
		if f.a != f.b {
			what = append(what, f.name)
		}
	}
	if what == nil {
		return table.Text("the same")
	}
	return table.Cell{Text: "changed: " + strings.Join(what, ", "), Colour: table.Yellow}
}
