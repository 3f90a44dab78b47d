package manager

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/atomicfile"
	"github.com/vedette-hids/vedette/internal/nospace"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/decode"
)

// maxStateFile is the size at which a state file is replaced by what is still known, in bytes. The memories behind the files hold half of it
// at most, but what they forget and learn again is appended again, and senders choose what that is.
const maxStateFile = 128 << 20

// maxUnwritten is how many bytes of lines wait for a file that cannot be written, before it is written anew from what is known.
const maxUnwritten = 4 << 20

// lineFile is a text file of state, one line per piece: queue/fts/fts-queue, ig-queue, hostinfo. Lines are on file after flush, which is
// called when the alerts are that they led to: a manager that is killed in between raises an alert twice, but loses none.
type lineFile struct {
	path string
	max  int64
	keep func() iter.Seq[string] // what a shorter file holds

	f         *os.File
	size      int64
	unwritten []byte
	behind    bool          // lines are missing in the file
	pause     time.Duration // between tries to write it anew then
	tried     time.Time
}

// openLines opens the file for appending and gives its content to load.
func openLines(path string, keep func() iter.Seq[string], load func(io.Reader) error) (*lineFile, error) {
	l := &lineFile{path: path, max: maxStateFile, pause: time.Minute, keep: keep}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	if err := load(l.f); err != nil {
		l.f.Close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return l, nil
}

// open opens the file, at its beginning for reads and its end for writes.
func (l *lineFile) open() error {
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.f, l.size = f, st.Size()
	return nil
}

// add appends one line.
func (l *lineFile) add(line string) {
	if len(l.unwritten) > maxUnwritten {
		l.unwritten, l.behind = nil, true
	}
	l.unwritten = append(append(l.unwritten, strings.ReplaceAll(line, "\n", " ")...), '\n')
}

// flush writes the lines. What fails is tried again at the next call: the state in memory is right all the time.
func (l *lineFile) flush() error {
	if len(l.unwritten) > 0 && !l.behind {
		n, err := l.f.Write(l.unwritten)
		l.size += int64(n)
		l.unwritten = append(l.unwritten[:0], l.unwritten[n:]...)
		if err != nil {
			return fmt.Errorf("writing state: %w", err)
		}
	}
	if l.size <= l.max && (!l.behind || time.Since(l.tried) < l.pause) {
		return nil
	}
	l.tried = time.Now()
	if err := l.shorten(); err != nil {
		l.size = 0 // the next try comes after as much again
		return fmt.Errorf("shortening state: %w", err)
	}
	l.unwritten, l.behind = nil, false
	return nil
}

// shorten replaces the file by what is still known.
func (l *lineFile) shorten() error {
	var b bytes.Buffer
	for line := range l.keep() {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	if err := atomicfile.Write(l.path, b.Bytes(), 0o640); err != nil {
		return err
	}
	old := l.f
	if err := l.open(); err != nil {
		return err
	}
	return old.Close()
}

// ignoreStore is the persistent form of the <ignore> lines.
type ignoreStore struct {
	*rules.MemoryIgnoreStore
	file *lineFile
}

func (s *ignoreStore) Add(line string) {
	if !s.Has(line) {
		s.MemoryIgnoreStore.Add(line)
		s.file.add(line)
	}
}

// load reads a file of lines.
func (s *ignoreStore) load(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.MemoryIgnoreStore.Add(lines.Text())
	}
	return lines.Err()
}

// maxDiffHosts bounds the directories of a diffStore: host names come from the headers of logs.
const maxDiffHosts = 1 << 16

// maxUnsaved bounds the texts that a diffStore keeps because they could not be written.
const maxUnsaved = 4096

// diffStore keeps the last log of check_diff rules in queue/diff/<host>/<rule>/last-entry (spec decoders.md, section 12). While the disk is
// full it compares with what it keeps in memory, so that no difference is missed and none is told twice.
type diffStore struct {
	dir     string
	log     *olog.Log
	hosts   int // directories in dir; -1 = not counted yet
	max     int
	unsaved map[string]string // by path
}

func newDiffStore(dir string, log *olog.Log) *diffStore {
	return &diffStore{dir: dir, log: log, hosts: -1, max: maxDiffHosts, unsaved: map[string]string{}}
}

func (d *diffStore) Swap(host string, rule int, log string) (old string, had bool, err error) {
	path, err := rules.DiffFile(d.dir, host, rule)
	if err != nil {
		return "", false, fmt.Errorf("check_diff: %w", err)
	}
	old, had, err = d.last(path)
	if err != nil {
		return "", false, fmt.Errorf("check_diff: %w", err)
	}
	_, late := d.unsaved[path]
	if had && old == log && !late {
		return old, true, nil
	}
	if !had {
		err = d.makeDir(host, filepath.Dir(path))
	}
	if err == nil {
		err = atomicfile.Write(path, append([]byte(log), 0), 0o640)
	}
	switch {
	case err == nil:
		delete(d.unsaved, path)
	case nospace.Is(err) && (late || len(d.unsaved) < maxUnsaved):
		d.unsaved[path] = log
		d.log.Every("check_diff", time.Minute).Error("check_diff: %v", err)
	default:
		return "", false, fmt.Errorf("check_diff: %w", err)
	}
	return old, had, nil
}

// last gives the text that a new one is compared with.
func (d *diffStore) last(path string) (text string, had bool, err error) {
	if text, ok := d.unsaved[path]; ok {
		return text, true, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	text, _, _ = strings.Cut(string(data), "\x00")
	return text, err == nil, err
}

// makeDir makes the directory of a rule of a host, unless there are too many hosts.
func (d *diffStore) makeDir(host, dir string) error {
	if _, err := os.Stat(filepath.Join(d.dir, host)); errors.Is(err, fs.ErrNotExist) {
		if d.hosts < 0 {
			entries, err := os.ReadDir(d.dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			d.hosts = len(entries)
		}
		if d.hosts >= d.max {
			return fmt.Errorf("%s holds %d hosts; no texts of %.80q are kept", d.dir, d.hosts, host)
		}
		d.hosts++
	}
	return os.MkdirAll(dir, 0o770)
}

// openStores are the persistent parts of correlation state. written puts on file what has to follow the alerts.
type openStores struct {
	rules.Stores
	hostinfo *decode.Hostinfo
	written  func() error
}

// ruleStores opens them below root.
func ruleStores(root string, opts *config.Options, log *olog.Log) (*openStores, error) {
	dir := filepath.Join(root, "queue", "fts")
	var ftsFile, hostFile *lineFile
	fts := decode.NewFTSStore(decode.FTSOptions{
		ListSize: opts.Int("analysisd.fts_list_size"), MinSize: opts.Int("analysisd.fts_min_size_for_str"),
		Append: func(key string) { ftsFile.add(key) },
	})
	ftsFile, err := openLines(filepath.Join(dir, "fts-queue"), fts.Keys, fts.Load)
	if err != nil {
		return nil, err
	}
	ignore := &ignoreStore{MemoryIgnoreStore: rules.NewMemoryIgnoreStore()}
	if ignore.file, err = openLines(filepath.Join(dir, "ig-queue"), ignore.Lines, ignore.load); err != nil {
		return nil, err
	}
	hostinfo := decode.NewHostinfo(func(line string) { hostFile.add(line) })
	if hostFile, err = openLines(filepath.Join(dir, "hostinfo"), hostinfo.Lines, hostinfo.Load); err != nil {
		return nil, err
	}
	stats, err := rules.NewStatistics(rules.DirStats{Dir: filepath.Join(root, "stats")})
	if err != nil {
		return nil, fmt.Errorf("reading statistics: %w", err)
	}
	return &openStores{Stores: rules.Stores{
		FTS: fts, Ignore: ignore, Diff: newDiffStore(filepath.Join(root, "queue", "diff"), log), Accumulator: decode.NewAccumulator(),
		Stats: stats,
		Error: func(text string) { log.Every("state", time.Minute).Text("%s", text) },
	}, hostinfo: hostinfo, written: func() error {
		return errors.Join(ftsFile.flush(), ignore.file.flush(), hostFile.flush())
	}}, nil
}
