package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// File is client.keys while it is edited. It keeps every line as it stands, comments and broken ones too, and changes only what it is told to.
type File struct {
	lines   []string // without LF
	changed bool
}

// Edit reads the key file at path (missing counts as empty), lets change work on it, and replaces the file when change did anything and
// returned nil: in one step, keeping owner and group, with the given mode. Editors of this package exclude each other by a lock file.
func Edit(path string, mode os.FileMode, change func(*File) error) error {
	unlock, err := lock(path)
	if err != nil {
		return err
	}
	defer unlock()
	f, err := ReadFile(path)
	if err != nil {
		return err
	}
	if err := change(f); err != nil {
		return err
	}
	if !f.changed {
		return nil
	}
	return replaceFile(path, f.Bytes(), mode)
}

// ReadFile reads the key file at path for looking only; a missing file is empty.
func ReadFile(path string) (*File, error) {
	data, _, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading agent keys: %w", err)
	}
	return ParseFile(data), nil
}

// ParseFile takes the text of a key file.
func ParseFile(data []byte) *File {
	f := &File{}
	if text := strings.TrimSuffix(string(data), "\n"); text != "" {
		f.lines = strings.Split(text, "\n")
	}
	return f
}

// Bytes gives the text of the file.
func (f *File) Bytes() []byte {
	if len(f.lines) == 0 {
		return nil
	}
	return []byte(strings.Join(f.lines, "\n") + "\n")
}

// entryOf reads a line as OSSEC's tools do, which unlike its daemons take a line with a leading space for one with an empty id.
func entryOf(line string) (e Entry, ok bool) {
	if line == "" || line[0] == '#' {
		return e, false
	}
	id, rest, ok := strings.Cut(line, " ")
	if !ok {
		return e, false
	}
	if strings.HasPrefix(rest, "#") {
		return Entry{ID: id, Removed: true}, true
	}
	f := strings.SplitN(rest, " ", 3)
	if len(f) != 3 {
		return e, false
	}
	return Entry{ID: id, Name: f[0], IP: f[1], Key: f[2]}, true
}

// Entries gives the live entries in the order of lines.
func (f *File) Entries() []Entry {
	var out []Entry
	for _, l := range f.lines {
		if e, ok := entryOf(l); ok && !e.Removed {
			out = append(out, e)
		}
	}
	return out
}

// HasID reports whether any line begins with the id; removed agents keep theirs.
func (f *File) HasID(id string) bool {
	for _, l := range f.lines {
		if first, _, ok := strings.Cut(l, " "); ok && first == id {
			return true
		}
	}
	return false
}

func (f *File) find(match func(Entry) bool) (Entry, bool) {
	for _, l := range f.lines {
		if e, ok := entryOf(l); ok && !e.Removed && match(e) {
			return e, true
		}
	}
	return Entry{}, false
}

// ByID finds a live entry.
func (f *File) ByID(id string) (Entry, bool) {
	return f.find(func(e Entry) bool { return e.ID == id })
}

// ByName finds a live entry.
func (f *File) ByName(name string) (Entry, bool) {
	return f.find(func(e Entry) bool { return e.Name == name })
}

// ByIP finds the live entry whose ip field is the same text. Texts that begin with "any" and networks belong to nobody in particular, so
// they are never found.
func (f *File) ByIP(ip string) (Entry, bool) {
	if strings.HasPrefix(ip, "any") || strings.Contains(ip, "/") {
		return Entry{}, false
	}
	return f.find(func(e Entry) bool { return e.IP == ip })
}

// highestID bounds the search of NextID.
const highestID = 34560

// NextID proposes the id that manage_agents does: one more than the largest id in use up to 34560, removed agents included.
func (f *File) NextID() string {
	largest := 0
	for _, l := range f.lines {
		id, _, ok := strings.Cut(l, " ")
		if !ok || !ValidID(id) {
			continue
		}
		if n, err := strconv.Atoi(id); err == nil && n <= highestID && n > largest && PadID(strconv.Itoa(n)) == id {
			largest = n
		}
	}
	return PadID(strconv.Itoa(largest + 1))
}

// What an edit can be refused for.
var (
	ErrIDTaken = errors.New("id already present")
	ErrNoID    = errors.New("id not present")
)

// Add appends an entry. A trailing CR of its key is dropped.
func (f *File) Add(e Entry) error {
	e.Key = strings.TrimRight(e.Key, "\r\n")
	if strings.ContainsAny(e.String(), "\n\x00") || e.ID == "" || strings.HasPrefix(e.ID, "#") {
		return fmt.Errorf("adding agent %q: fields that cannot stand in client.keys", e.ID)
	}
	if f.HasID(e.ID) {
		return fmt.Errorf("adding agent %s: %w", e.ID, ErrIDTaken)
	}
	f.lines = append(f.lines, e.String())
	f.changed = true
	return nil
}

// Remove replaces the line of a live entry by the mark of a removed one, so that the id is not given out again, and returns what it was. No
// part of the key stays in the file.
func (f *File) Remove(id string) (Entry, error) {
	for i, l := range f.lines {
		if e, ok := entryOf(l); ok && !e.Removed && e.ID == id {
			f.lines[i] = Entry{ID: id, Removed: true}.String()
			f.changed = true
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("removing agent %s: %w", id, ErrNoID)
}

// SetOnly makes the entry the only line, as on an agent.
func (f *File) SetOnly(e Entry) {
	e.Key = strings.TrimRight(e.Key, "\r\n")
	f.lines = []string{e.String()}
	f.changed = true
}

// replaceFile writes a temporary file beside path and renames it. Where the directory is not writable (an unprivileged enrolment server) the
// file itself is overwritten.
func replaceFile(path string, data []byte, mode os.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if errors.Is(err, fs.ErrPermission) {
		return overwrite(path, data)
	}
	if err != nil {
		return fmt.Errorf("writing agent keys: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
			err = fmt.Errorf("writing agent keys: %w", err)
		}
	}()
	_, err = tmp.Write(data)
	if err == nil {
		err = inheritOwner(tmp, path)
	}
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	return err
}

func overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("writing agent keys: %w", err)
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing agent keys: %w", err)
	}
	return nil
}

// Append adds one line to the key file at path without reading it, for an editor that knows its content and holds the lock of Lock.
func Append(path string, e Entry, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, mode)
	if err != nil {
		return fmt.Errorf("adding agent key: %w", err)
	}
	defer f.Close()
	line := e.String() + "\n"
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("adding agent key: %w", err)
	}
	if end > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], end-1); err != nil {
			return fmt.Errorf("adding agent key: %w", err)
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line); err != nil {
		return fmt.Errorf("adding agent key: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("adding agent key: %w", err)
	}
	return nil
}

// Lock excludes other editors of the key file at path, in this and other processes, until the returned function is called.
func Lock(path string) (unlock func(), err error) { return lock(path) }

// Replace adds one line to the key file at path by replacing the file, for an editor that holds the lock of Lock.
func Replace(path string, e Entry, mode os.FileMode) error {
	f, err := ReadFile(path)
	if err != nil {
		return err
	}
	if err := f.Add(e); err != nil {
		return err
	}
	return replaceFile(path, f.Bytes(), mode)
}

// EachID calls f with the first field of each line that has one, removed agents included.
func (f *File) EachID(call func(id string)) {
	for _, l := range f.lines {
		if id, _, ok := strings.Cut(l, " "); ok && id != "" {
			call(id)
		}
	}
}
