package xmlconf

import (
	"strings"
)

// Limits of the dialect (spec configuration.md, section 1.6).
const (
	maxString = 8191
	maxDepth  = 1024
)

// Read reads a whole file; name is what messages call it. The error is an *Error.
func Read(name string, data []byte) (*Document, error) {
	r := reader{name: name, src: string(data)}
	roots, err := r.document()
	if err != nil {
		return nil, err
	}
	return &Document{Name: name, Roots: roots}, nil
}

// reader holds the place in the file. All scanning moves pos forward only, so that lines can be counted as it goes.
type reader struct {
	name    string
	src     string
	pos     int
	counted int // newlines of src[:counted] are in lines
	lines   int
	slab    []Node
	attrs   []Attr
	kids    []*Node // stack of children of the open elements
}

// line is the line number at the present place.
func (r *reader) line() int {
	if r.pos > r.counted {
		r.lines += strings.Count(r.src[r.counted:r.pos], "\n")
		r.counted = r.pos
	}
	return r.lines + 1
}

func (r *reader) fail(text string) *Error {
	return &Error{File: r.name, Line: r.line(), Text: clip(text)}
}

func (r *reader) failIn(n *Node, text string) *Error {
	e := r.fail(text)
	e.Opened = n.Line
	return e
}

// document reads all roots: the state "outside".
func (r *reader) document() ([]*Node, *Error) {
	r.src = strings.TrimPrefix(r.src, "\xef\xbb\xbf")
	if strings.HasPrefix(r.src, "<?xml") {
		end := strings.Index(r.src, "?>")
		if end < 0 {
			r.pos = len(r.src)
			return nil, r.fail("XMLERR: XML declaration not closed.")
		}
		r.pos = end + 2
	}
	var roots []*Node
	var prev byte // last byte before the present one, comments apart: a backslash hides "<"
	for {
		i := strings.IndexByte(r.src[r.pos:], '<')
		if i < 0 {
			return roots, nil
		}
		if i > 0 {
			prev = r.src[r.pos+i-1]
		}
		r.pos += i + 1
		switch {
		case r.peek() == '!':
			if err := r.comment(); err != nil {
				return nil, err
			}
		case prev == '\\':
			prev = '<'
		case r.peek() == '/':
			return nil, r.fail("XMLERR: Element not opened.")
		default:
			n, err := r.element(1)
			if err != nil {
				return nil, err
			}
			roots = append(roots, n)
			prev = 0
		}
	}
}

// peek is the next byte, 0 at the end of the file.
func (r *reader) peek() byte {
	if r.pos < len(r.src) {
		return r.src[r.pos]
	}
	return 0
}

// comment skips a comment; the place is at the "!" after "<".
func (r *reader) comment() *Error {
	opened := r.line()
	rest := r.src[r.pos+1:]
	for i := 0; ; {
		j := strings.IndexByte(rest[i:], '>')
		if j < 0 {
			r.pos = len(r.src)
			e := r.fail("XMLERR: Comment not closed.")
			e.Opened = opened
			return e
		}
		i += j + 1
		if strings.HasSuffix(rest[:i], "!>") || strings.HasSuffix(rest[:i], "-->") {
			r.pos += 1 + i
			return nil
		}
	}
}

// element reads one element; the place is after its "<".
func (r *reader) element(depth int) (*Node, *Error) {
	n := r.node()
	n.Line = r.line()
	if depth > maxDepth {
		return nil, r.fail("XMLERR: Max recursion level reached.")
	}
	name, end, err := r.tagName(n, true)
	if err != nil {
		return nil, err
	}
	closed := strings.HasSuffix(name, "/")
	n.Name = cString(strings.TrimSuffix(name, "/"))
	if end != '>' {
		selfClosed, err := r.attributes(n)
		if err != nil {
			return nil, err
		}
		closed = closed || selfClosed
	}
	if !closed {
		err = r.content(n, depth)
	}
	n.EndLine = r.line()
	return n, err
}

// tagName reads a name up to ">" or, when open is set, white space; comments in it are left out. It returns the byte that ended it.
func (r *reader) tagName(n *Node, open bool) (string, byte, *Error) {
	var text stretch
	start := r.pos
	for ; r.pos < len(r.src); r.pos++ {
		c := r.src[r.pos]
		switch {
		case c == '>' || open && isSpace(c):
			name := text.end(r.src[start:r.pos])
			if len(name) > maxString {
				return "", 0, r.failIn(n, "XMLERR: String overflow.")
			}
			r.pos++
			return name, c, nil
		case c == '<' && strings.HasPrefix(r.src[r.pos:], "<!"):
			text.add(r.src[start:r.pos])
			if text.len() > maxString {
				return "", 0, r.failIn(n, "XMLERR: String overflow.")
			}
			r.pos++
			if err := r.comment(); err != nil {
				return "", 0, err
			}
			start = r.pos
			r.pos--
		}
	}
	if text.len()+len(r.src)-start > maxString {
		return "", 0, r.failIn(n, "XMLERR: String overflow.")
	}
	return "", 0, r.failIn(n, "XMLERR: End of file and some elements were not closed.")
}

// content reads text and children up to the closing tag.
func (r *reader) content(n *Node, depth int) *Error {
	var text stretch
	base := len(r.kids)
	start := r.pos
	for {
		i := strings.IndexByte(r.src[r.pos:], '<')
		if i < 0 {
			r.pos = len(r.src)
			i = 0
		}
		at := r.pos + i
		if text.len()+at-start > maxString {
			r.pos = start + maxString - text.len()
			return r.failIn(n, "XMLERR: String overflow.")
		}
		if at == len(r.src) {
			return r.failIn(n, "XMLERR: End of file and some elements were not closed.")
		}
		r.pos = at + 1
		switch {
		case r.peek() == '!':
			text.add(r.src[start:at])
			if err := r.comment(); err != nil {
				return err
			}
			start = r.pos
		case text.last(r.src[start:at]) == '\\':
			// the "<" is text
		case r.peek() == '/':
			r.pos++
			n.Text = cString(text.end(r.src[start:at]))
			n.Children = append([]*Node(nil), r.kids[base:]...)
			r.kids = r.kids[:base]
			return r.closing(n)
		default:
			child, err := r.element(depth + 1)
			if err != nil {
				return err
			}
			r.kids = append(r.kids, child)
			text.reset()
			start = r.pos
		}
	}
}

// closing reads the name after "</", which must be that of n.
func (r *reader) closing(n *Node) *Error {
	name, _, err := r.tagName(n, false)
	if err != nil {
		return err
	}
	if cString(name) != n.Name {
		return r.failIn(n, "XMLERR: Element '"+n.Name+"' not closed.")
	}
	return nil
}

// node takes a node out of the slab.
func (r *reader) node() *Node {
	if len(r.slab) == 0 {
		r.slab = make([]Node, 64)
	}
	n := &r.slab[0]
	r.slab = r.slab[1:]
	return n
}

// stretch collects text that comments may interrupt. The common case, no comment, copies nothing.
type stretch struct {
	parts string
	set   bool
}

func (s *stretch) len() int { return len(s.parts) }

func (s *stretch) add(t string) {
	if !s.set {
		s.parts, s.set = t, true
		return
	}
	s.parts += t
}

// end returns everything collected, with t as the last part.
func (s *stretch) end(t string) string {
	if !s.set {
		return t
	}
	return s.parts + t
}

// last is the last byte collected when t is the last part, 0 when there is none.
func (s *stretch) last(t string) byte {
	if t == "" {
		t = s.parts
	}
	if t == "" {
		return 0
	}
	return t[len(t)-1]
}

func (s *stretch) reset() { *s = stretch{} }

// isSpace reports white space of the C locale.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// cString cuts at the first NUL byte.
func cString(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return s[:i]
	}
	return s
}
