package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/pattern"
	"github.com/vedette-hids/vedette/syscheck/baseline"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

type success struct {
	Error    int `json:"error"`
	Response any `json:"response"`
}

type failure struct {
	Error       int    `json:"error"`
	Description string `json:"description"`
}

// change is one listed line.
type change struct {
	Day     string      `json:"readDay"`
	File    string      `json:"file"`
	Changes int         `json:"changes"`
	Attrs   *attributes `json:"attrs,omitempty"`
}

// attributes is what -f shows of a state.
type attributes struct {
	Event  string `json:"event"`
	Size   string `json:"size,omitempty"`
	Perm   string `json:"perm,omitempty"`
	UID    string `json:"uid,omitempty"`
	GID    string `json:"gid,omitempty"`
	MD5    string `json:"md5,omitempty"`
	SHA1   string `json:"sha1,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

func (t *tool) printJSON(v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		fmt.Fprintf(t.err, "%s: %v\n", t.name, err)
		return
	}
	t.out.Write(bytes.TrimSuffix(b.Bytes(), []byte{'\n'})) //nolint:errcheck // nobody to tell
}

// show lists changed files of an agent, or all states of the files that match -f, or changes the counter of one.
func (t *tool) show(r *request) int {
	o, err := t.owner(r.info)
	if errors.Is(err, errUnknownID) {
		text := "Invalid agent id '" + r.info + "'."
		return t.refuse(codeListID, text, text)
	}
	if err != nil {
		return t.fail(codeDirectory, err)
	}
	location := o.locations[0]
	if r.registry && len(o.locations) > 1 {
		location = o.locations[1]
	}
	s, err := t.open()
	if err != nil {
		return t.fail(codeDirectory, err)
	}
	defer s.Close() //nolint:errcheck // nothing pending
	t.heading(&o, r)
	if err := t.listing(s, location, r); err != nil {
		return t.fail(codeDirectory, err)
	}
	return 0
}

// heading prints whose changes follow.
func (t *tool) heading(o *owner, r *request) {
	if t.json || t.csv {
		return
	}
	switch {
	case o.local:
		fmt.Fprintf(t.out, "\nIntegrity checking changes for %s:\n", o.title)
	case r.registry:
		fmt.Fprintf(t.out, "\nIntegrity changes for 'Windows Registry' of %s:\n", o.title)
	default:
		fmt.Fprintf(t.out, "\nIntegrity changes for %s:\n", o.title)
	}
	if r.byFile {
		fmt.Fprintf(t.out, "Detailed information for entries matching: '%s'\n", r.file)
	}
}

func (t *tool) listing(s *baseline.Store, location string, r *request) error {
	var match *pattern.Match
	if r.byFile {
		m, err := pattern.CompileMatch(r.file)
		if err != nil {
			return fmt.Errorf("pattern of -f: %w", err)
		}
		match = m
	}
	if r.byFile && (r.zero || r.silence) {
		return t.recount(s, location, match, r.zero)
	}
	known, err := exists(s, location)
	if err != nil {
		return err
	}
	p := printer{tool: t, last: map[string]sum.Fields{}, details: match != nil}
	err = s.Lines(location, func(l baseline.Line) error {
		if l.Prefix() == "" || match == nil && l.Prefix()[0] != '!' && l.Prefix()[0] != '#' || match != nil && !match.MatchString(l.Path()) {
			return nil
		}
		p.line(&l)
		return nil
	})
	if err != nil {
		return err
	}
	p.end(known)
	return nil
}

func exists(s *baseline.Store, location string) (bool, error) {
	list, err := s.Locations()
	return slices.ContainsFunc(list, func(l baseline.Location) bool { return l.Name == location }), err
}

// recount changes the mark of the first live line that matches.
func (t *tool) recount(s *baseline.Store, location string, match *pattern.Match, zero bool) error {
	found := errors.New("found")
	var line baseline.Line
	err := s.Lines(location, func(l baseline.Line) error {
		if p := l.Prefix(); p == "" || p[0] == '#' || !match.MatchString(l.Path()) {
			return nil
		}
		line = l
		return found
	})
	if err == nil {
		p := printer{tool: t}
		p.end(true)
		return nil
	}
	if !errors.Is(err, found) {
		return err
	}
	mark := "!!?"
	if zero {
		mark = "!++"
	}
	if err := s.SetPrefix(location, line, mark); err != nil {
		return err
	}
	if err := t.sync(s, location); err != nil {
		return err
	}
	text := "Counter updated for file '" + line.Path() + "'"
	if t.json {
		t.printJSON(success{Response: text})
		return nil
	}
	fmt.Fprintf(t.out, "\n**%s\n\n", text)
	return nil
}

// sync writes OSSEC's text database anew where one is left.
func (t *tool) sync(s *baseline.Store, location string) error {
	if _, err := os.Stat(filepath.Join(t.dir(), location)); err != nil {
		return nil
	}
	return s.ExportFile(location)
}

// printer prints lines in one of the three forms.
type printer struct {
	*tool
	details bool
	last    map[string]sum.Fields // state of a path before; Size "-1" = deleted
	day     string
	all     []change
	count   int
}

// counted is the number that stands for a mark; the first character does not matter.
func counted(prefix string) int {
	switch prefix[1:] {
	case "!+":
		return 2
	case "!!":
		return 3
	case "!?":
		return 4
	}
	return 0
}

func (p *printer) line(l *baseline.Line) {
	p.count++
	when := time.Unix(l.Time(), 0).In(p.zone)
	c := change{Day: when.Format("2006 Jan 02 15:04:05"), File: l.Path(), Changes: counted(l.Prefix())}
	var text string
	if p.details {
		text = p.state(l, &c)
	}
	switch {
	case p.json:
		p.all = append(p.all, c)
	case p.csv:
		fmt.Fprintf(p.out, "%s,%s,%d\n%s", c.Day, c.File, c.Changes, text)
	case p.details:
		fmt.Fprintf(p.out, "\n%s,%d - %s\n%s", c.Day, c.Changes, c.File, text)
	default:
		if day := when.Format("2006 Jan 02"); day != p.day {
			p.day = day
			fmt.Fprintf(p.out, "\nChanges for %s:\n", day)
		}
		fmt.Fprintf(p.out, "%s,%d - %s\n", c.Day, c.Changes, c.File)
	}
}

// state describes what a line says about its file, compared with the line before of the same path.
func (p *printer) state(l *baseline.Line, c *change) string {
	old, known := p.last[l.Path()]
	now := sum.Split(l.Sum())
	p.last[l.Path()] = now
	if now.Size == sum.Deleted {
		c.Attrs = &attributes{Event: "deleted"}
		return "File deleted.\n"
	}
	times := map[int]string{0: "1st time modified.", 2: "2nd time modified.", 3: "3rd time modified.", 4: "Being ignored (3 or more changes)."}[c.Changes]
	c.Attrs = &attributes{
		Size: now.Size, Perm: sum.Permissions(sum.Mode(now.Mode)), UID: now.UID, GID: now.GID, MD5: now.MD5, SHA1: now.SHA1, SHA256: now.SHA256,
	}
	var text string
	switch {
	case !known:
		c.Attrs.Event, text = "added", "File added to the database. \n"
		old = now
	case old.Size == sum.Deleted:
		c.Attrs.Event, text = "restored", "File restored. - "+times+"\n"
		old = now
	default:
		c.Attrs.Event, text = "modified", "File changed. - "+times+"\n"
	}
	return text + values(old, now)
}

// values prints the attributes; a > marks those that differ.
func values(old, now sum.Fields) string {
	var b strings.Builder
	b.WriteString("Integrity checking values:\n")
	value := func(label, x, y, shown string) {
		mark := ""
		if x != y {
			mark = ">"
		}
		b.WriteString("   " + label + mark + shown + "\n")
	}
	value("Size: ", old.Size, now.Size, now.Size)
	value("Perm: ", old.Mode, now.Mode, sum.Permissions(sum.Mode(now.Mode)))
	value("Uid:  ", old.UID, now.UID, now.UID)
	value("Gid:  ", old.GID, now.GID, now.GID)
	value("Md5:  ", old.MD5, now.MD5, now.MD5)
	value("Sha1: ", old.SHA1, now.SHA1, now.SHA1)
	if now.N >= 7 {
		value("Sha256: ", old.SHA256, now.SHA256, now.SHA256)
	}
	return b.String()
}

// end prints what comes after the lines.
func (p *printer) end(known bool) {
	switch {
	case p.json:
		if p.all == nil {
			p.all = []change{}
		}
		p.printJSON(success{Response: p.all})
	case p.count == 0 && known && !p.csv:
		fmt.Fprint(p.out, "\n** No entries found.\n")
	}
}
