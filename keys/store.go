package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// maxFile bounds how much of client.keys is read: room for 400,000 agents.
const maxFile = 64 << 20

// Store is client.keys in memory, kept up to date by Reload. All methods are safe for concurrent use; look-ups never wait for a reload.
type Store struct {
	path string
	set  atomic.Pointer[Set]

	mu   sync.Mutex // one reload at a time
	seen os.FileInfo
	read time.Time // when seen was taken
}

// Open reads the key file at path. The Store is usable (and empty) even when it returns an error, so that a manager which may start without
// keys can wait for the file: the error then wraps fs.ErrNotExist. Bad lines are no error; see Problems.
func Open(path string) (*Store, error) {
	s := &Store{path: path}
	s.set.Store(Parse(nil))
	_, err := s.Reload()
	return s, err
}

// Changes tells what a reload did. An entry of which any field changed is in both lists.
type Changes struct {
	Loaded  bool // the file was read
	Added   []*Key
	Removed []*Key
}

// Reload reads the file again when its time, size or inode differ from the last time, and does nothing else; calling it every few
// seconds, and when an unknown agent knocks, is cheap. Entries whose line did not change keep their *Key and all state. When the file is
// missing or unreadable the keys stay as they are.
func (s *Store) Reload() (Changes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := os.Stat(s.path)
	if err != nil {
		return Changes{}, fmt.Errorf("reading agent keys: %w", err)
	}
	if s.unchanged(st) {
		return Changes{}, nil
	}
	now := time.Now()
	data, st, err := readFile(s.path)
	if err != nil {
		return Changes{}, fmt.Errorf("reading agent keys: %w", err)
	}
	old := s.set.Load()
	next := parseReusing(data, old)
	ch := diff(old, next)
	s.set.Store(next)
	s.seen, s.read = st, now
	return ch, nil
}

// unchanged compares with the last load. A file that was written within the clock's resolution of that load may have been written again
// since, with the same time and size, so it counts as changed once more.
func (s *Store) unchanged(st os.FileInfo) bool {
	const resolution = 2 * time.Second
	return s.seen != nil && os.SameFile(st, s.seen) && st.Size() == s.seen.Size() && st.ModTime().Equal(s.seen.ModTime()) &&
		s.read.Sub(st.ModTime()) > resolution
}

// readFile returns the content together with the attributes of the file that was read.
func readFile(path string) ([]byte, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > maxFile {
		return nil, nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d MiB", maxFile>>20)}
	}
	return data, st, nil
}

// diff finds added and removed entries, and lets a changed entry with the same id and key text inherit the counters, so that what
// was recorded before the change cannot be played back after it.
func diff(old, next *Set) Changes {
	ch := Changes{Loaded: true}
	kept := make(map[*Key]bool, len(old.keys))
	for _, k := range old.keys {
		kept[k] = false
	}
	for _, k := range next.keys {
		if _, ok := kept[k]; ok {
			kept[k] = true
			continue
		}
		if before := old.byID[k.ID]; before != nil {
			k.newSecret = before.secret != k.secret
			if !k.newSecret {
				k.replay.Store(before.replay.Load())
			}
		}
		ch.Added = append(ch.Added, k)
	}
	for _, k := range old.keys {
		if !kept[k] {
			ch.Removed = append(ch.Removed, k)
		}
	}
	return ch
}

// Path is where the keys come from.
func (s *Store) Path() string { return s.path }

// Set gives the present content, for several look-ups that must agree.
func (s *Store) Set() *Set { return s.set.Load() }

// All gives the usable keys in the order of lines. The caller must not change the slice.
func (s *Store) All() []*Key { return s.Set().All() }

// Len is the number of usable keys.
func (s *Store) Len() int { return len(s.Set().keys) }

// Problems lists the lines that could not be used at the last load.
func (s *Store) Problems() []Problem { return s.Set().Problems() }

// ByID finds a key by the exact text of its id.
func (s *Store) ByID(id string) *Key { return s.Set().ByID(id) }

// ByIP finds a key by the text of its ip field without prefix length.
func (s *Store) ByIP(text string) *Key { return s.Set().ByIP(text) }

// ByName finds the first key with a name.
func (s *Store) ByName(name string) *Key { return s.Set().ByName(name) }

// Route finds the key that a packet from src must be opened with, and takes the id prefix off; see Set.Route.
func (s *Store) Route(packet []byte, src netip.Addr) (*Key, []byte, error) {
	return s.Set().Route(packet, src)
}

// ReleaseIdle drops the cipher schedules of all keys that were not used since the last call and returns how many had one.
func (s *Store) ReleaseIdle() int {
	n := 0
	for _, k := range s.All() {
		if k.Release() {
			n++
		}
	}
	return n
}

// First gives the key that an agent process uses, nil when there is none.
func (s *Store) First() *Key { return s.Set().First() }
