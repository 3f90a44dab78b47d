package xmlconf

import "strings"

const (
	maxVariable = 255      // bytes of a variable's name
	maxExpanded = 64 << 10 // bytes of a text after expansion
	maxGrowth   = 32 << 20 // bytes that expansion may add to a file
)

// slot is one place that the variables step looks at: the text of an element, or an attribute.
type slot struct {
	depth int
	name  string
	value *string
	line  int
	node  *Node // nil for an attribute
	owner *Node // element of an attribute
	attr  int   // index in owner.Attrs
	gone  bool  // consumed by a definition
}

// ApplyVariables carries out the variables of rules and decoders (spec configuration.md, section 1.8): definitions are taken out of the
// tree, references replaced. It may be called once. The error is an *Error with Variable set.
func (d *Document) ApplyVariables() error {
	switch d.definitions() {
	case none:
		return nil
	case plain:
		e := expander{doc: d, vars: map[string]string{}}
		d.Roots = e.nodes(d.Roots)
		if e.err != nil {
			return e.err
		}
		return nil
	}
	return d.applyOdd()
}

// How a document defines variables.
const (
	none  = iota
	plain // only by elements that have an attribute of their own
	odd   // also by an attribute called var, or an element that takes the next attribute in the file
)

func isVar(name string) bool { return len(name) == 3 && strings.EqualFold(name, "var") }

func (d *Document) definitions() int {
	kind := none
	for _, n := range d.All() {
		if isVar(n.Name) {
			if len(n.Attrs) == 0 {
				return odd
			}
			kind = plain
		}
		for i := range n.Attrs {
			if isVar(n.Attrs[i].Name) {
				return odd
			}
		}
	}
	return kind
}

// expander does the plain case in one walk.
type expander struct {
	doc    *Document
	vars   map[string]string
	growth int
	err    error
}

// nodes expands a list of elements and returns it without the definitions.
func (e *expander) nodes(list []*Node) []*Node {
	keep := list[:0]
	for _, n := range list {
		if e.err != nil {
			return list
		}
		attrs := n.Attrs
		if isVar(n.Name) {
			e.define(n)
			attrs = attrs[1:]
		} else {
			e.expand(&n.Text, n.Line)
			keep = append(keep, n)
		}
		for i := range attrs {
			e.expand(&attrs[i].Value, attrs[i].Line)
		}
		n.Children = e.nodes(n.Children)
	}
	return keep
}

func (e *expander) fail(line int, text string) {
	if e.err == nil {
		e.err = &Error{File: e.doc.Name, Line: line, Text: clip(text), Variable: true}
	}
}

// define stores a definition; its name is the first attribute.
func (e *expander) define(n *Node) {
	a := n.Attrs[0]
	switch key := strings.ToLower(a.Value); {
	case !strings.EqualFold(a.Name, "name"):
		e.fail(n.Line, textNotName)
	case len(a.Value) > maxVariable:
		e.fail(n.Line, textNameSize)
	default:
		if _, dup := e.vars[key]; !dup {
			e.vars[key] = n.Text
		}
	}
}

func (e *expander) expand(value *string, line int) {
	if len(e.vars) == 0 || len(*value) <= 2 || e.err != nil {
		return
	}
	text, errText := expand(e.vars, *value)
	if e.growth += len(text) - len(*value); errText == "" && e.growth > maxGrowth {
		errText = textOverflow
	}
	if errText != "" {
		e.fail(line, errText)
		return
	}
	*value = text
}

// Texts of errors in definitions.
const (
	textNotName  = `XMLERR: Only "name" is allowed as an attribute for a variable.`
	textNameSize = "XMLERR: Invalid variable name size."
	textOverflow = "XMLERR: String overflow."
)

// applyOdd does the odd cases over a list of all texts and attributes.
func (d *Document) applyOdd() error {
	slots := d.slots()
	vars := map[string]string{}
	growth := 0
	for i := range slots {
		s := &slots[i]
		switch {
		case s.gone:
		case isVar(s.name):
			if err := d.define(vars, slots, i); err != nil {
				return err
			}
		case len(vars) > 0 && len(*s.value) > 2:
			text, errText := expand(vars, *s.value)
			if growth += len(text) - len(*s.value); errText == "" && growth > maxGrowth {
				errText = textOverflow
			}
			if errText != "" {
				return &Error{File: d.Name, Line: s.line, Text: clip(errText), Variable: true}
			}
			*s.value = text
		}
	}
	d.removeUsed(slots)
	return nil
}

// slots lists all texts and attributes in file order.
func (d *Document) slots() []slot {
	var out []slot
	for depth, n := range d.All() {
		out = append(out, slot{depth: depth, name: n.Name, value: &n.Text, line: n.Line, node: n})
		for i := range n.Attrs {
			a := &n.Attrs[i]
			out = append(out, slot{depth: depth, name: a.Name, value: &a.Value, line: a.Line, owner: n, attr: i})
		}
	}
	return out
}

// define stores the variable whose definition is slots[i]; its name is the value of the next attribute.
func (d *Document) define(vars map[string]string, slots []slot, i int) error {
	fail := func(text string) error {
		return &Error{File: d.Name, Line: slots[i].line, Text: text, Variable: true}
	}
	slots[i].gone = true
	for j := i + 1; j < len(slots) && slots[j].depth >= slots[i].depth; j++ {
		if slots[j].node != nil {
			continue
		}
		if !strings.EqualFold(slots[j].name, "name") {
			return fail(textNotName)
		}
		name := *slots[j].value
		if len(name) > maxVariable {
			return fail(textNameSize)
		}
		slots[j].gone = true
		key := strings.ToLower(name)
		if _, dup := vars[key]; !dup {
			vars[key] = *slots[i].value
		}
		return nil
	}
	return fail("XMLERR: No value set for variable.")
}

// expand replaces the references in s; the second result is an error text.
func expand(vars map[string]string, s string) (string, string) {
	if strings.IndexByte(s, '$') < 0 {
		return s, ""
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			b.WriteString(s)
			return b.String(), ""
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		end := strings.IndexAny(s, "$.|, ")
		if end < 0 {
			end = len(s)
		}
		name := s[:end]
		if len(name) > maxVariable {
			return "", "XMLERR: Invalid variable name size: '255'."
		}
		value, known := vars[strings.ToLower(name)]
		switch {
		case known:
			b.WriteString(value)
		case name == "":
			b.WriteByte('$')
		default:
			return "", "XMLERR: Unknown variable: '" + name + "'."
		}
		if s = s[end:]; b.Len() > maxExpanded {
			return "", textOverflow
		}
	}
}

// removeUsed takes the definitions out of the tree: elements called var with everything in them, and attributes that were part of one.
func (d *Document) removeUsed(slots []slot) {
	dropNode := map[*Node]bool{}
	dropAttr := map[*Node]map[int]bool{}
	for i := range slots {
		s := &slots[i]
		switch {
		case !s.gone:
		case s.node != nil:
			dropNode[s.node] = true
		default:
			if dropAttr[s.owner] == nil {
				dropAttr[s.owner] = map[int]bool{}
			}
			dropAttr[s.owner][s.attr] = true
		}
	}
	if len(dropNode) == 0 && len(dropAttr) == 0 {
		return
	}
	for n, drop := range dropAttr {
		var keep []Attr
		for i, a := range n.Attrs {
			if !drop[i] {
				keep = append(keep, a)
			}
		}
		n.Attrs = keep
	}
	d.Roots = without(d.Roots, dropNode)
}

func without(nodes []*Node, drop map[*Node]bool) []*Node {
	keep := nodes[:0]
	for _, n := range nodes {
		if drop[n] {
			continue
		}
		n.Children = without(n.Children, drop)
		keep = append(keep, n)
	}
	return keep
}
