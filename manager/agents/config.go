package agents

import (
	"crypto/md5" //nolint:gosec // the sum of the protocol
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/beevik/etree"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/agentwire"
)

// Config is the central configuration of one agent: which blocks of agent.conf it interprets, and whether it has the present file.
type Config struct {
	Agent    Agent    `json:"agent"`
	Profile  string   `json:"profile,omitempty"` // as asked for, or as an agent of Vedette says
	Blocks   []Block  `json:"blocks"`
	Problems []string `json:"problems,omitempty"` // of agent.conf

	File    string `json:"file"`               // agent.conf of the manager
	Present string `json:"md5,omitempty"`      // its MD5, "" = there is none
	Held    string `json:"held_md5,omitempty"` // MD5 of the agent's, as its last keepalive said; "" = unknown or none
	InSync  bool   `json:"in_sync"`            // both are the same, and the agent runs with it where it says so

	NeedRestart bool `json:"needs_restart,omitempty"` // the agent has the file, but says that it runs with another

	Bundle      string   `json:"bundle"`                 // merged.mg, which carries agent.conf and all other shared files
	BundleStale []string `json:"bundle_stale,omitempty"` // shared files that merged.mg does not have as they are now; it is made anew while the manager runs
}

// Block is one <agent_config> block.
type Block struct {
	Line        int    `json:"line"`
	Name        string `json:"name,omitempty"`
	OS          string `json:"os,omitempty"`
	Profile     string `json:"profile,omitempty"`
	Selected    bool   `json:"selected"`
	NeedProfile bool   `json:"need_profile,omitempty"` // it depends on a profile that was not given
	Text        string `json:"text,omitempty"`         // the block, for selected ones
}

// ConfigOf tells the configuration of an agent. profile is the agent's <config-profile>; "" = not known.
func ConfigOf(root string, a *Agent, profile string) (*Config, error) {
	told := a.Vedette && profile == ""
	if told {
		profile = a.Profile
	}
	c := &Config{Agent: *a, Profile: profile, File: filepath.Join(root, config.AgentConfFile), Bundle: filepath.Join(root, "etc", "shared", agentwire.MergedName)}
	who := config.AgentIdentity{Name: a.Name, Profile: profile, OS: a.OS}
	if profile == "" {
		who.Profile = "-"
	}
	if a.Version != "" {
		version, _, _ := strings.Cut(a.Version, " / ")
		who.OS += " - " + version
	}
	c.Blocks = []Block{} // not null in JSON
	blocks, problems := config.AgentBlocks(root, who)
	for _, p := range problems {
		c.Problems = append(c.Problems, p.Error())
	}
	for _, b := range blocks {
		shown := Block{Line: b.Pos.Line, Name: b.Name, OS: b.OS, Profile: b.Profile, Selected: b.Selected}
		shown.NeedProfile = !b.Selected && b.Profile != "" && profile == "" && !told
		if b.Selected {
			var err error
			if shown.Text, err = xmlText(b.Node.Etree()); err != nil {
				return nil, err
			}
		}
		c.Blocks = append(c.Blocks, shown)
	}
	if err := c.sums(root, a); err != nil {
		return nil, err
	}
	return c, nil
}

func xmlText(e *etree.Element) (string, error) {
	doc := etree.NewDocument()
	doc.SetRoot(e)
	doc.Indent(2)
	return doc.WriteToString()
}

// sums compares what the manager has with what the agent said it holds.
func (c *Config) sums(root string, a *Agent) error {
	data, err := os.ReadFile(c.File)
	switch {
	case err == nil:
		c.Present = sumOf(data)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, held, ok := strings.Cut(a.Version, " / "); ok && len(held) == 32 {
		c.Held = held
	}
	c.InSync = a.LastSeen != nil && c.Held == c.Present
	if c.InSync && a.Vedette && a.running != c.Present {
		c.InSync, c.NeedRestart = false, true
	}
	c.BundleStale, err = staleInBundle(filepath.Join(root, "etc", "shared"))
	return err
}

func sumOf(data []byte) string {
	sum := md5.Sum(data) //nolint:gosec // the sum of the protocol
	return hex.EncodeToString(sum[:])
}

// maxShared bounds what is read, as the manager does.
const maxShared = 64 << 20

// staleInBundle lists the shared files that merged.mg does not hold as they are, and those that it holds although they are gone.
func staleInBundle(dir string) ([]string, error) {
	bundle, err := os.ReadFile(filepath.Join(dir, agentwire.MergedName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	held := map[string]string{}
	if err := agentwire.ReadMerged(bundle, func(name string, content []byte) { held[name] = sumOf(content) }); err != nil {
		held = map[string]string{}
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var stale []string
	for _, e := range entries {
		name := e.Name()
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !st.Mode().IsRegular() || !agentwire.SafeName(name) || st.Size() > maxShared {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if held[name] != sumOf(data) {
			stale = append(stale, name)
		}
		delete(held, name)
	}
	for name := range held {
		stale = append(stale, name+" (gone)")
	}
	return stale, nil
}
