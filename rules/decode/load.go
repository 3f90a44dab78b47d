package decode

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/config/xmlconf"
)

// Load compiles decoder files, in order, into one set (spec decoders.md, sections 3 to 5). All files form one list: a later file can add
// children to decoders of earlier files.
//
// Every problem of every file is reported, with file, line and OSSEC's message; problems of one decoder follow each other as OSSEC
// prints them. Texts that begin with "decode-xml: " are printed without program name. The set is nil when a problem prevents the start.
func Load(files []Source, opts Options) (*Decoders, config.Problems) {
	l := loader{
		d:      &Decoders{opts: opts, names: map[string]bool{}},
		failed: map[string]bool{},
	}
	for _, name := range internalNames {
		l.d.names[name] = true
	}
	for _, f := range files {
		l.file(f)
	}
	l.warnUnreachable()
	if l.problems.Err() != nil {
		return nil, l.problems
	}
	l.compileLists()
	return l.d, l.problems
}

// compileLists builds the tables of all lists, now that they are complete.
func (l *loader) compileLists() {
	for _, t := range l.tops {
		t.n.children.groupSiblings(l.d.opts.Exact)
		t.n.children.buildIndex()
	}
	l.d.programs.startAll()
	l.d.programs.buildIndex()
	l.d.programs.buildProgramIndex()
	l.d.plain.startAll()
	l.d.plain.buildIndex()
}

// loader collects decoders and problems.
type loader struct {
	d        *Decoders
	problems config.Problems
	failed   map[string]bool // names of top-level decoders that have errors: their children are not blamed for it
	tops     []*topLevel
}

// topLevel is a top-level decoder with what linking children to it needs.
type topLevel struct {
	n    *node
	kids []*definition
}

// add reports a problem; code 0 is a message without number.
func (l *loader) add(pos config.Position, code int, text string) {
	l.problems = append(l.problems, config.Problem{Pos: pos, Code: code, Text: text})
}

func (l *loader) warn(pos config.Position, text string) {
	l.problems = append(l.problems, config.Problem{Pos: pos, Text: "WARN: " + text, Warning: true})
}

// file reads one file and adds its decoders.
func (l *loader) file(f Source) {
	doc, err := xmlconf.Read(f.Name, f.Data)
	if err == nil {
		err = doc.ApplyVariables()
	}
	if err != nil {
		l.xmlProblem(f.Name, err)
		return
	}
	if len(doc.Roots) == 0 && !f.MayBeEmpty {
		l.add(config.Position{File: f.Name}, 1231, "ERROR: Invalid NULL element in the configuration.")
		return
	}
	for _, root := range doc.Roots {
		pos := config.Position{File: f.Name, Line: root.Line}
		if def := l.read(root, pos); def != nil {
			l.define(def)
		}
	}
}

func (l *loader) xmlProblem(file string, err error) {
	var xe *xmlconf.Error
	if !errors.As(err, &xe) {
		l.add(config.Position{File: file}, 1226, fmt.Sprintf("ERROR: Error reading XML file '%s': %v.", file, err))
		return
	}
	p := config.Problem{Pos: config.Position{File: file, Line: xe.Line}, Code: xe.Code(), Text: xe.Message()}
	if xe.Opened > 0 && xe.Opened != xe.Line {
		p.Hint = fmt.Sprintf("The element was opened on line %d.", xe.Opened)
	}
	l.problems = append(l.problems, p)
}

// define checks, compiles and links one decoder.
func (l *loader) define(def *definition) {
	bad := def.bad
	if !bad {
		bad = !l.check(def)
	}
	if !bad && def.hasParent() {
		bad = !l.link(def)
	}
	if bad {
		if !def.hasParent() {
			l.failed[def.name] = true
		}
		return
	}
	l.d.names[def.name] = true
	l.d.count++
	if def.hasParent() {
		return
	}
	def.node.shown = def.name
	top := &topLevel{n: def.node}
	l.tops = append(l.tops, top)
	if def.hasProgram() {
		l.d.programs.nodes = append(l.d.programs.nodes, def.node)
	} else {
		l.d.plain.nodes = append(l.d.plain.nodes, def.node)
	}
}

// link adds a child to every decoder of its parent's name (spec sections 4.1 to 4.3).
func (l *loader) link(def *definition) bool {
	parent := def.parent.text
	var parents []*topLevel
	for _, t := range l.tops {
		if t.n.name == parent {
			parents = append(parents, t)
		}
	}
	if len(parents) == 0 {
		if !l.failed[parent] {
			l.problems = append(l.problems, config.Problem{
				Pos: def.pos, Code: 2101, Text: fmt.Sprintf("ERROR: Parent decoder name invalid: '%s'.", parent),
				Hint: fmt.Sprintf("Decoder '%s': the parent must be a decoder without parent that stands earlier.", def.name),
			})
			l.add(def.pos, 2106, "ERROR: Error adding decoder plugin.")
		}
		return false
	}
	for _, p := range parents {
		if !l.checkSiblings(def, p.kids) {
			l.add(def.pos, 2105, "ERROR: Error loading decoder options.")
			l.add(def.pos, 2106, "ERROR: Error adding decoder plugin.")
			return false
		}
	}
	def.node.parent = parent
	def.node.shown = parent
	if def.ownName {
		def.node.shown = def.name
	}
	for _, p := range parents {
		p.kids = append(p.kids, def)
		p.n.children.nodes = append(p.n.children.nodes, def.node)
	}
	return true
}

// checkSiblings checks a child against the children of the same name that its parent already has.
func (l *loader) checkSiblings(def *definition, kids []*definition) bool {
	grouped := false
	for _, k := range kids {
		if k.name != def.name {
			continue
		}
		grouped = true
		switch {
		case def.node.prematch != nil:
			l.add(def.pos, 2102, fmt.Sprintf("ERROR: Duplicated decoder with prematch: '%s'.", def.name))
			return false
		case def.node.fts != 0:
			l.add(def.pos, 2103, fmt.Sprintf("ERROR: Duplicated decoder with fts set: '%s'.", def.name))
			return false
		case k.extraction() == noPattern || k.extraction() != def.extraction():
			l.add(def.pos, 2104, fmt.Sprintf("ERROR: Invalid duplicated decoder: '%s'.", def.name))
			return false
		}
	}
	if def.node.regexAt == afterRegex && !grouped {
		l.add(def.pos, 2120, fmt.Sprintf("ERROR: Invalid offset value: '%s'", def.name))
		return false
	}
	return true
}

// warnUnreachable reports children that stand behind one without prematch: the walk always stops there (spec section 6, step 4).
func (l *loader) warnUnreachable() {
	warned := map[*definition]bool{}
	for _, t := range l.tops {
		var stopper *definition
		for _, k := range t.kids {
			switch {
			case stopper == nil && k.node.prematch == nil && !isFollower(k, t.kids):
				stopper = k
			case stopper != nil && k.name != stopper.name && !warned[k]:
				warned[k] = true
				l.warn(k.pos, fmt.Sprintf("Decoder '%s' is never tried: its sibling '%s' (line %d of %s) has no prematch and takes every log.",
					k.name, stopper.name, stopper.pos.Line, stopper.pos.File))
			}
		}
	}
}

// isFollower reports whether an earlier child has the same name.
func isFollower(def *definition, kids []*definition) bool {
	for _, k := range kids {
		if k == def {
			return false
		}
		if k.name == def.name {
			return true
		}
	}
	return false
}

// nameAttr returns the value of the only attribute allowed on a decoder.
func nameAttr(n *xmlconf.Node) (string, bool) {
	if len(n.Attrs) != 1 || !strings.EqualFold(n.Attrs[0].Name, "name") {
		return "", false
	}
	return n.Attrs[0].Value, true
}
