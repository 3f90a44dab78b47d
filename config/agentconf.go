package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/vedette-hids/vedette/config/xmlconf"
	"github.com/vedette-hids/vedette/pattern"
)

// Files of an agent that the manager sends or that describe the agent, below the install root.
const (
	AgentConfFile = "etc/shared/agent.conf"
	AgentInfoFile = "queue/ossec/.agent_info"
)

// AgentIdentity is what the blocks of agent.conf select on.
type AgentIdentity struct {
	Name    string // "": not known yet, blocks with a name do not match
	Profile string // config-profile, "-" when none is configured; "": not known yet, only blocks with name or os can match
	OS      string // "<sysname> <nodename> <release> <version> <machine> - OSSEC HIDS <version>"
}

// ReadAgentInfo reads name and profile from queue/ossec/.agent_info: lines 1 and 4. What the file does not have stays
// empty.
func ReadAgentInfo(root, os string) (AgentIdentity, error) {
	who := AgentIdentity{OS: os}
	data, err := readFile(filepath.Join(root, AgentInfoFile), 1<<16)
	if err != nil {
		return who, err
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	who.Name = lines[0]
	if len(lines) > 3 {
		who.Profile = lines[3]
	}
	return who, nil
}

// AgentInfo is the text of .agent_info: name, dash, id, profile or dash.
func AgentInfo(name, id, profile string) []byte {
	if profile == "" {
		profile = "-"
	}
	return []byte(name + "\n-\n" + id + "\n" + profile + "\n")
}

// agentMode is the state of reading an agent.conf.
type agentMode struct {
	who            AgentIdentity
	matchAll       bool // do not select: the manager checks every block
	remoteCommands bool
}

// LoadAgentConf merges etc/shared/agent.conf into cfg, as syscheckd and logcollector of an agent do after ossec.conf: single values
// override, lists add up (spec configuration.md, section 4). Blocks that do not select this agent are not looked at. All problems are
// warnings: a bad file from the manager must not stop an agent. What could be read holds; a <localfile> with a fault is left out as a whole. A
// missing file is no problem. opts may be nil.
func LoadAgentConf(root string, who AgentIdentity, cfg *Config, opts *Options) Problems {
	path := filepath.Join(root, AgentConfFile)
	data, err := readFile(path, xmlconf.MaxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return Problems{{Pos: Position{File: AgentConfFile}, Text: "ERROR: " + err.Error(), Warning: true, Daemons: Syscheckd | Logcollector}}
	}
	return parseAgentConf(root, path, data, who, cfg, opts)
}

// parseAgentConf reads the text of an agent.conf.
func parseAgentConf(root, path string, data []byte, who AgentIdentity, cfg *Config, opts *Options) Problems {
	p := &parser{cfg: cfg, root: root, path: path, file: shown(root, path)}
	p.agent = &agentMode{who: who, remoteCommands: opts.Int("logcollector.remote_commands") == 1}
	doc, err := xmlconf.Read(path, data)
	if err != nil {
		p.problems = readProblems(root, path, err)
	} else {
		p.agentBlocks(doc)
	}
	for i := range p.problems {
		p.problems[i].Warning = true
	}
	return p.problems
}

// agentBlocks reads the blocks that match.
func (p *parser) agentBlocks(doc *xmlconf.Document) {
	for _, r := range doc.Roots {
		p.who = Syscheckd | Logcollector
		if r.Name != "agent_config" {
			p.add(r, Problem{Code: 1230, Text: "ERROR: Invalid element in the configuration: '" + r.Name + "'.", Hint: "expected <agent_config>",
				Root: true})
			return
		}
		if p.selected(r) {
			p.agentSections(r)
		}
	}
}

// agentSections reads syscheck, rootcheck and localfile; other known sections are allowed and have no effect.
func (p *parser) agentSections(r *xmlconf.Node) {
	for _, s := range r.Children {
		p.who = Syscheckd | Logcollector
		sec, ok := sections[s.Name]
		switch {
		case !ok:
			p.unknown(s, "no section of this name exists")
		case len(s.Children) == 0:
			p.unknown(s, "a section must contain an element; remove it if it is not needed")
		case s.Name == "syscheck" || s.Name == "rootcheck" || s.Name == "localfile":
			p.who = sec.who
			sec.read(p, s)
		}
	}
}

// selected reports whether the block is for this agent: every attribute must match, and a block without attributes is for every agent whose
// profile is known.
func (p *parser) selected(r *xmlconf.Node) bool {
	ok := true
	for _, a := range r.Attrs {
		switch a.Name {
		case "name":
			ok = p.selects(r, a.Value, p.agent.who.Name) && ok
		case "os":
			ok = p.selects(r, a.Value, p.agent.who.OS) && ok
		case "profile":
			ok = p.selects(r, a.Value, p.agent.who.Profile) && ok
		case "overwrite":
			// accepted, no effect
		default:
			p.warn(r, 1243, "ERROR: Invalid attribute '"+a.Name+"' in the configuration: '"+p.path+"'.", "name, os and profile are known")
		}
	}
	if len(r.Attrs) == 0 && p.agent.who.Profile == "" {
		ok = false
	}
	return ok || p.agent.matchAll
}

// selects matches one attribute. There is no negation: a "!" is an ordinary character.
func (p *parser) selects(r *xmlconf.Node, text, subject string) bool {
	if subject == "" {
		return false
	}
	if text == "" {
		return true
	}
	m, err := pattern.CompileMatch(text)
	if err != nil {
		p.patternProblem(r, text, err)
		return false
	}
	return m.MatchString(subject)
}

// CheckAgentConf checks an agent.conf the way a manager can: every block counts, commands are allowed. Problems of syscheck and rootcheck,
// which OSSEC does not look at here, are warnings.
func CheckAgentConf(path string) Problems {
	doc, err := xmlconf.ReadFile(path, path)
	if err != nil {
		return readProblems("", path, err).For(Logcollector)
	}
	p := &parser{cfg: newConfig(path), path: path, file: path}
	p.agent = &agentMode{matchAll: true, remoteCommands: true}
	p.agentBlocks(doc)
	for i := range p.problems {
		if p.problems[i].Daemons == Syscheckd {
			p.problems[i].Warning = true
		}
	}
	return p.problems
}
