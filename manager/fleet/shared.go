package fleet

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/internal/atomicfile"
	"github.com/vedette-hids/vedette/internal/olog"
)

// sharedFile is one file that agents get; never changed after it was made.
type sharedFile struct {
	name string
	md5  string
	data []byte
}

// shared is etc/shared in memory: the bundle, and the single files for very old agents.
type shared struct {
	dir string
	log *olog.Log

	mu     sync.Mutex
	stamp  string // what the directory looked like
	merged *sharedFile
	files  []*sharedFile // sorted by name
}

const maxShared = 64 << 20 // of one file and of the bundle

// current gives the bundle (nil: there is none yet) and the files.
func (s *shared) current() (*sharedFile, []*sharedFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.merged, s.files
}

// refresh builds merged.mg again when a file changed. The entries are sorted by name, so that equal files always give an equal sum.
func (s *shared) refresh() error {
	entries, err := os.ReadDir(s.dir) // sorted
	if err != nil {
		return err
	}
	stamp, names := s.look(entries)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.merged != nil && stamp == s.stamp {
		return nil
	}
	var files []*sharedFile
	var bundle []byte
	for _, name := range names {
		f, err := readShared(filepath.Join(s.dir, name), name)
		if err != nil {
			s.log.Every("shared "+name, time.Hour).Text("Error accessing file '%s'", filepath.Join(s.dir, name))
			continue
		}
		if bytes.IndexByte(f.data, 0) >= 0 {
			// OSSEC's agents end each piece of a file at a NUL, so that the sum of the whole bundle would be wrong for them, each time.
			s.log.Every("shared "+name, time.Hour).Warn("File '%s' is not sent to agents: it holds NUL bytes, and agents take text only.", filepath.Join(s.dir, name))
			continue
		}
		files = append(files, f)
		bundle = agentwire.AppendMerged(bundle, name, f.data)
	}
	if len(bundle) > maxShared {
		return fmt.Errorf("the files of %s are larger than %d MiB together", s.dir, maxShared>>20)
	}
	merged := newSharedFile(agentwire.MergedName, bundle)
	path := filepath.Join(s.dir, agentwire.MergedName)
	if old, err := os.ReadFile(path); err != nil || string(old) != string(bundle) {
		if err := atomicfile.Write(path, bundle, 0o640); err != nil {
			return err
		}
	}
	s.stamp, s.merged, s.files = stamp, merged, files
	return nil
}

// look lists what belongs into the bundle and describes it, so that a change shows.
func (s *shared) look(entries []fs.DirEntry) (stamp string, names []string) {
	h := md5.New()
	for _, e := range entries {
		name := e.Name()
		if !agentwire.SafeName(name) {
			continue
		}
		st, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil || !st.Mode().IsRegular() {
			if err == nil || !errors.Is(err, fs.ErrNotExist) {
				s.log.Every("shared "+name, time.Hour).Text("Error accessing file '%s'", filepath.Join(s.dir, name))
			}
			continue
		}
		fmt.Fprintf(h, "%q %d %d\n", name, st.Size(), st.ModTime().UnixNano())
		names = append(names, name)
	}
	return string(h.Sum(nil)), names
}

func readShared(path, name string) (*sharedFile, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxShared {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxShared>>20)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return newSharedFile(name, data), nil
}

func newSharedFile(name string, data []byte) *sharedFile {
	sum := md5.Sum(data)
	return &sharedFile{name: name, md5: hex.EncodeToString(sum[:]), data: data}
}
