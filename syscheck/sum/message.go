package sum

import (
	"errors"
	"strings"
)

// Completed is the message that ends every full scan.
const Completed = "syscheck-db-completed"

// ErrNoSpace is returned for a message without a space between checksum and path (log message 1755).
var ErrNoSpace = errors.New("invalid syscheck message: no space after the checksum")

// Message is one integrity message: a checksum, the path, and the diff of report_changes if one came with it. Sum and Path are free of
// control characters; Diff keeps its line feeds and tabs.
type Message struct {
	Sum, Path, Diff string
}

// ParseMessage splits the text of a queue message of kind 8 (spec syscheck.md, sections 9 and 11.1). The diff begins after the first line
// feed and is split off before control characters are deleted, so that a diff never becomes part of a path.
func ParseMessage(text string) (Message, error) {
	head, diff, _ := strings.Cut(text, "\n")
	head = Clean(head)
	sum, path, ok := strings.Cut(head, " ")
	if !ok {
		return Message{}, ErrNoSpace
	}
	return Message{Sum: sum, Path: path, Diff: CleanDiff(diff)}, nil
}

// Clean deletes all control characters (bytes 0-31 and 127).
func Clean(s string) string {
	return strip(s, func(c byte) bool { return c < ' ' || c == 0x7f })
}

// CleanDiff deletes the control characters of a diff except line feed and tab.
func CleanDiff(s string) string {
	return strip(s, func(c byte) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0x7f })
}

// strip deletes bytes; it works on bytes because paths need not be UTF-8.
func strip(s string, drop func(byte) bool) string {
	at := 0
	for at < len(s) && !drop(s[at]) {
		at++
	}
	if at == len(s) {
		return s
	}
	out := append(make([]byte, 0, len(s)), s[:at]...)
	for ; at < len(s); at++ {
		if !drop(s[at]) {
			out = append(out, s[at])
		}
	}
	return string(out)
}

// EscapePath writes the control characters of a path as a backslash and three octal digits, as /proc/mounts does. A manager
// deletes control characters from paths and takes a line feed for the beginning of a diff; sent raw, a file called "/etc/pass<TAB>wd" would be
// recorded as a change of /etc/passwd.
func EscapePath(path string) string {
	n := 0
	for i := range len(path) {
		if control(path[i]) {
			n++
		}
	}
	if n == 0 {
		return path
	}
	out := make([]byte, 0, len(path)+3*n)
	for i := range len(path) {
		c := path[i]
		if control(c) {
			out = append(out, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

func control(c byte) bool { return c < ' ' || c == 0x7f }
