// Package parts answers for OSSEC's daemons that are parts of one program here: called by their names they still test the configuration
// (-t), print the version (-V) and refuse wrong options as they did (spec operations.md, 5.1). Starting and stopping is ossec-control's.
package parts

import (
	"errors"
	"fmt"
	"io"
	"os/user"
	"path/filepath"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/getopt"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/version"
)

// part is what one daemon understands.
type part struct {
	flags string
	user  string // default of -u
}

const all = "Vhdtfu:g:c:D:"

var parts = map[string]part{
	"ossec-analysisd":    {all, "ossec"},
	"ossec-remoted":      {all, "ossecr"},
	"ossec-maild":        {all, "ossecm"},
	"ossec-csyslogd":     {all, "ossecm"},
	"ossec-dbd":          {all, "ossecm"},
	"ossec-monitord":     {all, "ossec"},
	"ossec-agentlessd":   {all, "ossec"},
	"ossec-agentd":       {all, "ossec"},
	"ossec-execd":        {"Vhdtfg:c:", ""},
	"ossec-logcollector": {"Vhdtfc:", ""},
	"ossec-syscheckd":    {"Vhdtfc:", ""},
}

// Names are the daemons, in no order.
func Names() []string {
	var out []string
	for n := range parts {
		out = append(out, n)
	}
	return out
}

// Env is the world of one call.
type Env struct {
	Name   string // of the daemon: "ossec-remoted"
	Prog   string // name in messages about options; "" = Name
	Root   string // install root, changed by -D
	Args   []string
	Stdout io.Writer
	Stderr io.Writer
	// Check gives the problems that the daemon would find in a configuration.
	Check func(root, conf string) config.Problems
}

// Run is the daemon's command line without the daemon. It returns the exit code.
func Run(env Env) int {
	p, ok := parts[env.Name]
	if !ok {
		fmt.Fprintf(env.Stderr, "%s: unknown daemon\n", env.Name)
		return 1
	}
	if env.Prog == "" {
		env.Prog = env.Name
	}
	test, conf, asked := false, "", false
	group := "ossec"
	opts, _, err := getopt.Parse(env.Args, p.flags)
	for _, o := range opts {
		switch o.Flag {
		case 'V':
			return env.version()
		case 'h':
			env.usage(p)
			return 0
		case 't':
			test = true
		case 'c':
			conf = o.Value
		case 'D':
			env.Root = o.Value
		case 'u':
			p.user, asked = o.Value, true
		case 'g':
			group, asked = o.Value, true
		}
	}
	if err != nil {
		fmt.Fprintf(env.Stderr, "%s: %v\n", env.Prog, err)
		env.usage(p)
		return 1
	}
	log := olog.New(filepath.Join(env.Root, "logs", "ossec.log"), env.Stderr)
	if asked && !exist(p.user, group) {
		log.Prog(env.Name).Code(1203, "ERROR", "Invalid user '%s' or group '%s' given.", p.user, group)
		return 1
	}
	if !test {
		fmt.Fprintf(env.Stderr, "%s is a part of one program here. Use: %s start\n", env.Name, filepath.Join(env.Root, "bin", "ossec-control"))
		return 1
	}
	return env.test(log, conf)
}

// exist reports whether the accounts that the caller asked for are there. Vedette's daemons have accounts of their own choice, so the
// defaults need not exist.
func exist(userName, groupName string) bool {
	var noUser user.UnknownUserError
	var noGroup user.UnknownGroupError
	_, err := user.Lookup(userName)
	if userName != "" && errors.As(err, &noUser) {
		return false
	}
	_, err = user.LookupGroup(groupName)
	return !errors.As(err, &noGroup)
}

func (env *Env) version() int {
	if env.Name == "ossec-dbd" { // as ever: elsewhere, and with an error
		fmt.Fprintf(env.Stdout, " %s %s - Vedette %s \n", version.Product, version.Compat, version.Version)
		return 1
	}
	fmt.Fprint(env.Stderr, version.Banner())
	return 0
}

func (env *Env) usage(p part) {
	fmt.Fprintf(env.Stderr, " \nUsage: %s -t [-c file]\nA part of one program here, which ossec-control starts and stops.\n"+
		"  -t         test the configuration and exit\n  -c file    configuration (default etc/ossec.conf below the root)\n", env.Name)
	if p.flags == all {
		fmt.Fprint(env.Stderr, "  -D dir     install root\n")
	}
	fmt.Fprint(env.Stderr, "  -V, -h     version, this help; other options of OSSEC's are accepted\n")
}

func (env *Env) test(log *olog.Logger, conf string) int {
	if conf == "" {
		conf = filepath.Join(env.Root, "etc", "ossec.conf")
	} else if abs, err := filepath.Abs(conf); err == nil {
		conf = abs
	}
	problems := env.Check(env.Root, conf)
	for _, text := range problems.LogTexts(env.Name, conf) {
		log.Line(text)
	}
	if problems.Err() != nil {
		return 1
	}
	return 0
}
