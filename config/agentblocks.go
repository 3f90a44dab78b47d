package config

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/vedette-hids/vedette/config/xmlconf"
)

// AgentBlock is one <agent_config> of agent.conf.
type AgentBlock struct {
	Pos               Position
	Name, OS, Profile string // what it selects on, "" = nothing
	Selected          bool
	*xmlconf.Node     // the block
}

// AgentBlocks lists the blocks of etc/shared/agent.conf and tells which ones an agent interprets. A missing file has no blocks.
func AgentBlocks(root string, who AgentIdentity) ([]AgentBlock, Problems) {
	path := filepath.Join(root, AgentConfFile)
	p := &parser{cfg: newConfig(path), root: root, path: path, file: shown(root, path), agent: &agentMode{who: who}}
	p.who = Syscheckd | Logcollector
	doc, err := xmlconf.ReadFile(path, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, readProblems(root, path, err)
	}
	var out []AgentBlock
	for _, r := range doc.Roots {
		if r.Name != "agent_config" {
			break // nothing behind it is looked at
		}
		b := AgentBlock{Pos: Position{File: p.file, Line: r.Line}, Selected: p.selected(r), Node: r}
		b.Name, _ = r.Attr("name")
		b.OS, _ = r.Attr("os")
		b.Profile, _ = r.Attr("profile")
		out = append(out, b)
	}
	return out, p.problems
}
