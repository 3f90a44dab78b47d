package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-hids/vedette/config/xmlconf"
)

// Load reads the ossec.conf at path for the install root; a relative path is relative to the root. The Config is never nil and holds
// everything that could be read; it must not be used when the problems of its programs have an Err. Files and patterns that the configuration
// names are looked at below root (rules directories, agentless scripts) and on the host (globs of <directories>). Nothing is looked up on the
// network: see CheckNames.
func Load(root, path string) (*Config, Problems) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	doc, err := xmlconf.ReadFile(path, path)
	if err != nil {
		return newConfig(path), readProblems(root, path, err)
	}
	return parseDocument(root, path, doc)
}

// Parse reads an ossec.conf from memory; name is what messages call it. With an empty root nothing outside of data is looked at.
func Parse(root, name string, data []byte) (*Config, Problems) {
	doc, err := xmlconf.Read(name, data)
	if err != nil {
		return newConfig(name), readProblems(root, name, err)
	}
	return parseDocument(root, name, doc)
}

func newConfig(file string) *Config {
	return &Config{
		File: file,
		Global: Global{Stats: 4, MemorySize: 8192, EmailMaxPerHour: 12, SMTPTLSVerify: true,
			HeloServer: "notify.ossec.net"},
		Alerts: Alerts{LogLevel: 1, EmailLevel: 7},
		AR:     ResponseExecutor{OffenderUnit: time.Minute, MaxBlocks: 1024, IPv6Prefix: 128, HostsDeny: "/etc/hosts.deny"},
	}
}

// readProblems describes a file that is no XML of OSSEC's kind, or cannot be opened.
func readProblems(root, file string, err error) Problems {
	var xe *xmlconf.Error
	if !errors.As(err, &xe) {
		return Problems{{Pos: Position{File: shown(root, file)}, Text: "ERROR: " + err.Error()}}
	}
	p := Problem{Pos: Position{File: shown(root, file), Line: xe.Line}, Code: xe.Code(), Text: xe.Message(), Daemons: AllPrograms}
	if xe.Opened > 0 && xe.Opened != xe.Line {
		p.Hint = fmt.Sprintf("It was opened on line %d.", xe.Opened)
	}
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return Problems{p}
	}
	p.Hint = "Cause: " + pe.Err.Error() + "."
	p.Daemons &^= Syscheckd
	q := p
	q.Daemons, q.Code, q.Text = Syscheckd, 1239, "ERROR: Configuration file not found: '"+file+"'."
	return Problems{p, q}
}

// section is one section of ossec.conf: who interprets it, and how it is read.
type section struct {
	who  Daemon
	read func(*parser, *xmlconf.Node)
}

var sections = map[string]section{
	"global":          {Analysisd | Maild, (*parser).global},
	"alerts":          {Analysisd, (*parser).alerts},
	"email_alerts":    {Maild, (*parser).emailAlerts},
	"rules":           {Analysisd | Dbd, (*parser).rules},
	"syscheck":        {Syscheckd, (*parser).syscheck},
	"rootcheck":       {Syscheckd, (*parser).rootcheck},
	"localfile":       {Logcollector, (*parser).localfile},
	"command":         {Analysisd, (*parser).command},
	"active-response": {Analysisd, (*parser).activeResponse},
	"remote":          {Remoted, (*parser).remote},
	"auth":            {Authd, (*parser).auth},
	"client":          {Agentd, (*parser).client},
	"syslog_output":   {Csyslogd, (*parser).syslogOutput},
	"database_output": {Dbd, (*parser).database},
	"reports":         {Monitord, (*parser).report},
	"agentless":       {Agentlessd, (*parser).agentless},
}

func parseDocument(root, name string, doc *xmlconf.Document) (*Config, Problems) {
	p := &parser{cfg: newConfig(name), root: root, path: name, file: shown(root, name)}
	p.cfg.Global.OssecExact = wantsExact(doc)
	for _, r := range doc.Roots {
		if r.Name != "ossec_config" {
			p.who = exceptExecd
			p.unknown(r, "expected <ossec_config>")
			continue
		}
		p.sections(r)
	}
	p.finish()
	return p.cfg, p.problems
}

// wantsExact finds <ossec_exact> ahead of the sections that depend on it.
func wantsExact(doc *xmlconf.Document) bool {
	exact := false
	for _, n := range doc.All() {
		if n.Name == "ossec_exact" {
			exact = n.Text == "yes"
		}
	}
	return exact
}

// sections reads all sections of one root element.
func (p *parser) sections(r *xmlconf.Node) {
	for _, s := range r.Children {
		sec, ok := sections[s.Name]
		switch {
		case !ok:
			p.who = exceptExecd
			p.unknown(s, "no section of this name exists")
		case len(s.Children) == 0:
			p.who = exceptExecd
			p.unknown(s, "a section must contain an element; remove it if it is not needed")
		default:
			p.who = sec.who
			sec.read(p, s)
		}
	}
}

// finish does what needs the whole file.
func (p *parser) finish() {
	p.finishRules()
	p.finishRemotes()
	p.finishClient()
	p.finishGlobal()
}

// readFile reads a small file below the root, refusing more than max bytes.
func readFile(path string, max int64) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > max {
		return nil, fmt.Errorf("%s: %d bytes, more than %d", path, st.Size(), max)
	}
	return os.ReadFile(path)
}
