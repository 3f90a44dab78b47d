package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vedette-hids/vedette/config/xmlconf"
	"github.com/vedette-hids/vedette/pattern"
)

// parser fills a Config from the elements of a file. who is the set of programs that see the element at hand.
type parser struct {
	cfg      *Config
	root     string // install root, "" = look at nothing outside the file
	path     string // the file as given, for messages of OSSEC
	file     string // the file as shown to people
	who      Daemon
	agent    *agentMode // reading agent.conf, else nil
	problems Problems

	commands   map[string]*Command
	ruleTexts  []fileText
	decTexts   []fileText
	smtpPorts  []*xmlconf.Node
	clientPort int
	clientTCP  bool
	offenders  bool // repeated_offenders was seen
	arDisabled bool // an agent-style <disabled> was seen
}

func (p *parser) pos(n *xmlconf.Node) Position { return Position{File: p.file, Line: n.Line} }

// add appends a problem at n. Hints are written as sentences here, so that callers can write fragments.
func (p *parser) add(n *xmlconf.Node, pr Problem) {
	pr.Pos = p.pos(n)
	pr.Daemons = p.who
	if pr.Hint != "" {
		pr.Hint = sentence(pr.Hint)
	}
	p.problems = append(p.problems, pr)
}

func sentence(s string) string {
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

func (p *parser) fail(n *xmlconf.Node, code int, text, hint string) {
	p.add(n, Problem{Code: code, Text: text, Hint: hint})
}

func (p *parser) warn(n *xmlconf.Node, code int, text, hint string) {
	p.add(n, Problem{Code: code, Text: text, Hint: hint, Warning: true})
}

// unknown is message 1230.
func (p *parser) unknown(n *xmlconf.Node, hint string) {
	p.fail(n, 1230, "ERROR: Invalid element in the configuration: '"+n.Name+"'.", hint)
}

// unknownIn is message 1230 for an element that the section does not have.
func (p *parser) unknownIn(sec, n *xmlconf.Node) {
	p.unknown(n, "section <"+sec.Name+"> has no such element")
}

// bad is message 1235.
func (p *parser) bad(n *xmlconf.Node, expected string) {
	p.fail(n, 1235, badValue(n.Name, n.Text), expected)
}

func badValue(element, value string) string {
	return "ERROR: Invalid value for element '" + element + "': " + value + "."
}

// yesNo stores an exact yes or no.
func (p *parser) yesNo(n *xmlconf.Node, out *bool) bool {
	switch n.Text {
	case "yes":
		*out = true
	case "no":
		*out = false
	default:
		p.bad(n, "expected yes or no")
		return false
	}
	return true
}

// digits reports whether s has no other bytes; the empty string passes, as it does in OSSEC.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// num stores a number of digits. An empty element counts as 0 with a warning.
func (p *parser) num(n *xmlconf.Node, out *int) bool {
	if !digits(n.Text) {
		p.bad(n, "expected digits")
		return false
	}
	if n.Text == "" {
		p.warn(n, 0, "WARN: Empty element '"+n.Name+"' counts as 0.", "write a number")
		*out = 0
		return true
	}
	v, err := strconv.ParseInt(n.Text, 10, 32)
	if err != nil {
		p.bad(n, "expected a number below 2147483648")
		return false
	}
	*out = int(v)
	return true
}

// level stores a level: a number modulo 256. What makes no sense as a level is warned of.
func (p *parser) level(n *xmlconf.Node, out *int) {
	var v int
	if !p.num(n, &v) {
		return
	}
	*out = v % 256
	if v > 16 {
		p.warn(n, 0, fmt.Sprintf("WARN: Level %d of element '%s' is above 16 and used as %d.", v, n.Name, v%256), "levels go from 0 to 16")
	}
}

// ignoredNum checks a number that has no effect.
func (p *parser) ignoredNum(n *xmlconf.Node) {
	var v int
	p.num(n, &v)
}

// match compiles an OS_Match pattern; message 1450 when it does not compile.
func (p *parser) match(n *xmlconf.Node, text string) *pattern.Match {
	m, err := pattern.CompileMatch(text)
	if err != nil {
		p.patternProblem(n, text, err)
		return nil
	}
	return m
}

// regex compiles an OS_Regex pattern; message 1450 when it does not compile.
func (p *parser) regex(n *xmlconf.Node, text string) *pattern.Regex {
	r, err := pattern.CompileRegex(text)
	if err != nil {
		p.patternProblem(n, text, err)
		return nil
	}
	return r
}

func (p *parser) patternProblem(n *xmlconf.Node, text string, err error) {
	code, hint := 0, err.Error()
	var pe *pattern.Error
	if errors.As(err, &pe) {
		code, hint = pe.Code, pe.Reason
	}
	p.fail(n, 1450, fmt.Sprintf("ERROR: Syntax error on regex: '%s': %d.", text, code), hint)
}

// idList reads a list of rule ids: digits, the next id starts after the next comma; blanks and empty items are skipped, the first other
// byte where an item starts ends the list.
func idList(s string) []int {
	var out []int
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ' || c == ',':
			i++
		case c >= '0' && c <= '9':
			v := 0
			for ; i < len(s) && s[i] >= '0' && s[i] <= '9' && v < 1<<30/10; i++ {
				v = v*10 + int(s[i]-'0')
			}
			out = append(out, v)
			comma := strings.IndexByte(s[i:], ',')
			if comma < 0 {
				return out
			}
			i += comma + 1
		default:
			return out
		}
	}
	return out
}

// ids stores a rule id list and warns when part of the text is not used.
func (p *parser) ids(n *xmlconf.Node, out *[]int) {
	list := idList(n.Text)
	*out = append(*out, list...)
	clean := strings.Trim(n.Text, " ,0123456789\t\r\n")
	if clean != "" || len(list) == 0 {
		p.warn(n, 0, "WARN: Element '"+n.Name+"' is only used up to the first text that is no rule id.", "expected ids separated by commas")
	}
}

// leadingInt reads a number the way C does: blanks, sign, digits, anything.
func leadingInt(s string) int {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	neg := strings.HasPrefix(s, "-")
	if neg || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	v := 0
	for i := 0; i < len(s) && s[i] >= '0' && s[i] <= '9' && v < 1<<31/10; i++ {
		v = v*10 + int(s[i]-'0')
	}
	if neg {
		return -v
	}
	return v
}
