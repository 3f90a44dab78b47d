package xmlconf

import (
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/beevik/etree"
)

// Document is one file: its root elements in order.
type Document struct {
	Name  string // file name as given to Read, used in messages
	Roots []*Node
}

// Node is one element.
type Node struct {
	Name     string
	Text     string // after the last child, verbatim; "" for a self-closed element
	Attrs    []Attr // in order
	Children []*Node
	Line     int // line of the "<" that opens it, from 1
	EndLine  int // line where it is closed
}

// Attr is one attribute.
type Attr struct {
	Name, Value string
	Line        int // line on which the value ends
}

// Attr returns the value of the attribute called name (case-sensitive).
func (n *Node) Attr(name string) (string, bool) {
	for i := range n.Attrs {
		if n.Attrs[i].Name == name {
			return n.Attrs[i].Value, true
		}
	}
	return "", false
}

// All walks every element of the document in file order, parents before children, with its depth (0 for roots).
func (d *Document) All() iter.Seq2[int, *Node] {
	return func(yield func(int, *Node) bool) {
		walk(d.Roots, 0, yield)
	}
}

func walk(nodes []*Node, depth int, yield func(int, *Node) bool) bool {
	for _, n := range nodes {
		if !yield(depth, n) || !walk(n.Children, depth+1, yield) {
			return false
		}
	}
	return true
}

// Etree copies the element and everything below it into an etree element, for writing and for path queries. A name with a colon becomes
// prefix and tag there; lines are not carried over.
func (n *Node) Etree() *etree.Element {
	e := etree.NewElement(n.Name)
	for _, a := range n.Attrs {
		e.CreateAttr(a.Name, a.Value)
	}
	for _, c := range n.Children {
		e.AddChild(c.Etree())
	}
	if n.Text != "" {
		e.CreateText(n.Text)
	}
	return e
}

// Error is a file that cannot be read.
type Error struct {
	File     string
	Line     int    // where the fault was noticed, 1 + newlines before it; 0: no line
	Opened   int    // line where the element in question was opened, 0 = not about an open element
	Text     string // "XMLERR: Comment not closed.", at most 127 bytes
	Variable bool   // found by ApplyVariables
	Err      error  // cause, for files that cannot be opened
}

// Code is OSSEC's message number: 1226 for reading, 1227 for variables.
func (e *Error) Code() int {
	if e.Variable {
		return 1227
	}
	return 1226
}

// Message is OSSEC's log text, without program name and code: "ERROR: Error reading XML file 'x': XMLERR: ... (line 3)."
func (e *Error) Message() string {
	if e.Variable {
		return fmt.Sprintf("ERROR: Error applying XML variables '%s': %s.", e.File, e.Text)
	}
	return fmt.Sprintf("ERROR: Error reading XML file '%s': %s (line %d).", e.File, e.Text, e.Line)
}

// Error gives "file:line: text", with the opening line where that helps.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
	if e.Opened > 0 && e.Opened != e.Line {
		s += fmt.Sprintf(" (opened on line %d)", e.Opened)
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// MaxFile is the largest file that ReadFile takes, in bytes.
const MaxFile = 64 << 20

// ReadFile reads the file at path; name is what messages call it. A file that cannot be opened gives an *Error with the text "XMLERR: File
// 'name' not found." that wraps the cause.
func ReadFile(name, path string) (*Document, error) {
	data, err := load(path)
	if err != nil {
		return nil, &Error{File: name, Text: clip("XMLERR: File '" + name + "' not found."), Err: err}
	}
	return Read(name, data)
}

func load(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(data) > MaxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, MaxFile)
	}
	return data, err
}

// clip cuts an error text to the 127 bytes that OSSEC keeps.
func clip(s string) string {
	if len(s) > 127 {
		return s[:127]
	}
	return s
}
