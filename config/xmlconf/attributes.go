package xmlconf

import "strings"

// attributes reads the attributes of n; the place is after the white space that ended its name. It reports whether the tag closes itself. The
// ">" of a self-closed tag is left unread (spec configuration.md, section 1.4): outside an element it is ignored, inside it is text.
func (r *reader) attributes(n *Node) (selfClosed bool, err *Error) {
	first := len(r.attrs)
	defer func() {
		n.Attrs = r.attrs[first:len(r.attrs):len(r.attrs)]
		if cap(r.attrs)-len(r.attrs) < 16 {
			r.attrs = make([]Attr, 0, 256)
		}
	}()
	for {
		name, end, err := r.attributeName(n)
		if err != nil {
			return false, err
		}
		if end != '=' {
			return end == '/', nil
		}
		value, err := r.attributeValue(n, name)
		if err != nil {
			return false, err
		}
		name = cString(name)
		for i := first; i < len(r.attrs); i++ {
			if r.attrs[i].Name == name {
				return false, r.failIn(n, "XMLERR: Attribute '"+name+"' already defined.")
			}
		}
		r.attrs = append(r.attrs, Attr{Name: name, Value: cString(value), Line: r.line()})
		c := r.peek()
		r.pos++
		switch {
		case c == '>':
			return false, nil
		case c == '/':
			return true, nil
		case r.pos > len(r.src) || !isSpace(c):
			r.pos = min(r.pos, len(r.src))
			return false, r.failIn(n, "XMLERR: Bad attribute closing for '"+name+"'='"+cString(value)+"'.")
		}
	}
}

// attributeName reads up to "=". Where no name starts it returns the ">" or "/" found there.
func (r *reader) attributeName(n *Node) (string, byte, *Error) {
	for isSpace(r.peek()) {
		r.pos++
	}
	start := r.pos
	for ; r.pos < len(r.src); r.pos++ {
		c := r.src[r.pos]
		name := r.src[start:r.pos]
		switch {
		case len(name) > maxString:
			return "", 0, r.failIn(n, "XMLERR: Overflow attempt at attribute '"+name[:20]+"'.")
		case c == '=':
			r.pos++
			return name, c, nil
		case (c == '>' || c == '/') && name == "":
			r.pos++
			return "", c, nil
		case c == '>' || c == '/' || isSpace(c):
			return "", 0, r.failIn(n, "XMLERR: Attribute '"+name+"' has no value.")
		}
	}
	return "", 0, r.failIn(n, "XMLERR: End of file while reading an attribute.")
}

// attributeValue reads a quoted value.
func (r *reader) attributeValue(n *Node, name string) (string, *Error) {
	for isSpace(r.peek()) {
		r.pos++
	}
	quote := r.peek()
	if quote != '"' && quote != '\'' {
		return "", r.failIn(n, "XMLERR: Attribute '"+name+"' not followed by a \" or '.")
	}
	r.pos++
	start := r.pos
	i := strings.IndexAny(r.src[start:], string(rune(quote))+">")
	if i < 0 {
		i = len(r.src) - start
	}
	if i > maxString {
		r.pos = start + maxString
		return "", r.failIn(n, "XMLERR: Overflow attempt at attribute '"+name[:min(20, len(name))]+"'.")
	}
	r.pos = start + i
	switch {
	case r.pos == len(r.src):
		return "", r.failIn(n, "XMLERR: End of file while reading an attribute.")
	case r.src[r.pos] == '>':
		return "", r.failIn(n, "XMLERR: Attribute '"+name+"' not closed.")
	}
	r.pos++
	return r.src[start : r.pos-1], nil
}
