package alert

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// maxLine is how many bytes of a line the reader takes at a time: the rest of a longer line counts as lines of their own, as it always
// did (spec outputs.md, section 8.2).
const maxLine = 2047

// Reader parses the text of alerts.log, entry by entry, as OSSEC's own tools do. The text form is ambiguous: a log line that begins like a
// field of the entry is taken for that field. Use it for files only; NewEntry has what really happened.
type Reader struct {
	r *bufio.Reader
	// Broken is called for every entry that ends before it is complete; nil = not called.
	Broken func()
}

// NewReader reads entries from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

// line gives the next piece of at most maxLine bytes, with its line end if it has one.
func (rd *Reader) line() (string, error) {
	var b []byte
	for len(b) < maxLine {
		c, err := rd.r.ReadByte()
		if err != nil {
			if len(b) > 0 {
				return string(b), nil
			}
			return "", err
		}
		b = append(b, c)
		if c == '\n' {
			break
		}
	}
	return string(b), nil
}

// parsing is the state of Next.
type parsing struct {
	e         *Entry
	state     int
	dated     bool // date and location are known
	integrity bool
}

const (
	outside = iota
	expectDate
	inBody
)

// Next returns the next entry; the error is io.EOF at the end, where an entry without its final empty line is left out.
func (rd *Reader) Next() (*Entry, error) {
	p := parsing{e: &Entry{}}
	for {
		line, err := rd.line()
		if err != nil {
			return nil, err
		}
		switch {
		case strings.HasPrefix(line, "** Alert"):
			if p.header(line) {
				p.state = expectDate
			}
		case p.state == expectDate:
			if !p.date(line) {
				if rd.Broken != nil {
					rd.Broken()
				}
				p = parsing{e: &Entry{}}
				continue
			}
			p.state = inBody
		case p.state != inBody:
		case line == "\n":
			if len(p.e.Lines) > 0 {
				return p.e, nil
			}
		default:
			p.body(strings.TrimSuffix(line, "\n"))
		}
	}
}

// header reads "** Alert ID:mail  - groups"; false means that the line is none.
func (p *parsing) header(line string) bool {
	rest, ok := strings.CutPrefix(line, "** Alert ")
	if !ok {
		return false
	}
	id, rest, ok := strings.Cut(rest, ":")
	if !ok {
		return false
	}
	_, rest, ok = strings.Cut(rest, " ")
	if !ok {
		return false
	}
	p.e.ID, p.e.Mail = id, strings.HasPrefix(rest, "mail")
	if _, groups, ok := strings.Cut(rest, "-"); ok {
		p.e.Groups = strings.TrimSuffix(groups, "\n")
	}
	if strings.Contains(p.e.Groups, "syscheck") {
		p.integrity = true
	}
	return true
}

// date reads "2026 Oct 05 08:09:18 location".
func (p *parsing) date(line string) bool {
	if p.dated {
		return false
	}
	colon := strings.IndexByte(line, ':')
	if colon < 0 {
		return false
	}
	blank := strings.IndexByte(line[colon:], ' ')
	if blank < 0 {
		return false
	}
	p.e.Date, p.e.Location = line[:colon+blank], strings.TrimSuffix(line[colon+blank+1:], "\n")
	p.dated = true
	return true
}

func (p *parsing) body(line string) {
	e := p.e
	for _, f := range [...]struct {
		prefix string
		set    func(v string)
	}{
		{"Rule: ", p.rule},
		{"Src IP: ", func(v string) { e.SrcIP = v }}, {"Src Port: ", func(v string) { e.SrcPort = number(v) }},
		{"Dst IP: ", func(v string) { e.DstIP = v }}, {"Dst Port: ", func(v string) { e.DstPort = number(v) }},
		{"User: ", func(v string) { e.User = v }},
	} {
		if v, ok := strings.CutPrefix(line, f.prefix); ok {
			f.set(v)
			return
		}
	}
	if e.take(line) {
		return
	}
	if p.integrity && len(e.Lines) == 0 && strings.HasPrefix(line, changedPrefix) {
		name := line[len(changedPrefix):]
		e.File = name[:max(len(name)-1, 0)]
	}
	e.add(line)
}

// rule reads "ID (level N) -> 'DESCRIPTION'".
func (p *parsing) rule(v string) {
	e := p.e
	e.Rule = number(v)
	if parts := strings.SplitN(v, " ", 3); len(parts) == 3 {
		e.Level = number(parts[2])
	}
	if first, last := strings.IndexByte(v, '\''), strings.LastIndexByte(v, '\''); first < last {
		e.Description = v[first+1 : last]
	}
}

// number reads the digits that v begins with, 0 if there are none.
func number(v string) int {
	n := 0
	for n < len(v) && n < 18 && v[n] >= '0' && v[n] <= '9' {
		n++
	}
	i, _ := strconv.Atoi(v[:n])
	return i
}
