// Package stats has the tool that makes the manager forget its learnt event averages (spec outputs.md, section 14, operations.md, 11.4).
// The averages themselves are kept by package rules; the manager reads them at its start only.
package stats

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/vedette-hids/vedette/internal/olog"
)

const help = `
OSSEC HIDS clear_stats: Clear the events stats (averages).
    -h       this help
    -a       all averages
    -d       the averages per hour
    -w       the averages per hour of the week
`

// RunClear is the tool clear_stats for the install root: args without the program name, exactly one of -a, -d, -w and -h; the result is
// the exit code. It deletes the files of the averages and leaves the directories.
func RunClear(root string, args []string, stdout, stderr io.Writer) int {
	if len(args) != 1 {
		fmt.Fprint(stdout, help)
		return 1
	}
	var hourly, weekly bool
	switch args[0] {
	case "-h":
		fmt.Fprint(stdout, help)
		return 0
	case "-a":
		hourly, weekly = true, true
	case "-d":
		hourly = true
	case "-w":
		weekly = true
	default:
		fmt.Fprintf(stdout, "\n** Invalid option '%s'.\n%s", args[0], help)
		return 1
	}
	log := olog.New("", stderr).Prog("clear_stats")
	var err error
	if hourly {
		err = empty(root, "/stats/hourly-average", "")
	}
	for day := 0; weekly && err == nil && day < 7; day++ {
		err = empty(root, fmt.Sprintf("/stats/weekly-average/%d", day), " (no stats)")
	}
	switch {
	case errors.Is(err, errNoDir):
		log.Text("U%s", strings.TrimPrefix(err.Error(), "u"))
		return 1
	case err != nil:
		log.Error("%v", err)
		return 1
	}
	fmt.Fprint(stdout, "\n** Internal stats clear.\n\n")
	return 0
}

var errNoDir = errors.New("unable to open")

// empty deletes the files in a directory below root. note ends the message about a directory that is not there.
func empty(root, dir, note string) error {
	full := filepath.Join(root, filepath.FromSlash(dir))
	entries, err := os.ReadDir(full)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: '%s'%s", errNoDir, dir, note)
	}
	if err != nil {
		return fmt.Errorf("reading '%s': %w", dir, err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		if err := os.Remove(filepath.Join(full, e.Name())); err != nil {
			return fmt.Errorf("deleting '%s': %w", path.Join(dir, e.Name()), err)
		}
	}
	return nil
}
