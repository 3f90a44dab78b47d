package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vedette-hids/vedette/manager/alert"
)

const (
	dashes  = "------------------------------------------------"
	blank   = " \r\n"
	maxKey  = 76 // longer keys are cut
	maxDump = 64 << 20
)

// count is one row of a section.
type count struct {
	key     string
	n       int
	related [numFields][]string
	known   map[string]struct{} // relations listed, as "field value"
}

// Summary gathers what a report shows. Make it with New, call Add for every entry, then Write.
type Summary struct {
	o           Options
	seen, taken int
	first, last string
	rows        [numFields]map[string]*count
	dump        bytes.Buffer
	dumpFull    bool
}

// New makes an empty summary.
func New(o Options) *Summary {
	if o.MaxDump <= 0 {
		o.MaxDump = maxDump
	}
	s := &Summary{o: o}
	for f := range numFields {
		s.rows[f] = map[string]*count{}
	}
	return s
}

// Read adds all entries of an alerts.log text. broken is called for damaged entries, nil = not at all.
func (s *Summary) Read(r io.Reader, broken func()) error {
	rd := alert.NewReader(r)
	rd.Broken = broken
	for {
		e, err := rd.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading alerts: %w", err)
		}
		s.Add(e)
	}
}

// Taken is the number of alerts that passed the filters.
func (s *Summary) Taken() int { return s.taken }

// Add takes one alert.
func (s *Summary) Add(e *alert.Entry) {
	s.seen++
	for _, test := range s.o.tests {
		if !test(e) {
			return
		}
	}
	s.taken++
	if s.first == "" {
		s.first = e.Date
	}
	s.last = e.Date
	for f := range numFields {
		for _, key := range keys(e, f) {
			c := s.rows[f][key]
			if c == nil {
				c = &count{key: key}
				s.rows[f][key] = c
			}
			c.n++
			for _, to := range s.o.relations[f] {
				c.relate(e, to)
			}
		}
	}
	if s.o.ShowLogs {
		s.addDump(e)
	}
}

// keys are the rows of a field's section that an alert counts for.
func keys(e *alert.Entry, f field) []string {
	some := func(v string) []string {
		if v == "" || v == "(none)" {
			return nil
		}
		return []string{v}
	}
	switch f {
	case bySrcIP:
		return some(e.SrcIP)
	case byUser:
		return some(e.User)
	case byLevel:
		return []string{fmt.Sprintf("Severity %d", e.Level)}
	case byGroup:
		return strings.FieldsFunc(e.Groups, func(r rune) bool { return r == ',' || r == ' ' })
	case byLocation:
		return []string{e.Location}
	case byRule:
		key := fmt.Sprintf("%d - %s", e.Rule, e.Description)
		return []string{key[:min(len(key), maxKey-1)]}
	}
	return some(e.File)
}

// values are what an alert adds to a relation.
func values(e *alert.Entry, f field) []string {
	one := func(v string) []string {
		if v == "" {
			return nil
		}
		return []string{v}
	}
	switch f {
	case bySrcIP:
		return one(e.SrcIP)
	case byUser:
		return one(e.User)
	case byLevel:
		return []string{fmt.Sprint(e.Level)}
	case byGroup:
		return keys(e, byGroup)
	case byLocation:
		return []string{e.Location}
	case byRule:
		return []string{fmt.Sprint(e.Rule)}
	}
	return one(e.File)
}

func (c *count) relate(e *alert.Entry, to field) {
	for _, v := range values(e, to) {
		id := fields[to].name + " " + v
		if _, ok := c.known[id]; ok {
			continue
		}
		if c.known == nil {
			c.known = map[string]struct{}{}
		}
		c.known[id] = struct{}{}
		c.related[to] = append(c.related[to], v)
	}
}

func (s *Summary) addDump(e *alert.Entry) {
	if s.dumpFull {
		return
	}
	if s.dump.Len() > s.o.MaxDump {
		s.dumpFull = true
		s.dump.WriteString("(more logs are not shown)\n\n\r\n")
		return
	}
	line := ""
	if len(e.Lines) > 0 {
		line = e.Lines[0]
	}
	fmt.Fprintf(&s.dump, "%s %s\nRule: %d (level %d) -> '%s'\n%s\n\n\r\n", e.Date, e.Location, e.Rule, e.Level, e.Description, line)
}

// Write writes the report, lines ended by CR LF. Nothing is written when no alert was taken.
func (s *Summary) Write(w io.Writer) error {
	if s.taken == 0 {
		return nil
	}
	var b bytes.Buffer
	b.WriteString(blank)
	if s.o.Title == "" {
		b.WriteString("Report completed. ==\r\n")
	} else {
		fmt.Fprintf(&b, "Report '%s' completed.\r\n", s.o.Title)
	}
	fmt.Fprintf(&b, "%s\r\n->Processed alerts: %d\r\n->Post-filtering alerts: %d\r\n->First alert: %s\r\n->Last alert: %s\r\n", dashes, s.seen, s.taken, s.first, s.last)
	b.WriteString(blank + blank)
	for f := range numFields {
		s.section(&b, f, "Top entries for '"+fields[f].title+"':", false)
	}
	for f := range numFields {
		if len(s.o.relations[f]) > 0 {
			s.section(&b, f, "Related entries for '"+fields[f].related+"':", true)
		}
	}
	if s.o.ShowLogs {
		fmt.Fprintf(&b, "Log dump:\r\n%s\r\n", dashes)
		b.Write(s.dump.Bytes())
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (s *Summary) section(b *bytes.Buffer, f field, title string, related bool) {
	if len(s.rows[f]) == 0 {
		return
	}
	rows := make([]*count, 0, len(s.rows[f]))
	for _, c := range s.rows[f] {
		rows = append(rows, c)
	}
	slices.SortFunc(rows, func(x, y *count) int {
		if x.n != y.n {
			return y.n - x.n
		}
		return strings.Compare(x.key, y.key)
	})
	fmt.Fprintf(b, "%s\r\n%s\r\n", title, dashes)
	for _, c := range rows {
		key := c.key
		if len(key) > maxKey {
			key = key[:maxKey-2] + ".."
		}
		// Widths are bytes, not characters.
		b.WriteString(key)
		b.WriteString(strings.Repeat(" ", 78-len(key)))
		fmt.Fprintf(b, "|%-8d|\r\n", c.n)
		if !related {
			continue
		}
		for _, to := range relationOrder {
			for _, v := range c.related[to] {
				fmt.Fprintf(b, "   %s: '%s'\r\n", fields[to].name, v)
			}
		}
	}
	b.WriteString(blank + blank)
}
