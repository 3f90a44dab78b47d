package logcollector

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"

	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// maxPrint is how many bytes of the beginning of a file are remembered by their sum.
const maxPrint = 256

// fingerprint is the sum of the first Len bytes of a file, by which a file is known again when its inode number is used anew.
type fingerprint struct {
	Len int    `json:"len"`
	Sum uint64 `json:"sum"`
}

// takeFingerprint sums the first length bytes of f, as many as there are up to maxPrint when length is 0.
func takeFingerprint(f *os.File, length int) fingerprint {
	if length == 0 {
		length = maxPrint
	}
	buf := make([]byte, length)
	n, err := f.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return fingerprint{}
	}
	h := fnv.New64a()
	h.Write(buf[:n])
	return fingerprint{Len: n, Sum: h.Sum64()}
}

// position is what is stored of a file.
type position struct {
	Dev    uint64      `json:"dev"`
	Ino    uint64      `json:"ino"`
	Offset int64       `json:"offset"`
	Print  fingerprint `json:"print"`
}

// positions is the store: path to position, in one small file.
type positions struct {
	file  string // "" = nothing is stored
	known map[string]position
}

func loadPositions(file string) (*positions, error) {
	p := &positions{file: file, known: map[string]position{}}
	if file == "" {
		return p, nil
	}
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &p.known)
	}
	if err != nil {
		p.known = map[string]position{}
		return p, fmt.Errorf("reading log positions from %s: %w", file, err)
	}
	return p, nil
}

// save stores the positions of the followers if any of them moved.
func (p *positions) save(followers []*follower) error {
	if p.file == "" {
		return nil
	}
	changed := false
	for _, w := range followers {
		if w.f == nil {
			continue
		}
		now := position{Dev: w.id.dev, Ino: w.id.ino, Offset: w.safe, Print: w.print}
		if p.known[w.path] != now {
			p.known[w.path] = now
			changed = true
		}
	}
	if !changed {
		return nil
	}
	data, err := json.Marshal(p.known)
	if err != nil {
		return fmt.Errorf("storing log positions: %w", err)
	}
	return atomicfile.Write(p.file, data, 0o640)
}

// resume opens a follower where an earlier run left off. When the file was rotated in between, the rest of the old file is found beside the
// new one by its inode and read first. It reports whether there was anything to resume.
func (p *positions) resume(w *follower, c *Collector) bool {
	old, ok := p.known[w.path]
	if !ok {
		return false
	}
	f, st, err := openFile(w.path)
	if err != nil {
		w.missing(err)
		w.late = true
		return true
	}
	same := identify(st) == identity{old.Dev, old.Ino} && takeFingerprint(f, max(old.Print.Len, 1)).matches(old.Print)
	f.Close()
	now := c.opts.Now()
	if same {
		return w.open(atOffset, old.Offset, now) == nil
	}
	if path := sibling(w.path, old); path != "" {
		rest := *w
		rest.path = path
		if rest.open(atOffset, old.Offset, now) == nil {
			if err := rest.read(c.buf, now, c.emitter(&rest)); err == nil {
				rest.finish(c.emitter(&rest))
			}
			rest.close()
		}
	}
	w.log.Info("'%s' was rotated while the collector was down; it is read from its beginning.", w.path)
	return w.open(atStart, 0, now) == nil
}

func (f fingerprint) matches(old fingerprint) bool { return old.Len == 0 || f == old }

// sibling looks in the directory of path for the file that was known at a position.
func sibling(path string, old position) string {
	names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	for _, name := range names {
		f, st, err := openFile(name)
		if err != nil {
			continue
		}
		same := st.Mode().IsRegular() && identify(st) == identity{old.Dev, old.Ino} && takeFingerprint(f, max(old.Print.Len, 1)).matches(old.Print)
		f.Close()
		if same {
			return name
		}
	}
	return ""
}
