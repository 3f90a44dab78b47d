package agentwire

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// AppendMerged appends one file to a bundle: "!<size> <name>\n" and the content (spec protocol.md, section 13).
func AppendMerged(dst []byte, name string, content []byte) []byte {
	dst = append(dst, '!')
	dst = strconv.AppendInt(dst, int64(len(content)), 10)
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, '\n')
	return append(dst, content...)
}

// ReadMerged calls file for each file of a bundle, in order. Lines between files that do not begin with "!" and a size are skipped,
// as agents do. The names are as written: check them with SafeName. An entry that is longer than the bundle ends the reading with an
// error. content is a part of data.
func ReadMerged(data []byte, file func(name string, content []byte)) error {
	for len(data) > 0 {
		line, rest, found := bytes.Cut(data, []byte{'\n'})
		data = rest
		if !found || len(line) < 2 || line[0] != '!' {
			continue
		}
		digits, name, ok := strings.Cut(string(line[1:]), " ")
		size, err := strconv.ParseUint(digits, 10, 31)
		if !ok || err != nil {
			continue
		}
		if size > uint64(len(data)) {
			return fmt.Errorf("bundle ends inside %q: %d of %d bytes", name, len(data), size)
		}
		file(name, data[:size])
		data = data[size:]
	}
	return nil
}

// SafeName reports whether a name from the other side may become a file of etc/shared: one path element, not hidden, no control
// characters, at most 255 bytes, and not the bundle itself.
func SafeName(name string) bool {
	if name == "" || len(name) > 255 || name[0] == '.' || name == MergedName {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\\' }) < 0
}

// ParseFileBegin reads "up file <md5> <name>\n" (header removed; text begins with FileBegin). The name is made harmless as agents do: cut
// at the line feed, "/" and a leading "." become "-". It reports false when the sum or the name is missing.
func ParseFileBegin(text []byte) (md5, name string, ok bool) {
	rest, ok := strings.CutPrefix(string(text), FileBegin)
	if !ok {
		return "", "", false
	}
	md5, name, ok = strings.Cut(rest, " ")
	if !ok || len(md5) != 32 {
		return "", "", false
	}
	name, _, _ = strings.Cut(name, "\n")
	if i := strings.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	name = strings.ReplaceAll(name, "/", "-")
	if strings.HasPrefix(name, ".") {
		name = "-" + name[1:]
	}
	if name != MergedName && !SafeName(name) {
		return "", "", false
	}
	return md5, name, true
}
