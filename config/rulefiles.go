package config

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vedette-hids/vedette/config/xmlconf"
)

// fileText is one entry of the list of rules or decoders: as written, and where.
type fileText struct {
	text string
	node *xmlconf.Node
	file bool // named one by one, not found in a directory
}

// defaultFiles are the decoder files read when the configuration names none.
var defaultFiles = []string{"etc/decoder.xml", "etc/local_decoder.xml"}

// rules reads one <rules>. Several sections add up; with <ossec_exact> each starts again at the first place of the lists, as in OSSEC.
func (p *parser) rules(sec *xmlconf.Node) {
	var rules, decoders []fileText
	var lists []string
	for _, e := range sec.Children {
		switch e.Name {
		case "include", "rule":
			rules = append(rules, fileText{e.Text, e, true})
		case "decoder":
			decoders = append(decoders, fileText{e.Text, e, true})
		case "rule_dir":
			rules = p.directory(e, rules, "rules_dir")
		case "decoder_dir":
			decoders = p.directory(e, decoders, "decoders_dir")
		case "list":
			lists = append(lists, rulesPath(e.Text))
		default:
			p.unknownIn(sec, e)
		}
	}
	if p.cfg.Global.OssecExact {
		p.ruleTexts = rules
		if len(decoders) > 0 {
			p.decTexts = decoders
		}
		if len(lists) > 0 {
			p.cfg.Rules.Lists = lists
		}
		return
	}
	p.ruleTexts = p.appendNew(p.ruleTexts, rules)
	p.decTexts = p.appendNew(p.decTexts, decoders)
	for _, l := range lists {
		if !slices.Contains(p.cfg.Rules.Lists, l) {
			p.cfg.Rules.Lists = append(p.cfg.Rules.Lists, l)
		}
	}
}

// appendNew adds entries, leaving out those that are there.
func (p *parser) appendNew(list, more []fileText) []fileText {
	for _, f := range more {
		if hasText(list, f.text) {
			p.warn(f.node, 0, "WARN: File '"+f.text+"' is named twice; the second is ignored.", "")
			continue
		}
		list = append(list, f)
	}
	return list
}

func hasText(list []fileText, text string) bool {
	return slices.ContainsFunc(list, func(f fileText) bool { return f.text == text })
}

// directory adds the members of a directory whose "<dir>/<name>" matches the pattern. A missing directory adds none.
func (p *parser) directory(e *xmlconf.Node, list []fileText, what string) []fileText {
	pat := ".xml$"
	for _, a := range e.Attrs {
		if !strings.EqualFold(a.Name, "pattern") {
			p.fail(e, 1243, "ERROR: Invalid attribute '"+a.Name+"' in the configuration: '"+p.path+"'.", "only pattern is known here")
			return list
		}
		pat = a.Value
	}
	re := p.dirPattern(e, pat, what)
	if re == nil || p.root == "" {
		return list
	}
	entries, err := os.ReadDir(filepath.Join(p.root, e.Text)) // sorted by name
	if err != nil {
		p.warn(e, 0, "WARN: Directory '"+e.Text+"' cannot be read: "+err.Error()+".", "")
		return list
	}
	for _, d := range entries {
		text := e.Text + "/" + d.Name()
		if d.IsDir() || !re.MatchString(text) || hasText(list, text) || hasText(list, d.Name()) {
			continue
		}
		list = append(list, fileText{text, e, false})
	}
	return list
}

// dirPattern compiles the pattern of a directory; what does not compile gives the two lines of OSSEC.
func (p *parser) dirPattern(e *xmlconf.Node, pat, what string) interface{ MatchString(string) bool } {
	n := len(p.problems)
	re := p.regex(e, pat)
	if re != nil {
		return re
	}
	hint := p.problems[n].Hint
	p.problems = p.problems[:n]
	p.fail(e, 1202, "ERROR: Configuration error at 'pattern in "+what+" does not compile'. Exiting.", hint)
	p.fail(e, 0, "ERROR: Regex would not compile", "pattern: "+pat)
	return nil
}

// rulesPath is the path below the root of a rules or list name: a name without a slash is in rules/.
func rulesPath(text string) string {
	if !strings.Contains(text, "/") {
		return "rules/" + text
	}
	return rootPath(text)
}

// rootPath is a path below the root.
func rootPath(text string) string {
	return strings.TrimPrefix(path.Clean("/"+text), "/")
}

// finishRules turns the texts into paths and checks that the files are there.
func (p *parser) finishRules() {
	p.who = Analysisd | Dbd
	r := &p.cfg.Rules
	for _, f := range p.ruleTexts {
		file := rulesPath(f.text)
		if f.text == "" {
			p.fail(f.node, 1220, "ERROR: Error loading the rules: ''.", "the element is empty")
			continue
		}
		if p.missing(file) {
			p.fail(f.node, 1226, "ERROR: Error reading XML file '"+file+"': XMLERR: File '"+file+"' not found. (line 0).", "")
			p.fail(f.node, 1220, "ERROR: Error loading the rules: '"+f.text+"'.", "create the file or remove the element")
			continue
		}
		r.Rules = append(r.Rules, file)
	}
	for _, f := range p.decTexts {
		file := rootPath(f.text)
		if p.missing(file) {
			p.fail(f.node, 1226, "ERROR: Error reading XML file '"+f.text+"': XMLERR: File '"+f.text+"' not found. (line 0).",
				"create the file or remove the element")
			continue
		}
		r.Decoders = append(r.Decoders, file)
	}
	if len(p.decTexts) == 0 {
		r.Decoders = slices.Clone(defaultFiles)
		r.DefaultDecoders = true
	}
}

func (p *parser) missing(file string) bool {
	if p.root == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(p.root, file))
	return err != nil
}
