// Package verify is the tool verify-agent-conf: it checks the agent.conf that a manager is going to send to its agents (spec configuration.md,
// section 4).
package verify

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-hids/vedette/config"
)

const program = "verify-agent-conf"

// Exit statuses of the tool.
const (
	exitOK     = 0
	exitUsage  = 1
	exitFaulty = 255
)

// Run checks `-f FILE`, or etc/shared/agent.conf below root, and returns the exit status: 0, 255 for a faulty or missing file, 1 for wrong
// arguments. Problems go to stderr in the form of OSSEC's log. Besides what OSSEC's tool checks, faults in syscheck and rootcheck sections are
// shown; they do not change the status.
func Run(root string, args []string, stdout, stderr io.Writer) int {
	path := ""
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-h":
			usage(stdout)
			return exitOK
		case a == "-f" && i+1 < len(args):
			i++
			path = args[i]
		case len(a) > 2 && a[:2] == "-f":
			path = a[2:]
		case a == "-f":
			fmt.Fprintf(stderr, "%s: option requires an argument -- 'f'\n", filepath.Join(root, "bin", program))
			usage(stdout)
			return exitUsage
		case len(a) > 1 && a[0] == '-':
			fmt.Fprintf(stderr, "%s: invalid option -- '%c'\n", filepath.Join(root, "bin", program), a[1])
			usage(stdout)
			return exitUsage
		}
	}
	return check(root, path, stdout, stderr, time.Now())
}

func usage(w io.Writer) {
	fmt.Fprintf(w, "\nOSSEC HIDS %s: Verify agent.conf syntax for errors.\nUsage:  %s [-f <agent.conf file>]\n\n", program, program)
	fmt.Fprintf(w, "    -f FILE   file to check (default %s below the install root)\n    -h        this text\n\n", config.AgentConfFile)
}

func check(root, path string, stdout, stderr io.Writer, now time.Time) int {
	standard := path == ""
	if standard {
		path = filepath.Join(root, config.AgentConfFile)
	}
	fmt.Fprintf(stdout, "\n%s: Verifying [%s].\n\n", program, path)
	if _, err := os.Stat(path); standard && errors.Is(err, fs.ErrNotExist) {
		return exitFaulty
	}
	ps := config.CheckAgentConf(path)
	log := func(text string) { fmt.Fprintf(stderr, "%s %s\n", now.Format("2006/01/02 15:04:05"), text) }
	for _, p := range ps {
		log(p.LogText(program))
	}
	if ps.Err() == nil {
		return exitOK
	}
	if first := ps.Errors()[0]; first.Code != 1226 && !first.Root {
		log(config.Problem{Code: 1202, Text: config.ErrorAt(path)}.LogText(program))
	}
	return exitFaulty
}
