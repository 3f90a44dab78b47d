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
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/decode"
)

// maxStateFile is the size at which a state file is replaced by what is still known, in bytes. The memories behind the files hold half of it
// at most, but what they forget and learn again is appended again, and senders choose what that is.
const maxStateFile = 128 << 20

// lineFile is a text file of state, one line per piece: queue/fts/fts-queue, ig-queue, hostinfo.
type lineFile struct {
	path string
	log  *olog.Log
	max  int64
	keep func() iter.Seq[string] // what a shorter file holds

	f    *os.File
	size int64
}

// openLines opens the file for appending and gives its content to load.
func openLines(path string, log *olog.Log, keep func() iter.Seq[string], load func(io.Reader) error) (*lineFile, error) {
	l := &lineFile{path: path, log: log, max: maxStateFile, keep: keep}
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

// add appends one line. A failure is logged: the state in memory is still right.
func (l *lineFile) add(line string) {
	n, err := l.f.WriteString(strings.ReplaceAll(line, "\n", " ") + "\n")
	if err != nil {
		l.log.Every(l.path, time.Minute).Error("writing %s: %v", l.path, err)
	}
	if l.size += int64(n); l.size <= l.max {
		return
	}
	if err := l.shorten(); err != nil {
		l.log.Error("shortening state: %v", err)
		l.size = 0 // the next try comes after as much again
	}
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

// diffStore keeps the last log of check_diff rules in queue/diff/<host>/<rule>/last-entry (spec decoders.md, section 12).
type diffStore struct {
	dir   string
	hosts int // directories in dir; -1 = not counted yet
	max   int
}

func newDiffStore(dir string) *diffStore { return &diffStore{dir: dir, hosts: -1, max: maxDiffHosts} }

func (d *diffStore) Swap(host string, rule int, log string) (old string, had bool, err error) {
	path, err := rules.DiffFile(d.dir, host, rule)
	if err != nil {
		return "", false, fmt.Errorf("check_diff: %w", err)
	}
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		had = true
		old, _, _ = strings.Cut(string(data), "\x00")
		if old == log {
			return old, true, nil
		}
	case errors.Is(err, fs.ErrNotExist):
		if err := d.makeDir(host, filepath.Dir(path)); err != nil {
			return "", false, fmt.Errorf("check_diff: %w", err)
		}
	default:
		return "", false, fmt.Errorf("check_diff: %w", err)
	}
	if err := atomicfile.Write(path, append([]byte(log), 0), 0o640); err != nil {
		return "", false, fmt.Errorf("check_diff: %w", err)
	}
	return old, had, nil
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

// ruleStores opens the persistent parts of correlation state below root.
func ruleStores(root string, opts *config.Options, log *olog.Log) (rules.Stores, *decode.Hostinfo, error) {
	dir := filepath.Join(root, "queue", "fts")
	var ftsFile, hostFile *lineFile
	fts := decode.NewFTSStore(decode.FTSOptions{
		ListSize: opts.Int("analysisd.fts_list_size"), MinSize: opts.Int("analysisd.fts_min_size_for_str"),
		Append: func(key string) { ftsFile.add(key) },
	})
	ftsFile, err := openLines(filepath.Join(dir, "fts-queue"), log, fts.Keys, fts.Load)
	if err != nil {
		return rules.Stores{}, nil, err
	}
	ignore := &ignoreStore{MemoryIgnoreStore: rules.NewMemoryIgnoreStore()}
	if ignore.file, err = openLines(filepath.Join(dir, "ig-queue"), log, ignore.Lines, ignore.load); err != nil {
		return rules.Stores{}, nil, err
	}
	hostinfo := decode.NewHostinfo(func(line string) { hostFile.add(line) })
	if hostFile, err = openLines(filepath.Join(dir, "hostinfo"), log, hostinfo.Lines, hostinfo.Load); err != nil {
		return rules.Stores{}, nil, err
	}
	stats, err := rules.NewStatistics(rules.DirStats{Dir: filepath.Join(root, "stats")})
	if err != nil {
		return rules.Stores{}, nil, fmt.Errorf("reading statistics: %w", err)
	}
	return rules.Stores{
		FTS: fts, Ignore: ignore, Diff: newDiffStore(filepath.Join(root, "queue", "diff")), Accumulator: decode.NewAccumulator(),
		Stats: stats,
		Error: func(text string) { log.Every("state", time.Minute).Text("%s", text) },
	}, hostinfo, nil
}
