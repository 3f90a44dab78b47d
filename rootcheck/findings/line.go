package findings

import (
	"fmt"
	"strings"

	"github.com/vedette-hids/vedette/event"
)

// textOffset is where the text of a line with times begins. It is fixed: a line whose times are not ten digits each never equals a finding.
const textOffset = 23

func stamp(t int64) []byte { return fmt.Appendf(nil, "%010d", t) }

func lineOf(last, first int64, text string) []byte {
	return fmt.Appendf(nil, "!%010d!%010d %s\n", last, first, text)
}

// textOf gives the text of a line. old is true for the old form without times; comments and empty lines have no text.
func textOf(line string) (text string, old, ok bool) {
	switch {
	case line == "" || line[0] == '#':
		return "", false, false
	case line[0] != '!':
		return line, true, true
	case len(line) < textOffset:
		return "", false, false
	}
	return line[textOffset:], false, true
}

// clean deletes control characters, as every event's text is cleaned.
func clean(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] >= ' ' && s[i] != 0x7f {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// fileOf takes the file and its hashes out of a finding's text; nil when it names none.
func fileOf(text string) *event.FileChange {
	_, rest, ok := strings.Cut(text, " file '")
	if !ok {
		return nil
	}
	path, rest, ok := strings.Cut(rest, "'")
	if !ok {
		return nil
	}
	c := &event.FileChange{Path: path}
	c.After.MD5 = hashOf(rest, " MD5=", 32)
	c.After.SHA1 = hashOf(rest, " SHA1=", 40)
	c.After.SHA256 = hashOf(rest, " SHA256=", 64)
	return c
}

// hashOf gives the value behind the last label when it has the right length and is hexadecimal.
func hashOf(text, label string, size int) string {
	i := strings.LastIndex(text, label)
	if i < 0 {
		return ""
	}
	v, _, _ := strings.Cut(text[i+len(label):], " ")
	if len(v) != size || strings.Trim(v, "0123456789abcdefABCDEF") != "" {
		return ""
	}
	return v
}
