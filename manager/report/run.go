package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vedette-hids/vedette/internal/getopt"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/version"
)

const usage = ` 
ossec-reportd: reads alerts.log text on standard input and prints a summary on standard error.

    zcat /var/ossec/logs/alerts/2026/Oct/ossec-alerts-05.log.gz | ossec-reportd -f level 10

  -f <field> <value>    count only alerts that match; may be given for several fields
  -r <field> <related>  list, per value of the first field, the values of the second
  -n <title>            title of the report
  -s                    append the logs
  -h, -V                this help, the version

Fields: group rule level location srcip user filename
`

// Run is the tool ossec-reportd: args without the program name, the result is the exit code. As OSSEC's tool it writes the report and
// its log lines to stderr and nothing to stdout (spec outputs.md, section 13); scripts that call it read it from there.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return RunAs("ossec-reportd", args, stdin, stdout, stderr)
}

// RunAs is Run for a program that was called by the name prog, which stands in messages about options.
func RunAs(prog string, args []string, stdin io.Reader, _, stderr io.Writer) int {
	log := olog.New("", stderr).Prog("ossec-reportd")
	o, stop, err := parse(args, stderr)
	if err != nil {
		var option *getopt.Error
		if errors.As(err, &option) {
			fmt.Fprintf(stderr, "%s: %v\n%s", prog, option, usage)
			return 1
		}
		if errors.Is(err, ErrField) {
			log.Text("ERROR: I%s.", strings.TrimPrefix(err.Error(), ErrField.Error()+": i"))
		} else if !errors.Is(err, errArgument) {
			log.Error("%v", err)
		}
		log.Code(1202, "ERROR", "Configuration error at 'user argument'. Exiting.")
		return 1
	}
	if stop {
		return 0
	}
	log.Info("Started (pid: %d).", os.Getpid())
	s := New(o)
	if err := s.Read(stdin, func() { log.Error("date or location not NULL or p is NULL") }); err != nil {
		log.Error("%v", err)
		return 1
	}
	name := "Report"
	if o.Title != "" {
		name = fmt.Sprintf("Report '%s'", o.Title)
	}
	if s.Taken() == 0 {
		log.Info("%s completed and zero alerts post-filter.", name)
		return 0
	}
	log.Info("%s completed. Creating output...", name)
	if err := s.Write(stderr); err != nil {
		return 1
	}
	return 0
}

// errArgument is an option without its values, or one that does not exist.
var errArgument = errors.New("wrong arguments")

// parse reads the options; stop means that the answer is given already.
func parse(args []string, stderr io.Writer) (o Options, stop bool, err error) {
	for len(args) > 0 {
		a := args[0]
		take := map[string]int{"-f": 2, "-r": 2, "-n": 1, "-u": 1, "-g": 1, "-D": 1, "-c": 1}[a]
		switch {
		case take > 0 && len(args) == 1:
			return o, false, &getopt.Error{Flag: a[1], NoValue: true}
		case len(args) <= take:
			return o, false, errArgument
		}
		switch a {
		case "-f":
			err = o.Filter(args[1], args[2])
		case "-r":
			err = o.Relate(args[1], args[2])
		case "-n":
			o.Title = args[1]
		case "-s":
			o.ShowLogs = true
		case "-t", "-d", "-u", "-g", "-D", "-c":
		case "-V":
			fmt.Fprint(stderr, version.Banner())
			return o, true, nil
		case "-h":
			fmt.Fprint(stderr, usage)
			return o, true, nil
		default:
			if len(a) > 1 && a[0] == '-' {
				return o, false, &getopt.Error{Flag: a[1]}
			}
			return o, false, errArgument
		}
		if err != nil {
			return o, false, err
		}
		args = args[1+take:]
	}
	return o, false, nil
}
