package unittest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Case is one test: lines that go through one State in order.
type Case struct {
	Name  string `yaml:"name"`
	File  string `yaml:"-"`
	Line  int    `yaml:"-"` // in File
	Steps []Step `yaml:"steps"`
}

// Step is one log line and what is expected of it. Empty expectations are not checked.
type Step struct {
	Log      string            `yaml:"log"`
	Location string            `yaml:"location"` // default "stdin"; "(name) ip->path" for an agent's
	After    time.Duration     `yaml:"after"`    // time since the step before
	Rule     string            `yaml:"rule"`     // rule id, or "none"
	Level    *int              `yaml:"level"`
	Decoder  string            `yaml:"decoder"` // or "none"
	Alert    *bool             `yaml:"alert"`   // an alert is written
	Group    string            `yaml:"group"`   // must be part of the group text
	Fields   map[string]string `yaml:"fields"`
	Fail     bool              `yaml:"fail"` // the expectations must not all hold
}

// maxCases bounds a file.
const maxCases = 100000

// ParseYAML reads the YAML form. name is used in messages. The error names the line.
func ParseYAML(name string, data []byte) ([]Case, error) {
	var doc []yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(doc) > maxCases {
		return nil, fmt.Errorf("%s: more than %d tests", name, maxCases)
	}
	var out []Case
	for i := range doc {
		if err := knownKeys(&doc[i]); err != nil {
			return nil, fmt.Errorf("%s:%w", name, err)
		}
		c := Case{File: name, Line: doc[i].Line}
		if err := doc[i].Decode(&c); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, doc[i].Line, err)
		}
		if len(c.Steps) == 0 {
			return nil, fmt.Errorf("%s:%d: test %q has no steps", name, c.Line, c.Name)
		}
		for j := range c.Steps {
			if err := c.Steps[j].check(); err != nil {
				return nil, fmt.Errorf("%s:%d: test %q, step %d: %w", name, c.Line, c.Name, j+1, err)
			}
		}
		out = append(out, c)
	}
	return out, nil
}

var (
	caseKeys = map[string]bool{"name": true, "steps": true}
	stepKeys = map[string]bool{"log": true, "location": true, "after": true, "rule": true, "level": true, "decoder": true, "alert": true,
		"group": true, "fields": true, "fail": true}
)

// knownKeys refuses misspelt keys, which would silently check nothing.
func knownKeys(n *yaml.Node) error {
	return eachKey(n, caseKeys, func(key string, v *yaml.Node) error {
		if key != "steps" {
			return nil
		}
		for _, s := range v.Content {
			if err := eachKey(s, stepKeys, func(string, *yaml.Node) error { return nil }); err != nil {
				return err
			}
		}
		return nil
	})
}

func eachKey(n *yaml.Node, known map[string]bool, f func(key string, v *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%d: a mapping is expected", n.Line)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if !known[k.Value] {
			return fmt.Errorf("%d: unknown key %q", k.Line, k.Value)
		}
		if err := f(k.Value, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// none is the word for "nothing matches".
const none = "none"

func (s *Step) check() error {
	if s.Rule != "" && s.Rule != none {
		if n, err := strconv.Atoi(s.Rule); err != nil || n < 0 {
			return fmt.Errorf("rule %q is neither an id nor %q", s.Rule, none)
		}
	}
	if s.After < 0 {
		return fmt.Errorf("after %s: time goes forward", s.After)
	}
	return nil
}

// ParseINI reads the INI form. name is used in messages. The error names the line.
func ParseINI(name string, data []byte) ([]Case, error) {
	p := iniParser{name: name}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		if err := p.line(strings.TrimRight(line, "\r\n"), n); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return p.out, nil
}

// iniParser collects one section at a time, since its expectations may stand after its logs.
type iniParser struct {
	name  string
	out   []Case
	title string
	logs  []Case
	want  Step
}

func (p *iniParser) line(line string, n int) error {
	text := strings.TrimSpace(line)
	switch {
	case text == "" || text[0] == '#' || text[0] == ';':
		return nil
	case text[0] == '[':
		if err := p.finish(); err != nil {
			return err
		}
		p.title = strings.Trim(text, "[]")
		return nil
	}
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		return fmt.Errorf("%q: a section or key = value is expected", text)
	}
	value = strings.TrimPrefix(value, " ")
	switch words := strings.Fields(strings.ToLower(key)); {
	case len(words) == 3 && words[0] == "log" && (words[2] == "pass" || words[2] == "fail"):
		c := Case{Name: p.title + ": log " + words[1], File: p.name, Line: n, Steps: []Step{{Log: value, Fail: words[2] == "fail"}}}
		p.logs = append(p.logs, c)
	case len(words) == 1 && words[0] == "rule":
		p.want.Rule = strings.TrimSpace(value)
	case len(words) == 1 && words[0] == "decoder":
		p.want.Decoder = strings.TrimSpace(value)
	case len(words) == 1 && words[0] == "alert":
		level, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil {
			return fmt.Errorf("alert %q is not a level", value)
		}
		p.want.Level = &level
	default:
		return fmt.Errorf("unknown key %q", strings.TrimSpace(key))
	}
	return nil
}

// finish gives the logs of a section its expectations.
func (p *iniParser) finish() error {
	if err := p.want.check(); err != nil {
		return fmt.Errorf("%s: section [%s]: %w", p.name, p.title, err)
	}
	for _, c := range p.logs {
		s := &c.Steps[0]
		s.Rule, s.Level, s.Decoder = p.want.Rule, p.want.Level, p.want.Decoder
		p.out = append(p.out, c)
	}
	p.logs, p.want = nil, Step{}
	return nil
}
