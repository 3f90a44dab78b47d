package logtest

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/decode"
)

// newStores gives the stores of a run: what the install root remembers, read only.
func newStores(root string, opts rules.Options, fail func(text string)) rules.Stores {
	dir := filepath.Join(root, "queue", "fts")
	fts := decode.NewFTSStore(decode.FTSOptions{ListSize: opts.FTSListSize, MinSize: opts.FTSMinSizeForStr})
	readLines(filepath.Join(dir, "fts-queue"), fail, func(r io.Reader) error { return fts.Load(r) })
	ignore := ignored{rules.NewMemoryIgnoreStore()}
	readLines(filepath.Join(dir, "ig-queue"), fail, func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			ignore.IgnoreStore.Add(lines.Text())
		}
		return lines.Err()
	})
	return rules.Stores{FTS: fts, Ignore: ignore, Diff: &diffs{dir: filepath.Join(root, "queue", "diff"), seen: map[string]string{}}, Error: fail}
}

// readLines gives a file of the root to read. A missing one is empty; another fault is only told, as the test can go on.
func readLines(path string, fail func(string), read func(io.Reader) error) {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		err = read(f)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fail("WARN: Not read: " + err.Error() + ".")
	}
}

// ignored knows the lines of the manager and learns none, as in OSSEC.
type ignored struct{ rules.IgnoreStore }

func (ignored) Add(string) {}

// diffs begins with the manager's last texts of check_diff rules and keeps new ones in memory.
type diffs struct {
	dir  string
	seen map[string]string
}

func (d *diffs) Swap(host string, rule int, log string) (old string, had bool, err error) {
	key := host + "/" + strconv.Itoa(rule)
	path, err := rules.DiffFile(d.dir, host, rule)
	if err != nil {
		return "", false, err
	}
	if old, had = d.seen[key]; !had {
		data, err := os.ReadFile(path)
		if err == nil {
			old, _, _ = strings.Cut(string(data), "\x00")
			had = true
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", false, err
		}
	}
	d.seen[key] = log
	return old, had, nil
}
