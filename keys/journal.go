package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// journalFile stands beside the counter files. It holds what they have no room for: which startup messages each agent sent. OSSEC's
// programs only open files named like agents and leave it alone.
const journalFile = ".startups"

// journal is a text file of lines "<agent id> <text>"; the last line of an id counts. Changes are appended, and the file is written
// anew when most of it is out of date.
type journal struct {
	path  string
	last  map[string]string
	add   []string // lines not yet written
	lines int      // lines in the file
}

func openJournal(path string) (*journal, error) {
	j := &journal{path: path, last: map[string]string{}}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading startup messages: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		text, whole := strings.CutSuffix(line, "\n")
		id, rest, ok := strings.Cut(text, " ")
		if !whole || !ok {
			continue // cut off by a crash; the older line of this id counts
		}
		j.last[id] = strings.Clone(rest)
		j.lines++
	}
	if bytes.HasSuffix(data, []byte("\n")) || len(data) == 0 {
		return j, nil
	}
	return j, j.rewrite()
}

func (j *journal) get(id string) (string, bool) {
	s, ok := j.last[id]
	return s, ok
}

func (j *journal) put(id, text string) {
	if j.last[id] == text {
		return
	}
	j.last[id] = text
	j.add = append(j.add, id)
}

// flush appends what was put since the last call.
func (j *journal) flush() error {
	if len(j.add) == 0 {
		return nil
	}
	if j.lines+len(j.add) > 2*len(j.last)+1000 {
		return j.rewrite()
	}
	var b strings.Builder
	for _, id := range j.add {
		b.WriteString(id + " " + j.last[id] + "\n")
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("storing startup messages: %w", err)
	}
	_, err = f.WriteString(b.String())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("storing startup messages: %w", err)
	}
	j.lines += len(j.add)
	j.add = nil
	return nil
}

func (j *journal) rewrite() error {
	var b strings.Builder
	for id, text := range j.last {
		b.WriteString(id + " " + text + "\n")
	}
	if err := atomicfile.Write(j.path, []byte(b.String()), 0o640); err != nil {
		return fmt.Errorf("storing startup messages: %w", err)
	}
	j.lines, j.add = len(j.last), nil
	return nil
}
