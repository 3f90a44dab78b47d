package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/config/xmlconf"
	"github.com/vedette-hids/vedette/rules/decode"
)

// Load compiles a ruleset: decoders, then lists, then rules, as spec rules.md section 1 orders them. It goes on after a fault and
// returns every problem of all files. The ruleset is nil when one of them prevents the start.
func Load(src Sources, opts Options) (*Ruleset, config.Problems) {
	return newLoader(opts).load(src)
}

func newLoader(opts Options) *loader {
	opts = opts.normalised()
	return &loader{
		opts: opts, byID: map[int]*Rule{}, broken: map[int]bool{}, placesOf: map[*Rule][]*place{},
		rs: &Ruleset{opts: opts, lists: map[string]*listHandle{}},
	}
}

func (l *loader) load(src Sources) (*Ruleset, config.Problems) {
	var probs config.Problems
	rs := l.rs
	rs.decoders, probs = decode.Load(src.Decoders, decodeOptions(l.opts, func(id int) bool { return rs.byID[id] != nil }))
	l.probs = append(l.probs, probs...)
	for _, f := range src.Lists {
		h := &listHandle{}
		h.db.Store(f.DB)
		rs.lists[f.Name] = h
	}
	for _, f := range src.Rules {
		l.file(f)
	}
	switch {
	case l.places > maxPlaces:
		l.report(config.Problem{Text: fmt.Sprintf("The rule tree has more than %d positions.", maxPlaces)})
	case l.steps > maxSteps:
		l.report(config.Problem{Text: "The rules are too many for the relations between them: linking them was broken off."})
	}
	if len(l.roots) == 0 && l.probs.Err() == nil {
		l.report(config.Problem{Text: "No rules loaded.", Hint: "Name at least one rules file with a root rule (id below 10) in <rules>."})
	}
	if l.probs.Err() != nil {
		return nil, l.probs
	}
	l.rs.freeze(l.roots, l.places)
	return l.rs, l.probs
}

// loader holds the state of a load.
type loader struct {
	opts     Options
	rs       *Ruleset
	file0    string // file being read
	roots    siblings
	places   int
	placesOf map[*Rule][]*place
	steps    int           // positions looked at while linking
	moved    bool          // an overwriting rule changed a sort key
	byID     map[int]*Rule // loaded rules; of equal root ids the first
	broken   map[int]bool  // ids of rules that could not be loaded
	partial  bool          // a file or a group could not be read
	nameless bool          // a rule of unknown id could not be read
	probs    config.Problems
}

func (l *loader) pos(n *xmlconf.Node) config.Position {
	return config.Position{File: l.file0, Line: n.Line}
}

func (l *loader) report(p config.Problem) { l.probs = append(l.probs, p) }

// file loads one rules file and ends its problems with the message that names it.
func (l *loader) file(f File) {
	l.file0 = f.Name
	before := len(l.probs)
	l.groups(f)
	for _, p := range l.probs[before:] {
		if !p.Warning {
			l.report(config.Problem{Pos: config.Position{File: f.Name}, Code: 1220,
				Text: fmt.Sprintf("ERROR: Error loading the rules: '%s'.", configured(f.Name))})
			return
		}
	}
}

// configured is the name of a rules file as the configuration has it.
func configured(name string) string {
	if rest, ok := strings.CutPrefix(name, "rules/"); ok && !strings.Contains(rest, "/") {
		return rest
	}
	return name
}

func (l *loader) groups(f File) {
	doc, err := readDocument(f)
	if err != nil {
		l.partial = true
		var xe *xmlconf.Error
		if errors.As(err, &xe) {
			hint := ""
			if f.Err != nil {
				hint = "(" + f.Err.Error() + ")"
			}
			l.report(config.Problem{Pos: config.Position{File: f.Name, Line: xe.Line}, Code: xe.Code(), Text: xe.Message(), Hint: hint})
		} else {
			l.report(config.Problem{Pos: config.Position{File: f.Name}, Code: 1226, Text: "ERROR: " + err.Error()})
		}
		return
	}
	if len(doc.Roots) == 0 {
		l.report(config.Problem{Pos: config.Position{File: f.Name}, Code: 1202, Text: fmt.Sprintf("ERROR: Configuration error at '%s'. Exiting.", f.Name)})
		return
	}
	for _, g := range doc.Roots {
		l.group(g)
	}
}

func readDocument(f File) (*xmlconf.Document, error) {
	if f.Err != nil {
		return nil, &xmlconf.Error{File: f.Name, Text: fmt.Sprintf("XMLERR: File '%s' not found.", f.Name), Err: f.Err}
	}
	doc, err := xmlconf.Read(f.Name, f.Data)
	if err != nil {
		return nil, err
	}
	return doc, doc.ApplyVariables()
}

func (l *loader) group(g *xmlconf.Node) {
	bad := func(n *xmlconf.Node, format string, args ...any) {
		l.partial = true
		l.report(config.Problem{Pos: l.pos(n), Text: fmt.Sprintf(format, args...)})
	}
	if !strings.EqualFold(g.Name, "group") {
		bad(g, "rules_op: Invalid root element \"%s\".Only \"group\" is allowed", g.Name)
		return
	}
	if len(g.Attrs) != 1 || !strings.EqualFold(g.Attrs[0].Name, "name") {
		bad(g, "rules_op: Invalid root element '%s'.Only the group name is allowed", g.Name)
		return
	}
	if len(g.Children) == 0 {
		bad(g, "Group '%s' without any rule.", g.Name)
		return
	}
	for i, n := range g.Children {
		if !strings.EqualFold(n.Name, "rule") {
			l.nameless = true
			l.report(config.Problem{Pos: l.pos(n), Text: fmt.Sprintf("Invalid configuration. '%s' is not a valid element.", n.Name)})
			continue
		}
		l.rule(g.Attrs[0].Value, n, i)
	}
}

// rule reads and places one rule.
func (l *loader) rule(group string, n *xmlconf.Node, index int) {
	def := l.read(group, n, index)
	if def == nil {
		l.nameless = true
		return
	}
	old := l.byID[def.ID]
	switch {
	case def.overwrite && def.ID >= 10:
		if old == nil {
			if !l.broken[def.ID] {
				l.failParent(def, "Overwrite rule '%d' not found.", def.ID)
			}
		} else if def.ok {
			l.overwrite(old, def)
		}
		return
	case old != nil && !def.overwrite:
		l.failRule(def, "Duplicate rule ID:%d", def.ID)
		return
	}
	if !def.ok || l.tooLarge() || !l.attach(def) || !def.ok {
		l.broken[def.ID] = true
		return
	}
	def.index = len(l.rs.rules)
	l.rs.rules = append(l.rs.rules, def.Rule)
	if old == nil {
		l.byID[def.ID] = def.Rule
	}
	if def.search.kind != searchNone {
		l.installSearch(def, def.Rule)
	}
}
