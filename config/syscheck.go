package config

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vedette-hids/vedette/config/xmlconf"
	"github.com/vedette-hids/vedette/pattern"
)

// syscheckSection returns the section, made with its defaults on first use.
func (p *parser) syscheckSection() *Syscheck {
	if p.cfg.Syscheck == nil {
		p.cfg.Syscheck = &Syscheck{Frequency: 600, ScanOnStart: true, AutoIgnore: true}
	}
	return p.cfg.Syscheck
}

// syscheck reads one <syscheck>. The manager's analysisd looks only at auto_ignore, alert_new_files and ignore.
func (p *parser) syscheck(sec *xmlconf.Node) {
	s := p.syscheckSection()
	for _, e := range sec.Children {
		p.who = Syscheckd
		switch e.Name {
		case "directories":
			p.directories(e)
		case "ignore":
			p.pathOrPattern(e, &s.Ignore, &s.IgnoreMatch)
		case "nodiff":
			p.pathOrPattern(e, &s.NoDiff, &s.NoDiffMatch)
		case "frequency":
			p.num(e, &s.Frequency)
		case "scan_time":
			p.scanTime(e)
		case "scan_day":
			p.scanDay(e)
		case "scan_on_start":
			p.yesNo(e, &s.ScanOnStart)
		case "disabled":
			p.yesNo(e, &s.Disabled)
		case "skip_nfs":
			p.yesNo(e, &s.SkipNFS)
		case "auto_ignore":
			p.who = Analysisd
			p.yesNo(e, &s.AutoIgnore)
		case "alert_new_files":
			p.who = Analysisd
			p.yesNo(e, &s.AlertNewFiles)
		case "prefilter_cmd":
			p.prefilter(e)
		case "io_budget":
			p.ioBudget(e)
		case "windows_registry", "registry_ignore":
			// Windows only
		default:
			p.unknownIn(sec, e)
		}
	}
}

func (p *parser) ioBudget(e *xmlconf.Node) {
	v, err := strconv.ParseFloat(e.Text, 64)
	if err != nil || v < 0 || v > 1e6 || v != v {
		p.bad(e, "expected megabytes per second, 0 for no limit")
		return
	}
	p.cfg.Syscheck.IOBudget = v
}

func (p *parser) prefilter(e *xmlconf.Node) {
	program, _, _ := strings.Cut(e.Text, " ")
	if _, err := os.Stat(program); err != nil {
		p.bad(e, "the program '"+program+"' does not exist")
		return
	}
	p.cfg.Syscheck.PrefilterCmd = e.Text
}

// pathOrPattern stores a path prefix, or with the attribute type="sregex" a pattern.
func (p *parser) pathOrPattern(e *xmlconf.Node, paths *[]string, matches *[]*pattern.Match) {
	if len(e.Attrs) == 0 {
		if !slices.Contains(*paths, e.Text) {
			*paths = append(*paths, e.Text)
		}
		return
	}
	if a := e.Attrs[0]; a.Name != "type" || a.Value != "sregex" {
		p.fail(e, 1703, "ERROR: Invalid attribute '"+a.Name+"' for directory option.", `only type="sregex" is known here`)
		return
	}
	if m := p.softMatch(e, e.Text); m != nil {
		*matches = append(*matches, m)
	}
}

// softMatch compiles a pattern whose fault does not stop the daemon.
func (p *parser) softMatch(e *xmlconf.Node, text string) *pattern.Match {
	n := len(p.problems)
	m := p.match(e, text)
	for i := n; i < len(p.problems); i++ {
		p.problems[i].Warning = true
	}
	return m
}

// maxPieces is the number of pieces of a list of directories; the last one takes the rest of the text.
const maxPieces = 64

// directories reads one list of directories with its options.
func (p *parser) directories(e *xmlconf.Node) {
	opts, ok := p.directoryOptions(e)
	if !ok {
		return
	}
	for _, piece := range strings.SplitN(e.Text, ",", maxPieces) {
		piece = trimPiece(piece)
		if !p.addDirectory(e, piece, opts) {
			return
		}
	}
}

// trimPiece removes leading blanks; the first blank inside ends the text when another blank or the end follows it.
func trimPiece(s string) string {
	s = strings.TrimLeft(s, " ")
	if i := strings.IndexByte(s, ' '); i >= 0 && (i == len(s)-1 || s[i+1] == ' ') {
		return s[:i]
	}
	return s
}

// addDirectory adds one piece; false ends the list.
func (p *parser) addDirectory(e *xmlconf.Node, piece string, opts Directory) bool {
	s := p.cfg.Syscheck
	found := []string{piece}
	switch {
	case slices.ContainsFunc(s.Directories, func(d Directory) bool { return d.Path == piece }):
		p.warn(e, 1756, "ERROR: Duplicated directory given: '"+piece+"'.", "the rest of this list is not monitored")
		return false
	case strings.ContainsAny(piece, "*?["):
		if found, _ = filepath.Glob(piece); len(found) == 0 {
			p.warn(e, 1121, "ERROR: Glob error. Invalid pattern: '"+piece+"'.", "no file matches; the rest of this list is not monitored")
			return false
		}
	}
	for _, f := range found {
		opts.Path = f
		s.Directories = append(s.Directories, opts)
	}
	return true
}

// directoryOptions reads the attributes, left to right. sha256 is on from the start.
func (p *parser) directoryOptions(e *xmlconf.Node) (Directory, bool) {
	d := Directory{SHA256: true, Pos: p.pos(e)}
	for _, a := range e.Attrs {
		if a.Name == "restrict" {
			d.Restrict = p.softMatch(e, a.Value)
			continue
		}
		bits, ok := d.bits(a.Name)
		if !ok {
			p.fail(e, 1703, "ERROR: Invalid attribute '"+a.Name+"' for directory option.", "")
			return d, false
		}
		if a.Value != "yes" && (a.Value != "no" || a.Name == "no_recurse") {
			hint := "expected yes or no"
			if a.Name == "no_recurse" {
				hint = "expected yes"
			}
			p.fail(e, 1704, "ERROR: Invalid option '"+a.Value+"' for attribute '"+a.Name+"'", hint)
			return d, false
		}
		for _, b := range bits {
			*b = a.Value == "yes"
		}
	}
	any := d.Size || d.Perm || d.Owner || d.Group || d.MD5 || d.SHA1 || d.SHA256 || d.Realtime || d.ReportChanges || d.NoRecurse
	if len(e.Attrs) == 0 || !any {
		p.fail(e, 1701, "WARN: No option provided for directories: '"+e.Text+"', ignoring it.", `add check_all="yes"`)
		return d, false
	}
	return d, true
}

// bits are the options that an attribute sets.
func (d *Directory) bits(attr string) ([]*bool, bool) {
	switch attr {
	case "check_all":
		return []*bool{&d.MD5, &d.SHA1, &d.SHA256, &d.Perm, &d.Size, &d.Owner, &d.Group}, true
	case "check_sum":
		return []*bool{&d.MD5, &d.SHA1, &d.SHA256}, true
	case "check_md5sum":
		return []*bool{&d.MD5}, true
	case "check_sha1sum":
		return []*bool{&d.SHA1}, true
	case "check_sha256sum":
		return []*bool{&d.SHA256}, true
	case "check_size":
		return []*bool{&d.Size}, true
	case "check_owner":
		return []*bool{&d.Owner}, true
	case "check_group":
		return []*bool{&d.Group}, true
	case "check_perm":
		return []*bool{&d.Perm}, true
	case "realtime":
		return []*bool{&d.Realtime}, true
	case "report_changes":
		return []*bool{&d.ReportChanges}, true
	case "no_recurse":
		return []*bool{&d.NoRecurse}, true
	}
	return nil, false
}

// Options lists what is checked, as the start log shows it: "perm | size | owner".
func (d Directory) Options() string {
	var names []string
	for _, o := range []struct {
		on   bool
		name string
	}{
		{d.Perm, "perm"}, {d.Size, "size"}, {d.Owner, "owner"}, {d.Group, "group"}, {d.MD5, "md5sum"}, {d.SHA1, "sha1sum"},
		{d.SHA256, "sha256sum"}, {d.Realtime, "realtime"}, {d.ReportChanges, "report_changes"}, {d.NoRecurse, "no_recurse"},
	} {
		if o.on {
			names = append(names, o.name)
		}
	}
	return strings.Join(names, " | ")
}
