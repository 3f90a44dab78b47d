package logtest

import (
	"slices"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/manager/ruleset"
	"github.com/vedette-hids/vedette/rules"
)

// The names under which OSSEC's tool writes: its own, and that of the loader, which it shares with the daemon.
const (
	program = "ossec-testrule"
	loader  = "ossec-analysisd"
)

// load reads the ruleset and says what OSSEC's tool says about it. ok is false when it cannot be used.
func (t *tool) load() bool {
	set, problems := ruleset.Load(ruleset.Options{Root: t.Root, Config: t.conf, Hostname: t.Hostname, Adjust: func(o rules.Options) rules.Options {
		o = o.ForTestTool()
		o.Location = t.Location
		return o
	}})
	t.set = set
	decoders := problemsOf(problems, func(p config.Problem) bool { return slices.Contains(set.Config.Rules.Decoders, p.Pos.File) })
	others := problemsOf(problems, func(p config.Problem) bool { return !slices.Contains(decoders, p) })
	if !set.Config.Rules.DefaultDecoders && !t.quiet {
		for _, name := range set.Config.Rules.Decoders {
			t.log.Line(program + ": INFO: Reading decoder file " + name + ".")
		}
	}
	t.report(decoders)
	if decoders.Err() != nil {
		name := decoders.Errors()[0].Pos.File
		if set.Config.Rules.DefaultDecoders {
			name = "/" + name
		}
		t.log.Line(config.Problem{Code: 1202, Text: config.ErrorAt(name)}.LogText(program))
	} else if len(set.Sources.Decoders) > 0 && set.Config.Rules.DefaultDecoders {
		t.log.Line(program + ": INFO: Reading local decoder file.")
	}
	t.report(others)
	if set.Rules == nil || problems.Err() != nil {
		if e := others.Errors(); len(e) > 0 && e[len(e)-1].Code != 1220 {
			t.log.Line(config.Problem{Code: 1202, Text: config.ErrorAt(t.confPath())}.LogText(program))
		}
		return false
	}
	return true
}

func problemsOf(ps config.Problems, want func(config.Problem) bool) config.Problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p config.Problem) bool { return !want(p) })
}

// report writes problems in OSSEC's form. What only Vedette warns about is for `vedette rules lint` and shown here with -d, and so
// are the positions, which would be in the way of programs that read the lines.
func (t *tool) report(ps config.Problems) {
	for _, p := range ps {
		if p.Warning && p.Code == 0 && t.debug == 0 {
			continue
		}
		if t.debug > 0 && p.Pos.File != "" {
			t.log.Line(program + ": DEBUG: " + p.Error())
		}
		t.log.Line(t.logText(p))
	}
}

// logText puts the right program name before a message.
func (t *tool) logText(p config.Problem) string {
	for _, own := range []string{"rules_op: ", "rules_list: ", "decode-xml: "} {
		if strings.HasPrefix(p.Text, own) {
			return p.Text
		}
	}
	r := &t.set.Config.Rules
	if p.Code != 1220 && (slices.Contains(r.Decoders, p.Pos.File) || slices.Contains(r.Rules, p.Pos.File)) {
		return p.LogText(loader)
	}
	return p.LogText(program)
}
