package list

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// MaxLine is the longest text line that is read whole, in bytes; what follows is read as a further line.
const MaxLine = 6142

// Entry is one key with its value.
type Entry struct{ Key, Value string }

// DB is a list in memory: an immutable table from key to value. The zero value and nil are empty lists.
type DB struct {
	entries []Entry          // in file order, repeated keys included
	index   map[string]int32 // first entry of each key
	longest int              // bytes of the longest key
}

// New makes a DB of entries; of equal keys the first one is found.
func New(entries []Entry) *DB {
	db := &DB{entries: entries, index: make(map[string]int32, len(entries))}
	for i, e := range entries {
		db.longest = max(db.longest, len(e.Key))
		if _, dup := db.index[e.Key]; !dup {
			db.index[e.Key] = int32(i)
		}
	}
	return db
}

// Get returns the value of key, compared byte by byte.
func (db *DB) Get(key string) (value string, ok bool) {
	if db == nil {
		return "", false
	}
	i, ok := db.index[key]
	if !ok {
		return "", false
	}
	return db.entries[i].Value, true
}

// GetAddress looks up the text of an address: the whole text first, then each shorter text that ends in a dot, longest first, so that
// the key "10.5." stands for a network.
func (db *DB) GetAddress(addr string) (value string, ok bool) {
	if v, ok := db.Get(addr); ok {
		return v, true
	}
	if db == nil {
		return "", false
	}
	for i := min(len(addr)-1, db.longest); i > 0; i-- { // each look costs its length: addr may be a stranger's 6000 dots
		if addr[i-1] != '.' {
			continue
		}
		if v, ok := db.Get(addr[:i]); ok {
			return v, true
		}
	}
	return "", false
}

// Len is the number of entries, repeated keys included.
func (db *DB) Len() int {
	if db == nil {
		return 0
	}
	return len(db.entries)
}

// Entries returns the entries in file order. The caller must not change them.
func (db *DB) Entries() []Entry {
	if db == nil {
		return nil
	}
	return db.entries
}

// Parse reads the text form. Per line: everything from the first CR or LF is cut, then everything from "###" and the blanks and tabs
// before it; empty lines and lines without a colon are skipped; the first colon separates key and value, which are taken as they are.
func Parse(data []byte) *DB {
	var entries []Entry
	sc := bufio.NewScanner(bytes.NewReader(data))
	sc.Split(splitLines)
	sc.Buffer(make([]byte, 0, MaxLine+1), MaxLine+2)
	for sc.Scan() {
		if e, ok := parseLine(sc.Text()); ok {
			entries = append(entries, e)
		}
	}
	return New(entries)
}

// splitLines splits at LF, and after MaxLine bytes without one.
func splitLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 && i < MaxLine {
		return i + 1, data[:i], nil
	}
	if len(data) >= MaxLine {
		return MaxLine, data[:MaxLine], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func parseLine(line string) (Entry, bool) {
	if i := strings.IndexAny(line, "\r\n\x00"); i >= 0 {
		line = line[:i]
	}
	if i := strings.Index(line, "###"); i >= 0 {
		line = strings.TrimRight(line[:i], " \t")
	}
	key, value, ok := strings.Cut(line, ":")
	return Entry{key, value}, ok
}

// Name normalises the name of a list as it stands in <rules><list> or in a rule's <list>: everything from the first ".cdb" is cut and
// a name without "/" is a file of the rules directory. The result is the path of the text form, relative to the install root.
func Name(s string) string {
	if i := strings.Index(s, ".cdb"); i >= 0 {
		s = s[:i]
	}
	if !strings.Contains(s, "/") {
		s = "rules/" + s
	}
	return s
}

func errFormat(what string, args ...any) error {
	return fmt.Errorf("not a constant database: "+what, args...)
}
