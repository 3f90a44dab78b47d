package syscheck

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/atomicfile"
	"github.com/vedette-hids/vedette/syscheck/linediff"
)

// snapshots keeps copies of the files of report_changes below dir (spec section 6):
// last-entry, the content last seen; state.TIME, older contents; diff.TIME, what changed.
type snapshots struct {
	dir  string
	max  int64 // largest file that is copied, in bytes
	keep int   // older contents (and differences) kept per file
}

// NoDiff is the text in the place of a difference that nodiff forbids to show.
const noDiffText = "<Diff truncated because nodiff option>"

// cutText ends a difference that was cut.
const cutText = "\n... diff was truncated ..."

// Limits of a difference in a message.
const (
	diffRead  = 4095 // bytes looked at
	diffFull  = 4000 // from this length on it counts as cut
	diffLines = 20
	diffHuge  = 256 // bytes shown of a single huge line
)

// at gives the directory of a path's snapshots.
func (s *snapshots) at(path string) string { return filepath.Join(s.dir, filepath.FromSlash(path)) }

// update stores content as the last entry of path. When an earlier one exists and differs, it is kept as a state, and the difference is returned
// (cut for a message); diff is "" otherwise. Content that is not text is stored as an empty snapshot.
func (s *snapshots) update(path string, content []byte, mtime time.Time) (diff string, err error) {
	dir := s.at(path)
	last := filepath.Join(dir, "last-entry")
	if !isText(content) {
		content = nil
	}
	old, st, err := readSnapshot(last, s.max)
	if errors.Is(err, os.ErrNotExist) {
		return "", s.store(dir, last, content, mtime)
	}
	if err != nil {
		return "", err
	}
	if bytes.Equal(old, content) {
		return "", nil
	}
	state := filepath.Join(dir, "state."+strconv.FormatInt(st.ModTime().Unix(), 10))
	if err := os.Rename(last, state); err != nil {
		return "", fmt.Errorf("keeping the earlier content: %w", err)
	}
	if err := s.store(dir, last, content, mtime); err != nil {
		return "", err
	}
	diff = linediff.Normal(old, content, diffRead)
	name := filepath.Join(dir, "diff."+strconv.FormatInt(mtime.Unix(), 10))
	if err := atomicfile.Write(name, []byte(diff), 0o600); err != nil {
		return "", err
	}
	s.prune(dir)
	return cutDiff(diff), nil
}

func readSnapshot(path string, limit int64) ([]byte, os.FileInfo, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > limit {
		return nil, st, nil
	}
	b, err := os.ReadFile(path)
	return b, st, err
}

func (s *snapshots) store(dir, last string, content []byte, mtime time.Time) error {
	if err := os.MkdirAll(dir, 0o770); err != nil {
		return fmt.Errorf("snapshot directory: %w", err)
	}
	if err := atomicfile.Write(last, content, 0o600); err != nil {
		return err
	}
	return os.Chtimes(last, mtime, mtime)
}

// prune removes the oldest states and differences beyond the number to keep.
func (s *snapshots) prune(dir string) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, prefix := range []string{"state.", "diff."} {
		var times []int64
		for _, e := range list {
			if n, err := strconv.ParseInt(strings.TrimPrefix(e.Name(), prefix), 10, 64); err == nil && e.Type().IsRegular() {
				times = append(times, n)
			}
		}
		slices.Sort(times)
		for len(times) > s.keep {
			os.Remove(filepath.Join(dir, prefix+strconv.FormatInt(times[0], 10))) //nolint:errcheck // tried again next time
			times = times[1:]
		}
	}
}

// isText reports whether the beginning of a file looks like text: no control characters but white space, backspace, bell and escape.
// Bytes above 127 may be any encoding. An empty file is not text, but its empty snapshot is right.
func isText(b []byte) bool {
	for _, c := range b[:min(len(b), 2048)] {
		if c < ' ' && (c < 7 || c > 13) && c != 27 || c == 0x7f {
			return false
		}
	}
	return true
}

// cutDiff bounds a difference for a message (spec section 6.5).
func cutDiff(diff string) string {
	text, cut := diff, false
	if len(text) > diffRead {
		text = text[:diffRead]
	}
	if len(text) >= diffFull {
		cut = true
		if i := strings.LastIndexByte(text, '\n'); i >= 0 {
			text = text[:i]
		} else {
			text = text[:diffHuge]
		}
	}
	for i, lines := 0, 0; i < len(text); i++ {
		if text[i] != '\n' {
			continue
		}
		if lines++; lines == diffLines && i+1 < len(text) {
			text, cut = text[:i], true
		}
	}
	if cut {
		return text + cutText
	}
	return text
}
