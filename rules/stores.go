package rules

import (
	"fmt"
	"iter"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vedette-hids/vedette/event"
)

// Novelty answers "is this the first time?" for if_fts rules (spec rules.md, 10.1). Asking records the event.
type Novelty interface {
	First(ev *event.Event) bool // *decode.FTSStore is one
}

// IgnoreStore keeps the lines of <ignore> rules for <check_if_ignored> rules (spec rules.md, 10.2).
type IgnoreStore interface {
	Add(line string)
	Has(line string) bool
}

// DiffStore keeps the last log of each check_diff rule and host (spec rules.md, 10.3).
type DiffStore interface {
	// Swap returns the text that was stored and stores log instead when it differs. had is false when nothing was stored.
	Swap(host string, rule int, log string) (old string, had bool, err error)
}

// Limits of the in-memory ignore store. Lines are made of decoded fields, so senders choose their number and length.
const (
	maxIgnoreLines = 1 << 17
	maxIgnoreBytes = 32 << 20
)

// MemoryIgnoreStore is an IgnoreStore without persistence: it keeps the newest lines, some 100,000 and 32 MiB at most. When it is full
// the older half is forgotten. Make it with NewMemoryIgnoreStore.
type MemoryIgnoreStore struct {
	young, old map[string]struct{}
	bytes      int // of the lines in young
}

// NewMemoryIgnoreStore makes an empty store.
func NewMemoryIgnoreStore() *MemoryIgnoreStore {
	return &MemoryIgnoreStore{young: map[string]struct{}{}}
}

// Add keeps a line.
func (m *MemoryIgnoreStore) Add(line string) {
	if _, ok := m.young[line]; ok {
		return
	}
	if len(m.young) >= maxIgnoreLines/2 || m.bytes+len(line) > maxIgnoreBytes/2 {
		m.young, m.old, m.bytes = map[string]struct{}{}, m.young, 0
	}
	m.young[line] = struct{}{}
	m.bytes += len(line)
}

// Has reports whether a line is kept.
func (m *MemoryIgnoreStore) Has(line string) bool {
	if _, ok := m.young[line]; ok {
		return true
	}
	_, ok := m.old[line]
	return ok
}

// Lines yields the lines that are kept, for writing a shorter file.
func (m *MemoryIgnoreStore) Lines() iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range m.old {
			if _, both := m.young[line]; !both && !yield(line) {
				return
			}
		}
		for line := range m.young {
			if !yield(line) {
				return
			}
		}
	}
}

// maxDiffText is the size from which logs are not compared, in bytes.
const maxDiffText = 8192

type diffKey struct {
	host string
	rule int
}

// maxDiffTexts bounds the in-memory store: host names come from the headers of logs.
const maxDiffTexts = 8192

// memoryDiff is a DiffStore without persistence. When it is full the half that was not asked for longest is forgotten.
type memoryDiff struct{ young, old map[diffKey]string }

// NewMemoryDiffStore makes a DiffStore that keeps the texts of the latest 4096 to 8192 pairs of host and rule in memory.
func NewMemoryDiffStore() DiffStore { return &memoryDiff{young: map[diffKey]string{}} }

func (m *memoryDiff) Swap(host string, rule int, log string) (string, bool, error) {
	k := diffKey{host, rule}
	text, had := m.young[k]
	if !had {
		if text, had = m.old[k]; !had {
			k.host = strings.Clone(host) // else the key keeps the whole event
		}
		if len(m.young) >= maxDiffTexts/2 {
			m.young, m.old = map[diffKey]string{}, m.young
		}
	}
	m.young[k] = log
	return text, had, nil
}

// DiffFile is where an install keeps the text of a check_diff rule, below dir (queue/diff). The host's name is the sender's: one that is no
// name for a directory is an error.
func DiffFile(dir, host string, rule int) (string, error) {
	if host == "" || host == "." || host == ".." || strings.ContainsAny(host, "/\x00") {
		return "", fmt.Errorf("%.80q is no name for a directory", host)
	}
	return filepath.Join(dir, host, strconv.Itoa(rule), "last-entry"), nil
}
