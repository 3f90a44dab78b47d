package decode

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/vedette-hids/vedette/event"
)

// ErrHostinfo is returned for host information that is not of the form "Host: address (name), ports".
var ErrHostinfo = errors.New("host information is not of the form 'Host: address, ports'")

// Limits of a Hostinfo, whose lines come from senders; beyond them the oldest lines are forgotten.
const (
	maxHostLines = 100000
	maxHostBytes = 32 << 20
)

// Hostinfo decodes host information (event.KindHostinfo, spec section 9) against what is known of the hosts. It is part of the ordered
// stage: one goroutine at a time. Make it with NewHostinfo.
//
// Unlike OSSEC's, it compares whole addresses (10.1.1.1 is not 10.1.1.10), and malformed messages do not turn it off.
type Hostinfo struct {
	lines  map[string]struct{}
	hosts  map[string]int // address → number of lines
	order  []string       // of lines, oldest first
	bytes  int            // of lines
	append func(line string)
}

// NewHostinfo makes an empty store. appendLine, when not nil, is called with each new line of queue/fts/hostinfo.
func NewHostinfo(appendLine func(line string)) *Hostinfo {
	return &Hostinfo{lines: make(map[string]struct{}), hosts: make(map[string]int), append: appendLine}
}

// Load adds the lines of a hostinfo file.
func (h *Hostinfo) Load(r io.Reader) error {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadString('\n')
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			h.add(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading host information: %w", err)
		}
	}
}

// Lines yields what is known, oldest first, for writing a shorter file.
func (h *Hostinfo) Lines() iter.Seq[string] { return slices.Values(h.order) }

// Decode compares a pre-decoded event with what is known of its host. It returns false when nothing is new, and then the event ends
// there; else the event is decoded as HostinfoNew or HostinfoModified. Malformed text gives an error that wraps ErrHostinfo.
func (h *Hostinfo) Decode(ev *event.Event) (bool, error) {
	addr, ports, ok := splitHostinfo(ev.Log)
	if !ok {
		return false, fmt.Errorf("%w: %.100q", ErrHostinfo, ev.Log)
	}
	line := addr + ports
	if _, same := h.lines[line]; same {
		return false, nil
	}
	ev.Decoder, ev.DecodedAs, ev.DecoderParent, ev.Type = HostinfoModified, HostinfoNew, "", event.TypeOSSEC
	ev.Fields.Reset()
	ev.Dynamic, ev.FTS, ev.FTSFields, ev.Accumulate = ev.Dynamic[:0], false, 0, false
	if h.hosts[addr] > 0 {
		ev.DecodedAs = HostinfoModified
	}
	h.add(line)
	if h.append != nil {
		h.append(line)
	}
	return true, nil
}

// splitHostinfo reads "Host: address (name), ports"; ports is everything after the comma.
func splitHostinfo(s string) (addr, ports string, ok bool) {
	_, rest, ok := strings.Cut(s, "Host: ")
	if !ok {
		return "", "", false
	}
	end := strings.IndexAny(rest, " ,")
	if end <= 0 {
		return "", "", false
	}
	_, ports, ok = strings.Cut(rest[end:], ",")
	return rest[:end], ports, ok
}

// add stores a line under the address that it begins with.
func (h *Hostinfo) add(line string) {
	if _, old := h.lines[line]; old {
		return
	}
	line = strings.Clone(line)
	h.order = append(h.order, line)
	h.lines[line] = struct{}{}
	h.hosts[lineAddress(line)]++
	for h.bytes += len(line); len(h.order) > maxHostLines || h.bytes > maxHostBytes; {
		h.forget()
	}
}

// forget drops the oldest line.
func (h *Hostinfo) forget() {
	old := h.order[0]
	h.order[0] = "" // append moves the list only now and then
	h.order = h.order[1:]
	h.bytes -= len(old)
	delete(h.lines, old)
	addr := lineAddress(old)
	if h.hosts[addr]--; h.hosts[addr] == 0 {
		delete(h.hosts, addr)
	}
}

// lineAddress cuts the address from a line.
func lineAddress(line string) string {
	if i := strings.IndexFunc(line, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF.:%", r) }); i > 0 {
		return line[:i]
	}
	return line
}
