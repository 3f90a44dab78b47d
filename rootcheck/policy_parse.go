package rootcheck

import (
	"fmt"
	"strings"

	"github.com/vedette-hids/vedette/pattern"
)

// policy is a parsed system_audit file.
type policy struct {
	vars    map[string]string // with "$", first definition
	entries []*policyEntry
}

// policyEntry is one header with its tests.
type policyEntry struct {
	line     int
	name     string
	ref      string
	all      bool // else any
	required bool
	broken   bool // has an error: it is not evaluated
	tests    []policyTest
}

// policyTest is one line "type:value;".
type policyTest struct {
	line    int
	kind    byte // f, d, p, r
	not     bool
	paths   string // file or directory list, or a variable; f and d
	name    nameTest
	pattern *linePattern // nil: none; p: what the process is tested for
}

// nameTest tells which files of a directory are meant.
type nameTest struct {
	re    *pattern.Regex
	match *pattern.Match
}

func (n *nameTest) matches(s string) bool {
	if n.re != nil {
		return n.re.MatchString(s)
	}
	return n.match != nil && n.match.MatchString(s)
}

// policyProblem is an error in a policy: OSSEC's code and text, and the line.
type policyProblem struct {
	line, code int
	text       string
}

const (
	codeBadName  = 1251
	codeBadValue = 1252
	codeBadVar   = 1254
)

// maxReference is the length in bytes to which a reference is cut.
const maxReference = 255

// policyParser reads a policy. Unlike OSSEC it goes on after an error with the next entry; the entry with the error is not evaluated, and
// when that entry was marked as required, nothing behind it either.
type policyParser struct {
	policy
	problems []policyProblem
	cur      *policyEntry
}

// parsePolicy reads the text of a policy.
func parsePolicy(text string) (*policy, []policyProblem) {
	p := &policyParser{policy: policy{vars: make(map[string]string)}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimLeft(strings.TrimSuffix(line, "\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		switch {
		case len(line) > maxLine:
			p.fail(number, codeBadValue, "Invalid rk configuration value: '%.40s...' (line longer than %d bytes)", line, maxLine)
		case line[0] == '[':
			p.header(number, line)
		case line[0] == '$' && p.cur == nil:
			p.variable(number, line)
		case p.cur == nil && strings.HasPrefix(strings.TrimPrefix(line, "!"), "["):
			p.fail(number, codeBadName, "Invalid rk configuration name: '%s'.", line)
		default:
			p.test(number, line)
		}
	}
	return &p.policy, p.problems
}

func (p *policyParser) fail(line, code int, format string, args ...any) {
	p.problems = append(p.problems, policyProblem{line, code, fmt.Sprintf(format, args...)})
	if p.cur != nil {
		p.cur.broken = true
	}
}

// variable reads "$name=value;".
func (p *policyParser) variable(line int, text string) {
	name, rest, ok := strings.Cut(text, "=")
	value, _, end := strings.Cut(rest, ";")
	if !ok || !end {
		p.fail(line, codeBadVar, "Invalid rk variable: '%s'.", text)
		return
	}
	if _, dup := p.vars[name]; !dup {
		p.vars[name] = value
	}
}

// header reads "[name] [condition] [reference]".
func (p *policyParser) header(line int, text string) {
	p.cur = &policyEntry{line: line}
	p.entries = append(p.entries, p.cur)
	name, rest, _ := strings.Cut(text[1:], "]")
	p.cur.name = name
	condition, ref, ok := headerGroups(rest)
	if ok {
		p.cur.all = strings.HasPrefix(condition, "all")
		p.cur.required = strings.HasSuffix(condition, " required")
		condition = strings.TrimSuffix(condition, " required")
	}
	if !ok || condition != "any" && condition != "all" {
		p.cur.required = strings.Contains(rest, "required")
		p.fail(line, codeBadName, "Invalid rk configuration name: '%s'.", name)
		return
	}
	p.cur.ref = cut(ref, maxReference)
}

// headerGroups reads " [condition] [reference]", which must end the line with a bracket; the reference ends at its first one.
func headerGroups(rest string) (condition, ref string, ok bool) {
	if !strings.HasSuffix(rest, "]") {
		return "", "", false
	}
	rest, ok = strings.CutPrefix(rest, " [")
	if !ok {
		return "", "", false
	}
	condition, rest, _ = strings.Cut(rest, "]")
	rest, ok = strings.CutPrefix(rest, " [")
	if !ok {
		return "", "", false
	}
	ref, _, ok = strings.Cut(rest, "]")
	return condition, ref, ok
}

// test reads "type:value;". A "!" before the type has no effect; before the value it negates.
func (p *policyParser) test(line int, text string) {
	kind, value, ok := strings.Cut(strings.TrimPrefix(text, "!"), ":")
	value, _, end := strings.Cut(value, ";")
	if !ok || !end || len(kind) != 1 || !strings.Contains("fdpr", kind) {
		p.fail(line, codeBadValue, "Invalid rk configuration value: '%s'.", text)
		return
	}
	if p.cur == nil {
		p.fail(line, codeBadName, "Invalid rk configuration name: '%s'.", text)
		return
	}
	t := policyTest{line: line, kind: kind[0]}
	value, t.not = strings.CutPrefix(value, "!")
	var err error
	switch t.kind {
	case 'f':
		err = t.file(value)
	case 'd':
		err = t.directory(value)
	case 'p':
		t.pattern, err = parseLinePattern(value)
	}
	if err != nil {
		// Like an unknown variable: this line is skipped, it is neither true nor false.
		p.problems = append(p.problems, policyProblem{line, codeBadVar, fmt.Sprintf("Invalid rk variable: '%s'. (%v)", value, err)})
		return
	}
	p.cur.tests = append(p.cur.tests, t)
}

const arrow = " -> "

func (t *policyTest) file(value string) (err error) {
	paths, rest, ok := strings.Cut(value, arrow)
	t.paths = paths
	if ok {
		t.pattern, err = parseLinePattern(rest)
	}
	return err
}

func (t *policyTest) directory(value string) (err error) {
	dirs, rest, ok := strings.Cut(value, arrow)
	if !ok {
		return fmt.Errorf("no file given")
	}
	t.paths = dirs
	name, rest, ok := strings.Cut(rest, arrow)
	if re, isRegex := strings.CutPrefix(name, "r:"); isRegex {
		t.name.re, err = pattern.CompileRegex(re)
	} else {
		t.name.match, err = pattern.CompileMatch(name)
	}
	if err == nil && ok {
		t.pattern, err = parseLinePattern(rest)
	}
	return err
}
