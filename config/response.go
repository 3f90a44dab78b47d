package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/config/xmlconf"
)

// command reads one <command>.
func (p *parser) command(sec *xmlconf.Node) {
	c := &Command{Pos: p.pos(sec)}
	hasExpect := false
	before := len(p.problems)
	for _, e := range sec.Children {
		switch e.Name {
		case "name":
			c.Name = p.word(e, "")
		case "executable":
			c.Executable = p.word(e, "/\\")
		case "expect":
			hasExpect = true
			p.expect(e, c)
		case "timeout_allowed":
			p.yesNo(e, &c.TimeoutAllowed)
		default:
			p.unknownIn(sec, e)
		}
	}
	if p.problems[before:].Err() != nil {
		return
	}
	if c.Name == "" || c.Executable == "" || !hasExpect {
		p.fail(sec, 1280, "ERROR: Missing command options. You must specify a 'name', 'executable' and 'expect'.", "")
		return
	}
	if p.commands == nil {
		p.commands = map[string]*Command{}
	}
	if p.commands[c.Name] != nil {
		p.warn(sec, 0, "WARN: Command '"+c.Name+"' is defined twice; the first definition is used.", "")
		return
	}
	p.commands[c.Name] = c
	p.cfg.Commands = append(p.cfg.Commands, *c)
}

// word takes a name that ends up in ar.conf and in messages split at blanks; the bytes of refused are not allowed either.
func (p *parser) word(e *xmlconf.Node, refused string) string {
	if strings.ContainsAny(e.Text, " \t\r\n"+refused) || e.Text == ".." || e.Text == "." {
		hint := "blanks are not allowed here"
		if refused != "" {
			hint = "expected the name of a file in active-response/bin, without blanks or directories"
		}
		p.bad(e, hint)
		return ""
	}
	return e.Text
}

func (p *parser) expect(e *xmlconf.Node, c *Command) {
	c.ExpectUser, c.ExpectSrcIP, c.ExpectFilename = false, false, false
	for _, w := range strings.FieldsFunc(e.Text, func(r rune) bool { return strings.ContainsRune(", \t\r\n\v\f", r) }) {
		switch strings.ToLower(w) {
		case "user", "username":
			c.ExpectUser = true
		case "srcip":
			c.ExpectSrcIP = true
		case "filename":
			c.ExpectFilename = true
		default:
			p.warn(e, 0, "WARN: Unknown word '"+w+"' in element 'expect' is ignored.", "expected user, srcip or filename")
		}
	}
}

// responseBlock is what one <active-response> says.
type responseBlock struct {
	ActiveResponse
	node                      *xmlconf.Node
	commandName, location     string
	hasCommand, hasLocation   bool
	disabled, hasDisabled     bool
	executorOnly              bool // holds an element for the executor: command and location may be missing
	timeoutNode, locationNode *xmlconf.Node
}

// activeResponse reads one <active-response>: manager's and executor's part.
func (p *parser) activeResponse(sec *xmlconf.Node) {
	b := responseBlock{node: sec}
	b.Pos = p.pos(sec)
	before := len(p.problems)
	for _, e := range sec.Children {
		if !p.responseElement(&b, e) && !p.executorElement(&b, e) {
			p.unknownIn(sec, e)
		}
	}
	if b.hasDisabled && !b.hasCommand && !p.arDisabled {
		p.arDisabled = true
		p.cfg.AR.Disabled = b.disabled
	}
	if b.disabled || p.problems[before:].Err() != nil {
		return
	}
	p.addResponse(&b)
}

func (p *parser) responseElement(b *responseBlock, e *xmlconf.Node) bool {
	switch e.Name {
	case "command":
		b.commandName, b.hasCommand = e.Text, true
	case "location":
		b.location, b.hasLocation, b.locationNode = e.Text, true, e
	case "agent_id":
		b.AgentID = e.Text
	case "level":
		v := 0
		if p.num(e, &v) && v > 20 {
			p.bad(e, "expected a level from 0 to 20")
			break
		}
		b.Level = v
	case "rules_id":
		p.ids(e, &b.RuleIDs)
	case "rules_group":
		b.RulesGroup = p.regex(e, e.Text)
	case "timeout":
		b.Timeout, b.timeoutNode = leadingInt(e.Text), e
		if e.Text == "" || !digits(e.Text) {
			p.warn(e, 0, "WARN: Element 'timeout' holds '"+e.Text+"', which is read as "+itoa(b.Timeout)+".", "expected seconds")
		}
	case "disabled":
		who := p.who
		p.who |= Execd
		b.hasDisabled = p.yesNo(e, &b.disabled)
		p.who = who
	default:
		return false
	}
	return true
}

// executorElement reads what only the executor of the host uses.
func (p *parser) executorElement(b *responseBlock, e *xmlconf.Node) bool {
	who := p.who
	defer func() { p.who = who }()
	p.who = Execd
	ar := &p.cfg.AR
	switch e.Name {
	case "repeated_offenders":
		p.repeatedOffenders(e)
	case "repeated_offenders_unit":
		p.duration(e, &ar.OffenderUnit)
	case "dry_run":
		p.yesNo(e, &ar.DryRun)
	case "max_blocks":
		p.ranged(e, &ar.MaxBlocks, 1, 1000000)
	case "ipv6_prefix":
		p.ranged(e, &ar.IPv6Prefix, 1, 128)
	case "hosts_deny":
		if !strings.HasPrefix(e.Text, "/") {
			p.bad(e, "expected an absolute path")
			break
		}
		ar.HostsDeny = e.Text
	default:
		return false
	}
	b.executorOnly = true
	return true
}

// duration stores a time span such as "100ms" or "2m"; a bare number is seconds.
func (p *parser) duration(e *xmlconf.Node, out *time.Duration) {
	text := e.Text
	if text != "" && digits(text) {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > 24*time.Hour {
		p.bad(e, "expected a time such as 60s or 100ms, at most a day")
		return
	}
	*out = d
}

// maxOffenders is the number of steps of repeated_offenders.
const maxOffenders = 5

// repeatedOffenders reads the minutes of the 2nd, 3rd, ... offence from the first block that has them. OSSEC ends the list at a 0; here
// values below 1 are refused with a warning.
func (p *parser) repeatedOffenders(e *xmlconf.Node) {
	if p.offenders {
		p.warn(e, 0, "WARN: A second 'repeated_offenders' is ignored.", "")
		return
	}
	p.offenders = true
	for i, part := range strings.Split(e.Text, ",") {
		part = strings.TrimLeft(part, " \t")
		if part == "" {
			continue
		}
		v := leadingInt(part)
		switch {
		case i >= maxOffenders:
			p.warn(e, 0, "WARN: Only the first 5 values of 'repeated_offenders' are used.", "")
			return
		case v < 1:
			p.warn(e, 0, "ERROR: Value '"+part+"' of 'repeated_offenders' is ignored.", "expected minutes, 1 or more")
		default:
			p.cfg.AR.RepeatedOffenders = append(p.cfg.AR.RepeatedOffenders, v)
		}
	}
}

// addResponse checks and stores an enabled response.
func (p *parser) addResponse(b *responseBlock) {
	if !b.hasCommand || !b.hasLocation {
		if !b.executorOnly {
			p.fail(b.node, 1281, "ERROR: Missing options in the active response configuration. ", "command and location are needed")
		}
		return
	}
	if !p.responseLocation(b) {
		return
	}
	c := p.commands[b.commandName]
	switch {
	case c == nil:
		p.fail(b.node, 1303, "ERROR: Invalid command '"+b.commandName+"' in the active response.", "define the <command> earlier in the file")
	case b.DefinedAgent && b.AgentID == "":
		p.fail(b.node, 1304, "ERROR: No agent defined for response.", "add <agent_id>001</agent_id>")
	case b.Timeout != 0 && !c.TimeoutAllowed:
		p.fail(b.timeoutNode, 1305, "ERROR: Timeout not allowed for command: '"+c.Name+"'.", "set timeout_allowed to yes in the command")
	default:
		b.ActiveResponse.Command = c
		p.cfg.ActiveResponses = append(p.cfg.ActiveResponses, b.ActiveResponse)
	}
}

// responseLocation reads where a response runs. OSSEC searches its words anywhere in the text, so "class" counts as the manager; that is kept,
// with a warning for words that are none.
func (p *parser) responseLocation(b *responseBlock) bool {
	text := strings.ToLower(b.location)
	b.Server = strings.Contains(text, "as") || strings.Contains(text, "analysisd") || strings.Contains(text, "analysis-server") ||
		strings.Contains(text, "server")
	b.Local = strings.Contains(text, "local")
	b.DefinedAgent = strings.Contains(text, "defined-agent")
	b.All = strings.Contains(text, "all") || strings.Contains(text, "any")
	const words = "expected local, server, defined-agent or all"
	if !b.Server && !b.Local && !b.DefinedAgent && !b.All {
		p.fail(b.locationNode, 1302, "ERROR: Invalid active response location: '"+b.location+"'.", words)
		return false
	}
	for w := range strings.SplitSeq(text, ",") {
		switch strings.TrimSpace(w) {
		case "as", "analysisd", "analysis-server", "server", "local", "defined-agent", "all", "any":
		default:
			p.warn(b.locationNode, 0, "WARN: Location '"+b.location+"' is not exactly one of the known words.", words)
			return true
		}
	}
	return true
}

// ARConf is the text of etc/shared/ar.conf: the restart commands, then one line per response in order (spec active-response.md, section 7).
func ARConf(cfg *Config) []byte {
	var b strings.Builder
	b.WriteString("restart-ossec0 - restart-ossec.sh - 0\nrestart-ossec0 - restart-ossec.cmd - 0\n")
	for i := range cfg.ActiveResponses {
		a := &cfg.ActiveResponses[i]
		b.WriteString(a.Name() + " - " + a.Command.Executable + " - " + strconv.Itoa(a.Timeout) + "\n")
	}
	return []byte(b.String())
}

// ResponseEntry is one line of ar.conf.
type ResponseEntry struct {
	Name       string // "firewall-drop600"
	Executable string // file in active-response/bin; "" when the line names one outside of it
	Timeout    int    // seconds, 0 = never undone
	Line       int
}

// maxResponseName is the longest name of a response, in bytes.
const maxResponseName = 256

// ParseARConf reads an ar.conf; path is what messages call it. Lines that are none are reported (1313) and skipped. A name may occur
// several times: the first entry whose file is present is meant.
func ParseARConf(path string, data []byte) ([]ResponseEntry, Problems) {
	var out []ResponseEntry
	var ps Problems
	lines := strings.Split(string(data), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for i, line := range lines {
		pos := Position{File: path, Line: i + 1}
		name, rest, ok := strings.Cut(line, " - ")
		exe, timeout, ok2 := strings.Cut(rest, " - ")
		if !ok || !ok2 || len(name) > maxResponseName {
			ps = append(ps, Problem{Pos: pos, Code: 1313, Warning: true, Daemons: Execd,
				Text: "ERROR: Invalid active response config: '" + path + "'.", Hint: "Expected NAME - FILE - SECONDS."})
			continue
		}
		e := ResponseEntry{Name: name, Executable: exe, Timeout: leadingInt(timeout), Line: i + 1}
		if climbs(exe) {
			ps = append(ps, Problem{Pos: pos, Warning: true, Daemons: Execd,
				Text: "Active response command '" + exe + "' vulnerable to directory transversal attack. Ignoring."})
			e.Executable = ""
		}
		out = append(out, e)
	}
	return out, ps
}

// climbs reports whether a path has a ".." component.
func climbs(path string) bool {
	for part := range strings.SplitSeq(strings.ReplaceAll(path, `\`, "/"), "/") {
		if part == ".." {
			return true
		}
	}
	return false
}
