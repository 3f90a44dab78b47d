package syscheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// The baseline file. A directory has a number, and the files of a directory are keys "number name": a path is stored once per directory, the
// entries of a directory lie together, and a directory with a million files is read in pieces.
var (
	bucketDirs  = []byte("dirs")  // path → number (8 bytes, big endian)
	bucketFiles = []byte("files") // number, name → entry
	bucketGone  = []byte("gone")  // sequence number → path that was reported as deleted
	bucketMeta  = []byte("meta")
	metaVersion = []byte("version")
	metaResume  = []byte("resume") // where an interrupted base-line scan stopped
)

const (
	storeVersion = 1
	maxPending   = 8192    // changes kept in memory before they are written
	maxGone      = 8192    // deletions that are remembered for the next process
	dropEvery    = 4 << 20 // bytes read through the mapping before its pages are handed back
)

// store is the agent's baseline: path → entry. Changes are collected in memory and written in batches; readers see
// them at once. Safe for concurrent use.
type store struct {
	mu      sync.Mutex
	db      *bolt.DB
	last    uint64                       // highest directory number
	dirs    map[string]uint64            // pending: new directories; 0 = removed
	under   map[string][]string          // pending: directory → names in it that lead to new directories
	files   map[uint64]map[string]*entry // pending: directory number → name → entry; nil = removed
	changes int                          // number of pending entries
	gone    []string                     // pending: deletions
	oldDirs map[string]uint64            // small cache of numbers in the file
	read    int
}

// errLocked says that another process has the baseline open.
var errLocked = errors.New("the baseline is in use by another process (is the agent running?)")

// errStore marks failures of the baseline file, such as a full disk. They do not end the monitor: what could not be stored is found again.
var errStore = errors.New("writing the baseline")

// openStore opens or creates the baseline at path. A file that cannot be read is set aside under the name path.corrupt, which
// is reported as aside.
func openStore(path string) (s *store, aside error, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, nil, fmt.Errorf("baseline directory: %w", err)
	}
	s, err = tryOpen(path)
	if err == nil || errors.Is(err, errLocked) {
		return s, nil, err
	}
	if _, serr := os.Stat(path); serr != nil {
		return nil, nil, err
	}
	aside = err
	if err := os.Rename(path, path+".corrupt"); err != nil {
		return nil, aside, fmt.Errorf("setting the unreadable baseline aside: %w", err)
	}
	s, err = tryOpen(path)
	return s, aside, err
}

func tryOpen(path string) (s *store, err error) {
	defer func() {
		if p := recover(); p != nil { // bbolt panics on some damaged pages
			s, err = nil, fmt.Errorf("baseline %s: damaged: %v", path, p)
		}
	}()
	// The free list is stored: without it bbolt reads the whole file at every open, and the agent would hold it in memory.
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("baseline %s: %w", path, errLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("baseline %s: %w", path, err)
	}
	s = &store{db: db}
	s.reset()
	if err := db.Update(s.prepare); err != nil {
		db.Close()
		return nil, fmt.Errorf("baseline %s: %w", path, err)
	}
	s.oldDirs = map[string]uint64{}
	return s, nil
}

func (s *store) reset() {
	s.dirs = map[string]uint64{}
	s.under = map[string][]string{}
	s.files = map[uint64]map[string]*entry{}
	s.changes = 0
	s.gone = nil
}

// prepare makes the buckets and finds the highest directory number.
func (s *store) prepare(tx *bolt.Tx) error {
	for _, name := range [][]byte{bucketDirs, bucketFiles, bucketGone, bucketMeta} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	if v := meta.Get(metaVersion); v != nil && (len(v) != 1 || v[0] != storeVersion) {
		return fmt.Errorf("unknown version %v", v)
	}
	s.last = tx.Bucket(bucketDirs).Sequence()
	return meta.Put(metaVersion, []byte{storeVersion})
}

// close writes what is pending and closes the file.
func (s *store) close() error {
	err := s.flush()
	return errors.Join(err, s.db.Close())
}

// dir gives the number of a directory, 0 if it is unknown.
func (s *store) dir(path string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirLocked(path)
}

func (s *store) dirLocked(path string) uint64 {
	if n, ok := s.dirs[path]; ok {
		return n
	}
	if n, ok := s.oldDirs[path]; ok {
		return n
	}
	var n uint64
	s.view(func(tx *bolt.Tx) {
		if v := tx.Bucket(bucketDirs).Get([]byte(path)); len(v) == 8 {
			n = binary.BigEndian.Uint64(v)
		}
	})
	if len(s.oldDirs) >= 256 {
		clear(s.oldDirs)
	}
	s.oldDirs[path] = n
	return n
}

// view runs a read transaction. The only errors are those of a closed database, whose readers have ended.
func (s *store) view(f func(*bolt.Tx)) {
	_ = s.db.View(func(tx *bolt.Tx) error { f(tx); return nil })
}

// ensureDir gives the number of a directory, a new one if it is unknown.
func (s *store) ensureDir(path string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ensureLocked(path)
}

func (s *store) ensureLocked(path string) uint64 {
	if n := s.dirLocked(path); n != 0 {
		return n
	}
	s.last++
	s.dirs[path] = s.last
	for path != "/" && path != "." {
		dir, name := split(path)
		names := s.under[dir]
		if slices.Contains(names[max(0, len(names)-1):], name) { // the last one, as walks come by
			break
		}
		s.under[dir] = append(names, name)
		if len(names) > 0 {
			break
		}
		path = dir
	}
	return s.last
}

// get finds the entry of a path.
func (s *store) get(path string) (e entry, ok bool) {
	dir, name := split(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.dirLocked(dir)
	if n == 0 {
		return entry{}, false
	}
	if p, pending := s.files[n][name]; pending {
		if p == nil {
			return entry{}, false
		}
		return *p, true
	}
	s.view(func(tx *bolt.Tx) {
		if v := tx.Bucket(bucketFiles).Get(fileKeyBytes(n, name)); v != nil {
			ok = e.decode(v)
		}
	})
	return e, ok
}

// put stores the entry of a path.
func (s *store) put(path string, e *entry) error {
	dir, name := split(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(s.ensureLocked(dir), name, e)
	return s.flushIfFull()
}

// remove forgets a path.
func (s *store) remove(path string) error {
	dir, name := split(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.dirLocked(dir); n != 0 {
		s.set(n, name, nil)
	}
	return s.flushIfFull()
}

// reportedGone forgets a path whose deletion was handed on. The next process says it once more, in case that this one is killed while the
// message is on its way: nothing else would tell of it.
func (s *store) reportedGone(path string) error {
	s.mu.Lock()
	s.gone = append(s.gone, path)
	s.mu.Unlock()
	return s.remove(path)
}

// goneList gives the deletions that were handed on, oldest first, and the number of the last one.
func (s *store) goneList() (paths []string, last uint64) {
	s.view(func(tx *bolt.Tx) {
		c := tx.Bucket(bucketGone).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			paths, last = append(paths, string(v)), binary.BigEndian.Uint64(k)
		}
	})
	return paths, last
}

// dropGone forgets the deletions up to a number.
func (s *store) dropGone(last uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketGone)
		for k, _ := b.Cursor().First(); k != nil && binary.BigEndian.Uint64(k) <= last; k, _ = b.Cursor().First() {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	return nil
}

// writeGone adds the pending deletions and drops the oldest beyond maxGone.
func (s *store) writeGone(tx *bolt.Tx) error {
	b := tx.Bucket(bucketGone)
	for _, path := range s.gone {
		n, err := b.NextSequence()
		if err != nil {
			return err
		}
		if err := b.Put(binary.BigEndian.AppendUint64(nil, n), []byte(path)); err != nil {
			return err
		}
		if n > maxGone {
			if err := b.Delete(binary.BigEndian.AppendUint64(nil, n-maxGone)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *store) set(dir uint64, name string, e *entry) {
	m := s.files[dir]
	if m == nil {
		m = map[string]*entry{}
		s.files[dir] = m
	}
	m[name] = e
	s.changes++
}

// removeDir forgets a directory unless it still has files.
func (s *store) removeDir(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.dirLocked(path)
	if n == 0 {
		return
	}
	empty := true
	for _, e := range s.files[n] {
		empty = empty && e == nil
	}
	prefix := fileKeyBytes(n, "")
	s.view(func(tx *bolt.Tx) {
		c := tx.Bucket(bucketFiles).Cursor()
		for k, _ := c.Seek(prefix); empty && k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			_, empty = s.files[n][string(k[8:])] // the pending entries of n are removals here
		}
	})
	if empty {
		s.dirs[path] = 0
	}
}

func (s *store) flushIfFull() error {
	if s.changes+len(s.dirs) < maxPending {
		return nil
	}
	return s.flushLocked()
}

// flush writes what is pending and waits until it is on disk.
func (s *store) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushLocked()
}

func (s *store) flushLocked() error {
	if s.changes == 0 && len(s.dirs) == 0 {
		return nil
	}
	if err := s.db.Update(s.write); err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	s.reset()
	clear(s.oldDirs)
	s.drop()
	return nil
}

func (s *store) write(tx *bolt.Tx) error {
	if err := s.writeGone(tx); err != nil {
		return err
	}
	dirs, files := tx.Bucket(bucketDirs), tx.Bucket(bucketFiles)
	if err := dirs.SetSequence(s.last); err != nil {
		return err
	}
	for path, n := range s.dirs {
		if n == 0 {
			if err := dirs.Delete([]byte(path)); err != nil {
				return err
			}
			continue
		}
		if err := dirs.Put([]byte(path), binary.BigEndian.AppendUint64(nil, n)); err != nil {
			return err
		}
	}
	for _, n := range slices.Sorted(maps.Keys(s.files)) { // in the order of the file, which makes a batch several times faster
		for _, name := range slices.Sorted(maps.Keys(s.files[n])) {
			key, e := fileKeyBytes(n, name), s.files[n][name]
			if e == nil {
				if err := files.Delete(key); err != nil {
					return err
				}
				continue
			}
			if err := files.Put(key, e.encode(make([]byte, 0, 144))); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop hands the pages of the mapping back to the page cache, so that a baseline of a million files does not count as memory of the agent.
// Inside a transaction the mapping cannot move and is at least as long as the transaction's view of the file.
func (s *store) drop() {
	s.read = 0
	s.view(func(tx *bolt.Tx) {
		if info := s.db.Info(); info != nil {
			dropResident(info.Data, int(tx.Size()))
		}
	})
}

// named is one entry of a directory.
type named struct {
	name string
	entry
}

// entries appends to list up to limit entries of directory n and what is pending between them, ordered by name, beginning with from;
// next is the name to go on with, "" at the end.
func (s *store) entries(list []named, n uint64, from string, limit int) (_ []named, next string) {
	s.mu.Lock()
	pending := maps.Clone(s.files[n]) // before the file is read: what is flushed in between is seen twice, not never
	s.mu.Unlock()
	prefix := binary.BigEndian.AppendUint64(nil, n)
	size := 0
	s.view(func(tx *bolt.Tx) { // must not take s.mu: a writer that holds it may wait for readers
		c := tx.Bucket(bucketFiles).Cursor()
		for k, v := c.Seek(fileKeyBytes(n, from)); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if len(list) == limit {
				next = string(k[8:])
				return
			}
			e := named{name: string(k[8:])}
			if e.decode(v) {
				list = append(list, e)
			}
			size += len(k) + len(v)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read += size; s.read > dropEvery {
		s.drop()
	}
	return overlay(list, pending, from, next), next
}

// overlay puts the pending entries from name from up to (not including) next into list.
func overlay(list []named, pending map[string]*entry, from, next string) []named {
	if len(pending) == 0 {
		return list
	}
	list = slices.DeleteFunc(list, func(e named) bool { _, ok := pending[e.name]; return ok })
	for name, e := range pending {
		if e != nil && name >= from && (next == "" || name < next) {
			list = append(list, named{name, *e})
		}
	}
	slices.SortFunc(list, func(a, b named) int { return strings.Compare(a.name, b.name) })
	return list
}

// hasTree reports whether the baseline knows path as a directory, or a directory below it.
func (s *store) hasTree(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirLocked(path) != 0 {
		return true
	}
	for dir, n := range s.dirs {
		if n != 0 && within(dir, path) {
			return true
		}
	}
	found := false
	prefix := []byte(join(path, ""))
	s.view(func(tx *bolt.Tx) {
		k, _ := tx.Bucket(bucketDirs).Cursor().Seek(prefix)
		found = bytes.HasPrefix(k, prefix)
	})
	return found
}

// children lists the names directly below dir that lead to known directories.
func (s *store) children(dir string) (names []string) {
	prefix := []byte(join(dir, ""))
	s.mu.Lock()
	names = slices.Clone(s.under[dir])
	s.mu.Unlock()
	s.view(func(tx *bolt.Tx) {
		c := tx.Bucket(bucketDirs).Cursor()
		for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); {
			name, _, deeper := bytes.Cut(k[len(prefix):], []byte{'/'})
			if len(name) > 0 {
				names = append(names, string(name))
			}
			if deeper { // go on after the child's subtree
				k, _ = c.Seek(append(append(slices.Clone(prefix), name...), '/'+1))
				continue
			}
			k, _ = c.Next()
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// pendingDirs lists the directories that are not in the file yet.
func (s *store) pendingDirs() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for path, n := range s.dirs {
		if n != 0 {
			list = append(list, path)
		}
	}
	return list
}

// below lists dir and every known directory below it.
func (s *store) below(dir string) (dirs []string) {
	prefix := []byte(join(dir, ""))
	for _, path := range s.pendingDirs() {
		if within(path, dir) {
			dirs = append(dirs, path)
		}
	}
	s.view(func(tx *bolt.Tx) {
		b := tx.Bucket(bucketDirs)
		if dir != "/" && b.Get([]byte(dir)) != nil {
			dirs = append(dirs, dir)
		}
		c := b.Cursor()
		for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			dirs = append(dirs, string(k))
		}
	})
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// count gives the number of files in the baseline, as far as it is written.
func (s *store) count() (n int) {
	s.view(func(tx *bolt.Tx) { n = tx.Bucket(bucketFiles).Stats().KeyN })
	return n
}

// resume reads and setResume stores the directory at which an interrupted base-line scan goes on; "" = none.
func (s *store) resume() (at string) {
	s.view(func(tx *bolt.Tx) { at = string(tx.Bucket(bucketMeta).Get(metaResume)) })
	return at
}

func (s *store) setResume(at string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.Update(func(tx *bolt.Tx) error {
		if at == "" {
			return tx.Bucket(bucketMeta).Delete(metaResume)
		}
		return tx.Bucket(bucketMeta).Put(metaResume, []byte(at))
	})
}
