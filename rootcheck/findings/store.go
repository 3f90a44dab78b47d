package findings

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// Limits that keep a host which reports without end from filling memory and disk.
const (
	maxFile      = 32 << 20 // bytes of one location's file
	maxLocations = 1 << 16
	maxSources   = 8 // locations of one host besides "rootcheck"
)

// ErrLocation is returned for a location that cannot be a file name.
var ErrLocation = errors.New("location cannot be a file name")

// Store is the findings of all locations. It is safe for concurrent use; events of one location should come in order.
type Store struct {
	dir  string
	log  *olog.Log
	seed maphash.Seed

	mu      sync.Mutex
	known   map[string]*location
	sources map[string]int // by host: its locations in known besides "rootcheck"
}

// location is the index of one file.
type location struct {
	mu    sync.Mutex
	file  os.FileInfo // identity and size of the file that was indexed; nil: none
	size  int64       // to which the file was indexed
	lines map[uint64]place
}

// place is where a line stands.
type place struct {
	at  int64
	old bool // a line without times
}

// Open makes the store of a directory, queue/rootcheck of an install root. The directory is made when the first finding is stored.
func Open(dir string) *Store {
	return &Store{dir: dir, seed: maphash.MakeSeed(), known: make(map[string]*location), sources: make(map[string]int)}
}

// SetLog gives the store a log for errors of the files. It is to be called before the first Apply.
func (s *Store) SetLog(log *olog.Log) { s.log = log }

// Apply decides on a rootcheck message: it stores the text and fills the event's decoded part: texts, decoder, type, FirstSeen and File. An
// error of the files is logged and the event counts as seen for the first time, so that nothing is hidden by a full disk. The only error
// returned is one that wraps ErrLocation; the event is filled then too.
func (s *Store) Apply(ev *event.Event) error {
	text := clean(ev.Raw)
	ev.FullLog, ev.Log = text, text
	ev.Decoder, ev.DecodedAs, ev.Type = "rootcheck", "rootcheck", event.TypeOSSEC
	ev.FirstSeen = true
	ev.File = fileOf(text)
	loc, err := s.location(ev.Location)
	if err != nil {
		return err
	}
	first, err := s.record(loc, filepath.Join(s.dir, ev.Location), text, ev.Received.Unix())
	if err != nil {
		s.log.Every("findings", 60e9).Error("Unable to store rootcheck finding: %v", err)
		return nil
	}
	ev.FirstSeen = first
	return nil
}

func (s *Store) location(name string) (*location, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.known[name]
	if l == nil {
		if len(s.known) >= maxLocations {
			return nil, fmt.Errorf("%q: %w: too many locations", name, ErrLocation)
		}
		if host, source := splitLocation(name); source != LocalLocation {
			if s.sources[host] >= maxSources {
				return nil, fmt.Errorf("%q: %w: too many sources of one host", name, ErrLocation)
			}
			s.sources[strings.Clone(host)]++
		}
		l = &location{}
		s.known[strings.Clone(name)] = l
	}
	return l, nil
}

// splitLocation gives the label of an agent, "" for the manager's own host, and the source behind it.
func splitLocation(name string) (host, source string) {
	if host, source, ok := strings.Cut(name, "->"); ok && name[0] == '(' {
		return host, source
	}
	return "", name
}

// checkName refuses names that would lead elsewhere.
func checkName(name string) error {
	if name == "" || name[0] == '.' || len(name) > 255 || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%.80q: %w", name, ErrLocation)
	}
	return nil
}

// record stores a text and tells whether it is new.
func (s *Store) record(l *location, path, text string, now int64) (first bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := openFile(path)
	if err != nil {
		return false, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if err := s.refresh(l, f); err != nil {
		return false, fmt.Errorf("reading %s: %w", path, err)
	}
	p, key, found, err := s.find(l, f, text)
	switch {
	case err != nil:
		return false, fmt.Errorf("reading %s: %w", path, err)
	case found && p.old:
		return false, nil
	case found:
		_, err = f.WriteAt(stamp(now), p.at+1)
		return false, err
	case l.size+int64(len(text)) > maxFile:
		return true, fmt.Errorf("%s is larger than %d bytes: clear it with rootcheck_control -u", path, maxFile)
	}
	line := lineOf(now, now, text)
	if _, err := f.WriteAt(line, l.size); err != nil {
		return true, err
	}
	l.lines[key] = place{at: l.size}
	l.size += int64(len(line))
	return true, nil
}

func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	}
	return f, err
}

// refresh makes the index anew when the file is not the one that was indexed, or someone else changed its size.
func (s *Store) refresh(l *location, f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if l.file != nil && os.SameFile(l.file, st) && st.Size() == l.size {
		return nil
	}
	l.file, l.size, l.lines = nil, 0, make(map[uint64]place)
	if st.Size() > 2*maxFile {
		return fmt.Errorf("%d bytes are too many", st.Size())
	}
	data, err := io.ReadAll(io.LimitReader(f, 2*maxFile))
	if err != nil {
		return err
	}
	if n := len(data); n > 0 && data[n-1] != '\n' { // a crash while appending
		if _, err := f.WriteAt([]byte("\n"), int64(n)); err != nil {
			return err
		}
		data = append(data, '\n')
	}
	for at := 0; at < len(data); {
		line, _, _ := strings.Cut(string(data[at:min(len(data), at+maxLine)]), "\n")
		if text, old, ok := textOf(line); ok {
			key := maphash.String(s.seed, text)
			for taken := true; taken; key++ {
				if _, taken = l.lines[key]; !taken {
					l.lines[key] = place{at: int64(at), old: old}
				}
			}
		}
		at += len(line) + 1
	}
	l.file, l.size = st, int64(len(data))
	return nil
}

// maxLine is longer than any line: a message is at most 6143 bytes.
const maxLine = 16 << 10

// find looks a text up and compares it with the file. key is where a new text goes in the index.
func (s *Store) find(l *location, f *os.File, text string) (p place, key uint64, found bool, err error) {
	var buf []byte
	for key = maphash.String(s.seed, text); ; key++ {
		p, ok := l.lines[key]
		if !ok {
			return place{}, key, false, nil
		}
		want := text + "\n"
		from := p.at
		if !p.old {
			from += textOffset
		}
		if buf == nil {
			buf = make([]byte, len(want))
		}
		if _, err := f.ReadAt(buf, from); err != nil && !errors.Is(err, io.EOF) {
			return place{}, 0, false, err
		}
		if string(buf) == want {
			return p, key, true, nil
		}
	}
}
