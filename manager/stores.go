package manager

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/atomicfile"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/decode"
)

// lineFile is a text file that only grows: queue/fts/fts-queue, ig-queue, hostinfo.
type lineFile struct {
	f   *os.File
	log *olog.Log
}

// openLines opens the file for appending and calls each for every line that it has.
func openLines(path string, log *olog.Log, each func(line string)) (*lineFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening state: %w", err)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	for lines.Scan() {
		each(lines.Text())
	}
	if err := lines.Err(); err != nil {
		f.Close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return &lineFile{f, log}, nil
}

// add appends one line. A failure is logged: the state in memory is still right.
func (l *lineFile) add(line string) {
	if _, err := l.f.WriteString(strings.ReplaceAll(line, "\n", " ") + "\n"); err != nil {
		l.log.Every(l.f.Name(), time.Minute).Error("writing %s: %v", l.f.Name(), err)
	}
}

// ignoreStore is the persistent form of the <ignore> lines.
type ignoreStore struct {
	rules.IgnoreStore
	file *lineFile
}

func (s *ignoreStore) Add(line string) {
	if !s.Has(line) {
		s.IgnoreStore.Add(line)
		s.file.add(line)
	}
}

// diffStore keeps the last log of check_diff rules in queue/diff/<host>/<rule>/last-entry (spec decoders.md, section 12).
type diffStore struct{ dir string }

func (d diffStore) Swap(host string, rule int, log string) (old string, had bool, err error) {
	if host == "" || host == "." || host == ".." || strings.ContainsAny(host, "/\x00") {
		return "", false, fmt.Errorf("check_diff: %q is no name for a directory", host)
	}
	dir := filepath.Join(d.dir, host, strconv.Itoa(rule))
	path := filepath.Join(dir, "last-entry")
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		had = true
		old, _, _ = strings.Cut(string(data), "\x00")
		if old == log {
			return old, true, nil
		}
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o770); err != nil {
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

// ruleStores opens the persistent parts of correlation state below root.
func ruleStores(root string, opts *config.Options, log *olog.Log) (rules.Stores, *decode.Hostinfo, error) {
	dir := filepath.Join(root, "queue", "fts")
	var keys []string
	ftsFile, err := openLines(filepath.Join(dir, "fts-queue"), log, func(l string) { keys = append(keys, l) })
	if err != nil {
		return rules.Stores{}, nil, err
	}
	fts := decode.NewFTSStore(decode.FTSOptions{
		ListSize: opts.Int("analysisd.fts_list_size"), MinSize: opts.Int("analysisd.fts_min_size_for_str"), Append: ftsFile.add,
	})
	if err := fts.Load(strings.NewReader(strings.Join(keys, "\n"))); err != nil {
		return rules.Stores{}, nil, fmt.Errorf("reading fts-queue: %w", err)
	}
	ignore := &ignoreStore{IgnoreStore: rules.NewMemoryIgnoreStore()}
	if ignore.file, err = openLines(filepath.Join(dir, "ig-queue"), log, ignore.IgnoreStore.Add); err != nil {
		return rules.Stores{}, nil, err
	}
	var hosts []string
	hostFile, err := openLines(filepath.Join(dir, "hostinfo"), log, func(l string) { hosts = append(hosts, l) })
	if err != nil {
		return rules.Stores{}, nil, err
	}
	hostinfo := decode.NewHostinfo(hostFile.add)
	if err := hostinfo.Load(strings.NewReader(strings.Join(hosts, "\n"))); err != nil {
		return rules.Stores{}, nil, fmt.Errorf("reading hostinfo: %w", err)
	}
	stats, err := rules.NewStatistics(rules.DirStats{Dir: filepath.Join(root, "stats")})
	if err != nil {
		return rules.Stores{}, nil, fmt.Errorf("reading statistics: %w", err)
	}
	return rules.Stores{
		FTS: fts, Ignore: ignore, Diff: diffStore{filepath.Join(root, "queue", "diff")}, Accumulator: decode.NewAccumulator(),
		Stats: stats,
		Error: func(text string) { log.Every("state", time.Minute).Text("%s", text) },
	}, hostinfo, nil
}
