package addto

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/config/xmlconf"
)

// Env is the world of one run.
type Env struct {
	Root   string   // install root
	Args   []string // without the program's name
	Prog   string   // name in messages
	Stdout io.Writer
}

// Formats are the log formats that addfile takes; the first is the default.
var Formats = []string{"syslog", "snort-full", "snort-fast", "apache", "iis", "squid", "nmapg", "mysql_log", "postgresql_log",
	"mssql_log", "ossecalert", "djb-multilog", "multi-line", "audit", "json"}

// firstRule is the first id of rules for watched domains.
const firstRule = 150010

// Run is the tool; it returns the exit code, 1 when nothing was added.
func Run(env Env) int {
	t := &tool{Env: env}
	if len(env.Args) < 2 || len(env.Args) > 3 || (len(env.Args) == 3 && env.Args[0] != "addfile") {
		t.usage()
		return 1
	}
	if _, err := os.Stat(t.conf()); err != nil {
		t.say("OSSEC Manager not found. Exiting...")
		return 1
	}
	var err error
	switch env.Args[0] {
	case "addfile":
		format := Formats[0]
		if len(env.Args) == 3 {
			format = env.Args[2]
		}
		err = t.addFile(env.Args[1], format)
	case "adddns":
		err = t.addDomain(env.Args[1], dnsWatch)
	case "addsite":
		err = t.addDomain(env.Args[1], siteWatch)
	default:
		t.usage()
		return 1
	}
	if err != nil {
		t.say("%v", err)
		return 1
	}
	return 0
}

type tool struct{ Env }

func (t *tool) say(format string, args ...any) { fmt.Fprintf(t.Stdout, format+"\n", args...) }

// refusal is an error in the words of OSSEC's script.
func (t *tool) refusal(format string, args ...any) error {
	return errors.New(t.Prog + ": " + fmt.Sprintf(format, args...))
}

func (t *tool) conf() string { return filepath.Join(t.Root, "etc", "ossec.conf") }

func (t *tool) usage() {
	t.say("%s: [addfile <filename> [<format>] | addsite <domain> | adddns <domain>]", t.Prog)
	t.say("addfile watches a log file (default format syslog), adddns the DNS records of a domain, addsite the front page of a web site.")
}

func (t *tool) addFile(name, format string) error {
	if !slices.Contains(Formats, format) {
		return fmt.Errorf("%s: Unknown log format '%s': one of %s expected", t.Prog, format, strings.Join(Formats, ", "))
	}
	cfg, text, err := t.read()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(cfg.Localfiles, func(l config.Localfile) bool { return l.Location == name }) {
		return t.refusal("File %s already configured at ossec.", name)
	}
	if _, err := os.Stat(name); err != nil || !filepath.IsAbs(name) {
		return t.refusal("File %s does not exist.", name)
	}
	block := fmt.Sprintf("\n<ossec_config>\n  <localfile>\n    <log_format>%s</log_format>\n    <location>%s</location>\n  </localfile>\n</ossec_config>\n", format, name)
	err = t.append(text, block, func(l config.Localfile) bool { return l.Location == name })
	if err == nil {
		t.say("%s: File %s added.", t.Prog, name)
	}
	return err
}

// watch is a command whose changed output is an alert.
type watch struct{ alias, command, group, description string }

var (
	dnsWatch = watch{"dns of %s", "dig +short %[1]s A %[1]s AAAA %[1]s NS %[1]s MX | sort", "local,dns_change,",
		"The DNS records of %s changed."}
	siteWatch = watch{"site %s", "curl -sSL --max-time 30 --max-filesize 1000000 http://%s/ | head -c 6000", "local,site_change,",
		"The front page of %s changed."}
)

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

func (t *tool) addDomain(domain string, w watch) error {
	domain = strings.ToLower(domain)
	if len(domain) > 253 || !domainName.MatchString(domain) {
		return fmt.Errorf("%s: Invalid domain: %s", t.Prog, domain)
	}
	cfg, text, err := t.read()
	if err != nil {
		return err
	}
	alias := fmt.Sprintf(w.alias, domain)
	if slices.ContainsFunc(cfg.Localfiles, func(l config.Localfile) bool { return l.Alias == alias }) {
		return fmt.Errorf("%s: Already configured for %s", t.Prog, domain)
	}
	// The rule first: a command without a rule is silent, a rule without its command harmless.
	if err := t.addRule(alias, w, domain); err != nil {
		return err
	}
	block := fmt.Sprintf("\n<ossec_config>\n  <localfile>\n    <log_format>full_command</log_format>\n    <command>%s</command>\n    <alias>%s</alias>\n"+
		"    <frequency>3600</frequency>\n  </localfile>\n</ossec_config>\n", fmt.Sprintf(w.command, domain), alias)
	if err := t.append(text, block, func(l config.Localfile) bool { return l.Alias == alias }); err != nil {
		return err
	}
	t.say("Domain %s added to be monitored.", domain)
	return nil
}

// addRule writes the rule of a watch to rules/local_rules.xml. An agent has no rules: its manager needs the rule.
func (t *tool) addRule(alias string, w watch, domain string) error {
	path := filepath.Join(t.Root, "rules", "local_rules.xml")
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		if _, err := os.Stat(filepath.Dir(path)); err == nil {
			return fmt.Errorf("%s: %s does not exist; create it and name it in <rules>", t.Prog, path)
		}
		t.say("%s: no rules here. The manager needs a rule with <if_sid>530</if_sid>, <match>^ossec: output: '%s':</match> and <check_diff/>.", t.Prog, alias)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.Prog, err)
	}
	match := "^ossec: output: '" + alias + "':"
	doc, err := xmlconf.Read(path, data)
	if err != nil {
		return fmt.Errorf("%s: %w", t.Prog, err)
	}
	used := map[int]bool{}
	for _, n := range doc.All() {
		if n.Name == "match" && n.Text == match {
			return nil
		}
		if v, ok := n.Attr("id"); ok && n.Name == "rule" {
			id, _ := strconv.Atoi(v)
			used[id] = true
		}
	}
	id := firstRule
	for used[id] {
		id++
	}
	block := fmt.Sprintf("\n<group name=\"%s\">\n  <rule id=\"%d\" level=\"7\">\n    <if_sid>530</if_sid>\n    <match>%s</match>\n    <check_diff />\n"+
		"    <description>%s</description>\n  </rule>\n</group>\n", w.group, id, match, fmt.Sprintf(w.description, domain))
	return replace(path, append(data, block...))
}

// read gives the configuration and its text. A file that does not read is not touched.
func (t *tool) read() (*config.Config, []byte, error) {
	text, err := os.ReadFile(t.conf())
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", t.Prog, err)
	}
	cfg, problems := config.Parse("", t.conf(), text)
	if err := problems.Err(); err != nil {
		return nil, nil, fmt.Errorf("%s: nothing added, the configuration has errors:\n%w", t.Prog, err)
	}
	return cfg, text, nil
}

// append adds a block to ossec.conf if it then reads well and has the new entry.
func (t *tool) append(text []byte, block string, has func(config.Localfile) bool) error {
	text = append(slices.Clip(text), block...)
	cfg, problems := config.Parse("", t.conf(), text)
	if problems.Err() != nil || !slices.ContainsFunc(cfg.Localfiles, has) {
		return fmt.Errorf("%s: the name cannot stand in ossec.conf; nothing added", t.Prog)
	}
	return replace(t.conf(), text)
}
