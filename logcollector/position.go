package logcollector

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// position is what is known of a file that is followed: enough to find it again, whatever its name is then, and to go on in it.
type position struct {
	Entry  string // location of the configuration that it belongs to
	ID     identity
	Offset int64 // everything before it is delivered
	Mtime  int64 // when the file was last seen to change, ns
	Print  fingerprint
	State  string // what the assembler remembers of earlier lines
}

// positions is the store: path to position. On disk it is a file of JSON lines of which the last one about a path holds; what changes is
// appended, and the file is written anew when most of it is outdated. It is not synced: after a crash of the machine the last lines may be
// missing, and then some events are sent twice.
type positions struct {
	mu      sync.Mutex // the journal's goroutine stores its cursor
	file    string     // "" = nothing is stored
	known   map[string]position
	entries map[string]bool   // locations that were followed before
	cursors map[string]string // of journals, by location
	moved   map[string]bool   // whose cursors have to be stored
	pending bytes.Buffer      // lines to append
	changes int               // number of pending lines
	size    int64             // of the file
	rewrite bool              // the file has to be written anew
}

// record is one line of the store.
type record struct {
	Path   string `json:"p,omitempty"` // a file; its other members follow
	Entry  string `json:"e,omitempty"` // "" = same as Path; without a Path: this location was followed
	Dev    uint64 `json:"d,omitempty"`
	Ino    uint64 `json:"i,omitempty"`
	Offset int64  `json:"o,omitempty"`
	Mtime  int64  `json:"t,omitempty"`
	Len    int    `json:"n,omitempty"`
	Sum    uint64 `json:"s,omitempty"`
	State  string `json:"a,omitempty"`
	Gone   bool   `json:"gone,omitempty"` // the file is not followed any more
	Unit   string `json:"unit,omitempty"` // a journal
	Cursor string `json:"cursor,omitempty"`
}

func newPositions(file string) *positions {
	return &positions{file: file, known: map[string]position{}, entries: map[string]bool{}, cursors: map[string]string{}, moved: map[string]bool{}}
}

// loadPositions reads a store. Lines that cannot be read are left out; the error tells of them, and the store can be used nevertheless.
func loadPositions(file string) (*positions, error) {
	p := newPositions(file)
	if file == "" {
		return p, nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("reading log positions: %w", err)
	}
	if bad := p.read(data); bad > 0 {
		return p, fmt.Errorf("reading log positions from %s: %d lines are damaged", file, bad)
	}
	return p, nil
}

// read takes what a store holds and returns how many lines cannot be read.
func (p *positions) read(data []byte) (bad int) {
	p.size = int64(len(data))
	for line := range bytes.Lines(data) {
		var r record
		if json.Unmarshal(line, &r) != nil {
			bad++
			continue
		}
		p.apply(r)
	}
	p.rewrite = bad > 0 || (len(data) > 0 && data[len(data)-1] != '\n')
	return bad
}

func (p *positions) apply(r record) {
	r.Path, r.Entry = decodeName(r.Path), decodeName(r.Entry)
	switch {
	case r.Unit != "":
		p.cursors[r.Unit] = r.Cursor
	case r.Path == "":
		p.entries[r.Entry] = true
	case r.Gone:
		delete(p.known, r.Path)
	case r.Offset >= 0 && r.Len >= 0 && r.Len <= maxPrint:
		if r.Entry == "" {
			r.Entry = r.Path
		}
		p.known[r.Path] = position{Entry: r.Entry, ID: identity{r.Dev, r.Ino}, Offset: r.Offset, Mtime: r.Mtime,
			Print: fingerprint{r.Len, r.Sum}, State: r.State}
	}
}

func (pos position) record(path string) record {
	r := record{Path: encodeName(path), Dev: pos.ID.dev, Ino: pos.ID.ino, Offset: pos.Offset, Mtime: pos.Mtime, Len: pos.Print.Len, Sum: pos.Print.Sum,
		State: pos.State}
	if pos.Entry != path {
		r.Entry = encodeName(pos.Entry)
	}
	return r
}

// encodeName keeps names that are not UTF-8 whole in JSON. No name begins with a NUL.
func encodeName(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return "\x00" + base64.StdEncoding.EncodeToString([]byte(s))
}

func decodeName(s string) string {
	if b64, ok := strings.CutPrefix(s, "\x00"); ok {
		if b, err := base64.StdEncoding.DecodeString(b64); err == nil {
			return string(b)
		}
	}
	return s
}

// forgetAll makes the store as if nothing of these entries had ever been followed.
func (p *positions) forgetAll(of func(entry string) bool) {
	for path, pos := range p.known {
		if of(pos.Entry) {
			p.drop(path)
		}
	}
	for e := range p.entries {
		if of(e) {
			delete(p.entries, e)
			p.rewrite = true
		}
	}
}

// put notes a position; flush stores it.
func (p *positions) put(path string, pos position) {
	if p.known[path] != pos {
		p.known[path] = pos
		p.add(pos.record(path))
	}
}

func (p *positions) drop(path string) {
	if _, ok := p.known[path]; ok {
		delete(p.known, path)
		p.add(record{Path: encodeName(path), Gone: true})
	}
}

func (p *positions) follow(entry string) {
	if !p.entries[entry] {
		p.entries[entry] = true
		p.add(record{Entry: encodeName(entry)})
	}
}

func (p *positions) setCursor(unit, cursor string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cursors[unit] != cursor {
		p.cursors[unit] = cursor
		p.moved[unit] = true
	}
}

func (p *positions) cursor(unit string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cursors[unit]
}

func (p *positions) add(r record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addLocked(r)
}

func (p *positions) addLocked(r record) {
	if p.file == "" {
		return
	}
	line, err := json.Marshal(r)
	if err != nil { // cannot happen with these types
		return
	}
	p.pending.Write(line)
	p.pending.WriteByte('\n')
	p.changes++
}

// slack is how much outdated text the file may hold beside what counts.
const slack = 256 << 10

// flush stores what was noted and reports how many lines that were.
func (p *positions) flush() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for unit := range p.moved {
		p.addLocked(record{Unit: unit, Cursor: p.cursors[unit]})
	}
	clear(p.moved)
	n := p.changes
	if p.file == "" || (n == 0 && !p.rewrite) {
		return 0, nil
	}
	if p.rewrite || p.size+int64(p.pending.Len()) > slack+3*p.live() {
		return n, p.writeAll()
	}
	f, err := os.OpenFile(p.file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return n, fmt.Errorf("storing log positions: %w", err)
	}
	_, err = f.Write(p.pending.Bytes())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		p.rewrite = true // a part may have been written; what is known is written as a whole next time
		p.stored()
		return n, fmt.Errorf("storing log positions in %s: %w", p.file, err)
	}
	p.size += int64(p.pending.Len())
	p.stored()
	return n, nil
}

func (p *positions) stored() {
	p.changes = 0
	if p.pending.Cap() > slack {
		p.pending = bytes.Buffer{}
	}
	p.pending.Reset()
}

// live estimates how large the file would be with what counts only.
func (p *positions) live() int64 { return int64(len(p.known)+len(p.entries)+len(p.cursors)) * 160 }

func (p *positions) writeAll() error {
	all := p.everything()
	if err := atomicfile.Write(p.file, all, 0o640); err != nil {
		p.rewrite = true
		return fmt.Errorf("storing log positions: %w", err)
	}
	p.size, p.rewrite = int64(len(all)), false
	p.stored()
	return nil
}

// everything is the store as it is written anew.
func (p *positions) everything() []byte {
	var all bytes.Buffer
	enc := json.NewEncoder(&all)
	for e := range p.entries {
		enc.Encode(record{Entry: encodeName(e)}) //nolint:errcheck // into memory
	}
	for unit, c := range p.cursors {
		enc.Encode(record{Unit: unit, Cursor: c}) //nolint:errcheck // as above
	}
	for path, pos := range p.known {
		enc.Encode(pos.record(path)) //nolint:errcheck // as above
	}
	return all.Bytes()
}
