package forward

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/keys"
)

// LoadKey reads the key of an agent: that of the first usable line of etc/client.keys. Without one the problems say why, in the words of
// ossec-agentd (spec protocol.md, section 1); lines that cannot be used are problems too.
func LoadKey(root string) (*keys.Key, config.Problems) {
	store, err := keys.Open(filepath.Join(root, "etc", "client.keys"))
	var problems config.Problems
	add := func(line, code int, text, hint string) {
		problems = append(problems, config.Problem{Pos: config.Position{File: store.Path(), Line: line}, Code: code, Text: text, Hint: hint, Daemons: config.Agentd})
	}
	for _, p := range store.Problems() {
		if !p.Warning {
			add(p.Line, p.Code, p.Text, "expected: <id> <name> <ip> <key>")
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		add(0, keys.CodeNoFile, "ERROR: Authentication key file '"+store.Path()+"' not found.", "")
	case err != nil:
		add(0, 0, "ERROR: "+err.Error(), "")
	}
	if err == nil && store.First() != nil && len(problems) == 0 {
		return store.First(), nil
	}
	if store.First() == nil {
		add(0, keys.CodeNoKeys, "ERROR: File client.keys not found or empty.", "")
	}
	add(0, 4109, "ERROR: Unable to start without auth keys. Exiting.", "Import a key with manage_agents, or fetch one with agent-auth.")
	return nil, problems
}
