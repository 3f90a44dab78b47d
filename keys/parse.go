package keys

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxLine is the longest line of client.keys that counts; OSSEC's reader would see a longer one as several lines.
const maxLine = 2047

// Problem is a line of client.keys that cannot be used, or is partly hidden by another.
type Problem struct {
	Line    int
	Code    int    // OSSEC's message number
	Text    string // OSSEC's sentence with level: "ERROR: Invalid ip address: 'x'."
	Warning bool   // the entry is usable all the same
}

// Error gives "line N: (code): text".
func (p Problem) Error() string { return fmt.Sprintf("line %d: (%d): %s", p.Line, p.Code, p.Text) }

// lineKind tells what a line of client.keys is.
type lineKind uint8

const (
	lineSkip    lineKind = iota // comment, leading space, empty
	lineRemoved                 // marker of a removed agent
	lineEntry
	lineBad
)

// splitLine takes a line apart (spec protocol.md, section 1, steps 2 to 6). On lineBad the id holds the text that message 1401 names.
func splitLine(line string) (kind lineKind, id, name, ip, secret string) {
	if line == "" || line[0] == '#' || line[0] == ' ' {
		return lineSkip, "", "", "", ""
	}
	id, rest, ok := strings.Cut(line, " ")
	if !ok {
		return lineBad, line, "", "", ""
	}
	if strings.HasPrefix(rest, "#") {
		return lineRemoved, id, "", "", ""
	}
	name, rest, ok = strings.Cut(rest, " ")
	if !ok {
		return lineBad, id, "", "", ""
	}
	ip, secret, ok = strings.Cut(rest, " ")
	if !ok {
		return lineBad, id, "", "", ""
	}
	return lineEntry, id, name, ip, secret
}

// Set is the content of one client.keys, never changed after it was read.
type Set struct {
	keys     []*Key
	byID     map[string]*Key
	byIP     map[string]*Key
	byName   map[string]*Key
	byAddr   map[netip.Addr]*Key // single hosts, whatever way the address is written
	problems []Problem
}

// Parse reads the text of client.keys. Lines that cannot be used are skipped and reported by Problems; no input makes it fail.
func Parse(data []byte) *Set { return parseReusing(data, nil) }

// parseReusing parses and takes the keys of old for lines that did not change.
func parseReusing(data []byte, old *Set) *Set {
	text := string(data)
	n := strings.Count(text, "\n") + 1
	s := &Set{
		keys: make([]*Key, 0, n), byID: make(map[string]*Key, n), byIP: make(map[string]*Key, n), byName: make(map[string]*Key, n),
		byAddr: map[netip.Addr]*Key{},
	}
	known := old.index()
	for line := 1; text != ""; line++ {
		var l string
		l, text, _ = strings.Cut(text, "\n")
		if k := s.readLine(line, l, known); k != nil {
			s.add(k, line)
		}
	}
	return s
}

// fields identifies a line.
type fields struct{ id, name, ip, secret string }

func (s *Set) index() map[fields]*Key {
	if s == nil {
		return nil
	}
	m := make(map[fields]*Key, len(s.keys))
	for _, k := range s.keys {
		m[fields{k.ID, k.Name, k.IPField, k.secret}] = k
	}
	return m
}

// readLine returns the key of a line, or nil when it has none.
func (s *Set) readLine(line int, l string, known map[fields]*Key) *Key {
	if len(l) > maxLine {
		s.problem(line, CodeBadLine, "ERROR: Error reading authentication key: '"+l[:60]+"...' (line longer than 2047 bytes)", false)
		return nil
	}
	kind, id, name, ip, secret := splitLine(l)
	switch kind {
	case lineBad:
		s.problem(line, CodeBadLine, "ERROR: Error reading authentication key: '"+id+"'.", false)
		return nil
	case lineSkip, lineRemoved:
		return nil
	}
	f := fields{cut(id), cut(name), cut(ip), cut(secret)}
	if k := known[f]; k != nil {
		delete(known, f) // a second identical line gets an entry of its own
		return k
	}
	net, err := ParseNetwork(f.ip)
	if err != nil {
		s.problem(line, CodeInvalidIP, "ERROR: Invalid ip address: '"+ip+"'.", false)
		return nil
	}
	if strings.HasSuffix(secret, "\r") {
		s.problem(line, CodeBadLine, "WARN: The line ends with CR LF; the CR counts as part of the key of agent '"+f.id+"'.", true)
	}
	return &Key{ID: f.id, Name: f.name, IP: trimPrefix(f.ip), IPField: f.ip, Net: net, Line: line, secret: f.secret}
}

// add enters a key into the look-up tables; the first line with an id, ip text or name wins.
func (s *Set) add(k *Key, line int) {
	s.keys = append(s.keys, k)
	if first := putFirst(s.byID, k.ID, k); first != k {
		s.problem(line, CodeBadLine, fmt.Sprintf("WARN: Agent id '%s' is taken by agent '%s' above; '%s' is reachable by its address only.", k.ID, first.Name, k.Name), true)
	}
	putFirst(s.byIP, k.IP, k)
	putFirst(s.byName, k.Name, k)
	if k.Net.Single() && !k.Net.Negate {
		putFirst(s.byAddr, k.Net.Prefix.Addr(), k)
	}
}

func putFirst[T comparable](m map[T]*Key, at T, k *Key) *Key {
	if first, ok := m[at]; ok {
		return first
	}
	m[at] = k
	return k
}

func (s *Set) problem(line, code int, text string, warning bool) {
	s.problems = append(s.problems, Problem{line, code, text, warning})
}

// Problems lists what was wrong, in the order of lines.
func (s *Set) Problems() []Problem { return s.problems }

// All gives the usable keys in the order of lines. The caller must not change the slice.
func (s *Set) All() []*Key { return s.keys }

// First gives the key that an agent process uses: that of the first usable line, nil when there is none.
func (s *Set) First() *Key {
	if len(s.keys) == 0 {
		return nil
	}
	return s.keys[0]
}

// ByID finds a key by the exact text of its id; "1" is not "001".
func (s *Set) ByID(id string) *Key { return s.byID[id] }

// ByIP finds a key by the text of its ip field without prefix length.
func (s *Set) ByIP(text string) *Key { return s.byIP[text] }

// ByName finds the first key with a name.
func (s *Set) ByName(name string) *Key { return s.byName[name] }

// ByAddr finds the key of a packet without id prefix: the text of the address must be an ip field, or the address must be that of a
// single-host entry. Networks are not searched (spec protocol.md, section 6.1).
func (s *Set) ByAddr(src netip.Addr) *Key {
	src = src.Unmap().WithZone("")
	var buf [48]byte
	if k := s.byIP[string(src.AppendTo(buf[:0]))]; k != nil {
		return k
	}
	return s.byAddr[src]
}

// Route finds the key that a packet from src must be opened with, and takes the id prefix off (spec protocol.md, section 6.1). It fails
// with an *Error: CodeFormat, CodeInvalidID or CodeNotAllowed.
func (s *Set) Route(packet []byte, src netip.Addr) (*Key, []byte, error) {
	id, rest, err := SplitID(packet)
	if err != nil {
		return nil, nil, err
	}
	if id == nil {
		if k := s.ByAddr(src); k != nil {
			return k, rest, nil
		}
		return nil, nil, &Error{Code: CodeNotAllowed}
	}
	k := s.byID[string(id)]
	if k != nil && k.Net.Contains(src) {
		return k, rest, nil
	}
	return nil, nil, &Error{Code: CodeInvalidID, ID: string(id[:min(len(id), maxField)]), Known: k != nil}
}
