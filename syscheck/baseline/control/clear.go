package control

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/syscheck/baseline"
)

// clear empties the state of one owner, or of all.
func (t *tool) clear(id string) int {
	err := t.clearState(id)
	switch {
	case errors.Is(err, errUnknownID):
		text := "Invalid agent id '" + id + "'."
		return t.refuse(codeClearID, text, text)
	case err != nil:
		return t.fail(codeDirectory, err)
	case t.json:
		t.printJSON(success{Response: "Integrity check database updated"})
	default:
		fmt.Fprint(t.out, "\n** Integrity check database updated.\n\n")
	}
	return 0
}

func (t *tool) clearState(id string) error {
	if id == "all" {
		return t.clearAll()
	}
	o, err := t.owner(id)
	if err != nil {
		return err
	}
	s, err := t.open()
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // nothing pending
	for _, l := range o.locations {
		if err := t.clearLocation(s, l, o.local); err != nil {
			return err
		}
		t.remove("." + l + ".cpt")
	}
	t.remove(o.marker)
	return nil
}

// clearLocation empties the state and the text database of a location. OSSEC removes the local one and leaves the others empty.
func (t *tool) clearLocation(s *baseline.Store, location string, remove bool) error {
	known, err := exists(s, location)
	if err == nil && known {
		err = s.Clear(location)
	}
	if err != nil {
		return err
	}
	if remove {
		t.remove(location)
		return nil
	}
	return truncate(filepath.Join(t.dir(), location))
}

func (t *tool) clearAll() error {
	s, err := t.open()
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // nothing pending
	known, err := s.Locations()
	if err != nil {
		return err
	}
	for _, l := range known {
		if err := s.Clear(l.Name); err != nil {
			return err
		}
	}
	files, err := os.ReadDir(t.dir())
	if err != nil {
		return err
	}
	for _, f := range files {
		switch {
		case !f.Type().IsRegular() || strings.HasPrefix(f.Name(), "vedette-"):
		case strings.HasPrefix(f.Name(), "."):
			t.remove(f.Name())
		default:
			if err := truncate(filepath.Join(t.dir(), f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove removes a file of the state directory, if it is there.
func (t *tool) remove(name string) {
	os.Remove(filepath.Join(t.dir(), name)) //nolint:errcheck // usually absent
}

func truncate(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640) //nolint:gosec // readable for the group, as OSSEC's databases are
	if err != nil {
		return err
	}
	return f.Close()
}

// RunUpdate is the program syscheck_update, the older form of syscheck_control -u, on the install root at root. It returns the exit code.
func RunUpdate(root string, args []string, stdout, stderr io.Writer) int {
	return newTool(root, "syscheck_update", stdout, stderr).update(args)
}

func (t *tool) update(args []string) int {
	if len(args) == 0 {
		return t.updateHelp(1)
	}
	switch args[0] {
	case "-h":
		return t.updateHelp(0)
	case "-l":
		return t.available()
	case "-a":
		return t.updateAs("all")
	case "-u":
		if len(args) < 2 {
			fmt.Fprint(t.out, "\n** Option -u requires an extra argument\n")
			return t.updateHelp(1)
		}
		return t.updateAs(args[1])
	}
	fmt.Fprintf(t.out, "\n** Invalid option '%s'.\n", args[0])
	return t.updateHelp(1)
}

// updateAs clears; for the local system it leaves an empty completion mark.
func (t *tool) updateAs(id string) int {
	err := t.clearState(id)
	if err == nil && (id == "local" || id == "000") {
		err = truncate(filepath.Join(t.dir(), ".syscheck.cpt"))
	}
	switch {
	case errors.Is(err, errUnknownID):
		fmt.Fprintf(t.out, "\n** Invalid agent id '%s'.\n", id)
		return t.updateHelp(1)
	case err != nil:
		return t.fail(codeDirectory, err)
	}
	fmt.Fprint(t.out, "\n** Integrity check database updated.\n\n")
	return 0
}

// available lists the agents.
func (t *tool) available() int {
	store, err := keys.Open(filepath.Join(t.root, "etc", "client.keys"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return t.fail(codeDirectory, err)
	}
	fmt.Fprint(t.out, "\nOSSEC HIDS syscheck_update: Updates the integrity check database.\nAvailable agents: \n")
	if store != nil {
		for _, k := range store.All() {
			fmt.Fprintf(t.out, "   ID: %s, Name: %s, IP: %s\n", k.ID, k.Name, k.IPField)
		}
	}
	fmt.Fprintln(t.out)
	return 0
}

func (t *tool) updateHelp(code int) int {
	fmt.Fprint(t.out, `
OSSEC HIDS syscheck_update: Updates (clears) the integrity check database.
Options:
  -l        list the agents
  -a        clear the database of all agents
  -u ID     clear the database of one agent
  -u local  clear the database of this host
  -h        print this help
`)
	return code
}
