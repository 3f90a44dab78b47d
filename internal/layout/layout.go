// Package layout lays out an install root: directories with OSSEC's modes, programs with the names of OSSEC's tools, default
// configuration (spec operations.md, section 2). Running it on an existing root is an upgrade: what the operator may have edited is kept.
package layout

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/version"
)

// Role is the kind of install.
type Role string

// The kinds of install.
const (
	Manager Role = "manager"
	Agent   Role = "agent"
	Local   Role = "local"
)

// ParseRole accepts the names of roles, and OSSEC's "server".
func ParseRole(s string) (Role, error) {
	switch s {
	case "manager", "server":
		return Manager, nil
	case "agent":
		return Agent, nil
	case "local":
		return Local, nil
	}
	return "", fmt.Errorf("unknown role %q: manager, agent or local expected", s)
}

// Options say what to install where.
type Options struct {
	Root   string
	Role   Role
	BinDir string // directory with the built programs
	Etc    fs.FS  // embedded default files (package etc)
	Now    time.Time
}

type dir struct {
	path string
	mode os.FileMode
	both bool // on agents too
	own  string
}

// directories in creation order. Owner is root unless named; the group is always ossec.
var directories = []dir{
	{"", 0o550, true, ""}, {"active-response", 0o550, true, ""}, {"active-response/bin", 0o550, true, ""}, {"agentless", 0o550, true, ""},
	{"backup", 0o550, true, ""}, {"backup/agents", 0o750, true, "ossec"}, {"bin", 0o550, true, ""}, {"etc", 0o550, true, ""},
	{"etc/shared", 0o770, true, ""}, {"logs", 0o750, true, "ossec"}, {"logs/alerts", 0o750, false, "ossec"},
	{"logs/archives", 0o750, false, "ossec"}, {"logs/firewall", 0o750, false, "ossec"}, {"queue", 0o550, true, ""},
	{"queue/alerts", 0o770, true, "ossec"}, {"queue/ossec", 0o750, true, "ossec"}, {"queue/syscheck", 0o750, true, "ossec"},
	{"queue/diff", 0o750, true, "ossec"}, {"queue/fts", 0o750, false, "ossec"}, {"queue/rootcheck", 0o750, false, "ossec"},
	{"queue/agentless", 0o750, false, "ossec"}, {"queue/agent-info", 0o750, false, "ossecr"}, {"queue/rids", 0o750, true, "ossec"},
	{"queue/spool", 0o750, true, "ossec"}, {"rules", 0o550, false, ""}, {"stats", 0o750, false, "ossec"}, {"tmp", 0o1550, true, ""},
	{"var", 0o550, true, ""}, {"var/run", 0o770, true, ""},
}

// ToolLinks are the names under which bin/vedette behaves as an OSSEC tool; agent tells whether an agent install has it.
var ToolLinks = []struct {
	Name          string
	Agent, Server bool
}{
	{"manage_agents", true, true}, {"ossec-control", true, true}, {"agent-auth", true, false}, {"agent_control", false, true},
	{"list_agents", false, true}, {"clear_stats", false, true}, {"ossec-logtest", false, true}, {"ossec-makelists", false, true},
	{"ossec-regex", false, true}, {"ossec-reportd", false, true}, {"ossec-authd", false, true}, {"rootcheck_control", false, true},
	{"syscheck_control", false, true}, {"syscheck_update", false, true}, {"verify-agent-conf", false, true}, {"util.sh", true, true},
	{"ossec-analysisd", false, true}, {"ossec-remoted", false, true}, {"ossec-maild", false, true}, {"ossec-csyslogd", false, true},
	{"ossec-dbd", false, true}, {"ossec-monitord", false, true}, {"ossec-agentlessd", false, true}, {"ossec-agentd", true, false},
	{"ossec-execd", true, true}, {"ossec-logcollector", true, true}, {"ossec-syscheckd", true, true},
}

// ResponderLinks are the compiled-in active responses.
var ResponderLinks = []string{"host-deny.sh", "firewall-drop.sh", "nftables-drop.sh", "route-null.sh", "disable-account.sh",
	"restart-ossec.sh", "firewalld-drop.sh", "ossec-slack.sh", "ip-customblock.sh"}

// Install creates or upgrades the root.
func Install(o Options) error {
	if o.Root == "" {
		return errors.New("install: no root directory given")
	}
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	in := installer{Options: o, root: root, super: os.Geteuid() == 0, gid: lookup("ossec")}
	for _, step := range []func() error{in.directories, in.programs, in.links, in.config, in.initFile} {
		if err := step(); err != nil {
			return fmt.Errorf("installing into %s: %w", root, err)
		}
	}
	return nil
}

type installer struct {
	Options
	root  string
	super bool
	gid   int // group ossec, -1 when there is none
}

func lookup(group string) int {
	g, err := user.LookupGroup(group)
	if err != nil {
		return -1
	}
	id, err := strconv.Atoi(g.Gid)
	if err != nil {
		return -1
	}
	return id
}

func (in *installer) path(p string) string { return filepath.Join(in.root, filepath.FromSlash(p)) }

// own gives a file to the accounts of the specification where they exist; without them everything stays the installing user's.
func (in *installer) own(path, owner string) error {
	if !in.super || in.gid < 0 {
		return nil
	}
	uid := 0
	if owner != "" {
		u, err := user.Lookup(owner)
		if err != nil {
			return nil
		}
		if uid, err = strconv.Atoi(u.Uid); err != nil {
			return err
		}
	}
	return os.Lchown(path, uid, in.gid)
}

func (in *installer) directories() error {
	if err := os.MkdirAll(in.root, 0o750); err != nil {
		return err
	}
	for _, d := range directories {
		if in.Role == Agent && !d.both {
			continue
		}
		p := in.path(d.path)
		if err := os.Mkdir(p, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		mode := d.mode
		if !in.super {
			mode |= 0o700 // a user without root must be able to change what root always can
		}
		if mode&0o1000 != 0 {
			mode = mode&^0o1000 | os.ModeSticky
		}
		if err := os.Chmod(p, mode); err != nil {
			return err
		}
		if err := in.own(p, d.own); err != nil {
			return err
		}
	}
	return nil
}

func (in *installer) programs() error {
	names := []string{"vedette", "vedette-manager"}
	if in.Role == Agent {
		names[1] = "vedette-agent"
	}
	for _, n := range names {
		if err := in.copyProgram(filepath.Join(in.BinDir, n), in.path("bin/"+n)); err != nil {
			return err
		}
	}
	return nil
}

// copyProgram replaces by rename: the old program may be running.
func (in *installer) copyProgram(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	tmp := to + ".new"
	dst, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o750)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err = errors.Join(err, dst.Close()); err != nil {
		os.Remove(tmp)
		return err
	}
	mode := os.FileMode(0o550)
	if !in.super {
		mode = 0o750
	}
	if err := os.Chmod(tmp, mode); err != nil {
		return err
	}
	return os.Rename(tmp, to)
}

func (in *installer) links() error {
	for _, l := range ToolLinks {
		if (in.Role == Agent && l.Agent) || (in.Role != Agent && l.Server) {
			if err := replaceLink("vedette", in.path("bin/"+l.Name)); err != nil {
				return err
			}
		}
	}
	for _, n := range ResponderLinks {
		to := in.path("active-response/bin/" + n)
		if st, err := os.Lstat(to); err == nil && st.Mode().IsRegular() {
			continue // the operator's own script
		}
		if err := replaceLink("../../bin/vedette", to); err != nil {
			return err
		}
	}
	return nil
}

func replaceLink(target, link string) error {
	if old, err := os.Readlink(link); err == nil && old == target {
		return nil
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, link)
}

// kept are files that belong to the operator once they exist.
func kept(p string) bool {
	switch p {
	case "etc/ossec.conf", "etc/local_internal_options.conf", "etc/local_decoder.xml", "rules/local_rules.xml", "etc/shared/agent.conf", "etc/client.keys":
		return true
	}
	return false
}

// source maps a path of the embedded defaults to its place in the root; "" = not part of this role.
func (in *installer) source(p string) string {
	p = strings.TrimPrefix(p, "etc/")
	switch {
	case p == "ossec-server.conf" && in.Role == Manager, p == "ossec-agent.conf" && in.Role == Agent,
		p == "ossec-local.conf" && in.Role == Local:
		return "etc/ossec.conf"
	case p == "internal_options.conf", p == "local_internal_options.conf":
		return "etc/" + p
	case p == "decoder.xml" && in.Role != Agent:
		return "etc/decoder.xml"
	case strings.HasPrefix(p, "rules/") && in.Role != Agent:
		return p
	case strings.HasPrefix(p, "shared/"):
		return "etc/" + p
	}
	return ""
}

func (in *installer) config() error {
	err := fs.WalkDir(in.Etc, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		to := in.source(p)
		if to == "" {
			return nil
		}
		data, err := fs.ReadFile(in.Etc, p)
		if err != nil {
			return err
		}
		return in.put(to, strings.ReplaceAll(string(data), "/var/ossec/", in.root+"/"))
	})
	if err != nil {
		return err
	}
	for _, p := range []string{"etc/client.keys", "logs/ossec.log", "logs/active-responses.log"} {
		if err := in.touch(p); err != nil {
			return err
		}
	}
	return nil
}

func (in *installer) put(to, text string) error {
	dst := in.path(to)
	if _, err := os.Stat(dst); err == nil && kept(to) {
		return nil
	}
	if err := os.MkdirAll(in.path(path.Dir(to)), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(dst, []byte(text), 0o640); err != nil {
		return err
	}
	owner := ""
	if strings.HasPrefix(to, "etc/shared/") {
		owner = "ossec"
	}
	return in.own(dst, owner)
}

func (in *installer) touch(p string) error {
	f, err := os.OpenFile(in.path(p), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	owner := ""
	if strings.HasPrefix(p, "logs/") {
		owner = "ossec"
		if err := os.Chmod(in.path(p), 0o660); err != nil {
			return err
		}
	}
	return in.own(in.path(p), owner)
}

// initFile writes etc/ossec-init.conf in the form that scripts source (spec operations.md, section 4).
func (in *installer) initFile() error {
	typ := map[Role]string{Manager: "server", Agent: "agent", Local: "local"}[in.Role]
	text := fmt.Sprintf("DIRECTORY=%q\nVERSION=%q\nDATE=%q\nTYPE=%q\n", in.root, version.Compat, in.Now.Format(time.UnixDate), typ)
	return in.put("etc/ossec-init.conf", text)
}
