// Package makelists is the tool ossec-makelists: it compiles the lists that the configuration names (spec operations.md, 11.4;
// rules.md, 11.1).
package makelists

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/getopt"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/rules/list"
)

const program = "ossec-makelists"

// Run is the tool on the install root: args without the program's name, prog the name in messages about options. The result is the exit
// code.
func Run(root, prog string, args []string, stdout, stderr io.Writer) int {
	conf, test := "", false
	var o list.MakeOptions
	opts, _, err := getopt.Parse(args, "VhdtFu:g:D:c:")
	for _, opt := range opts {
		switch opt.Flag {
		case 'V':
			fmt.Fprint(stderr, version.Banner())
			return 0
		case 'h':
			usage(stderr)
			return 0
		case 't':
			test = true
		case 'F':
			o.Force = true
		case 'D':
			root = opt.Value
		case 'c':
			conf = opt.Value
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", prog, err)
		usage(stderr)
		return 1
	}
	if conf == "" {
		conf = filepath.Join(root, "etc", "ossec.conf")
	} else if abs, err := filepath.Abs(conf); err == nil {
		conf = abs
	}
	log := olog.New("", stderr)
	cfg, problems := config.Load(root, conf)
	// Rules and decoders are not read here, so it does not matter whether their files are there.
	problems = slices.DeleteFunc(problems.For(config.Analysisd), func(p config.Problem) bool {
		return p.Code == 1220 || (p.Code == 1226 && strings.HasSuffix(p.Text, "not found. (line 0).") && p.Pos.Line > 0)
	})
	for _, text := range problems.LogTexts(program, conf) {
		log.Line(text)
	}
	if problems.Err() != nil {
		return 1
	}
	if test {
		return 0
	}
	names := make([]string, len(cfg.Rules.Lists))
	for i, n := range cfg.Rules.Lists {
		names[i] = list.Name(n)
	}
	o.Out, o.Detail = stdout, stderr
	if err := list.Make(root, names, o); err != nil {
		log.Prog(program).Error("%v", err)
		return 1
	}
	return 0
}

func usage(w io.Writer) {
	fmt.Fprint(w, ` 
Usage: ossec-makelists [-VhdtF] [-c file] [-D dir]
Compiles the lists of <rules><list> whose text is newer than the compiled file. Then tell the manager: ossec-control reload.
  -F         compile all, and show every entry
  -t         only test the configuration
  -c file    configuration (default etc/ossec.conf below the root)
  -D dir     install root
  -d, -V, -h more messages, version, this help
`)
}
