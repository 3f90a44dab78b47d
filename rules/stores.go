package rules

import "github.com/vedette-hids/vedette/event"

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

// maxIgnoreLines bounds the in-memory ignore store.
const maxIgnoreLines = 1 << 17

// memoryIgnore is an IgnoreStore without persistence. When it is full the oldest half is forgotten.
type memoryIgnore struct{ young, old map[string]struct{} }

// NewMemoryIgnoreStore makes an IgnoreStore that keeps some 100,000 lines in memory.
func NewMemoryIgnoreStore() IgnoreStore {
	return &memoryIgnore{young: map[string]struct{}{}}
}

func (m *memoryIgnore) Add(line string) {
	if len(m.young) >= maxIgnoreLines/2 {
		m.young, m.old = map[string]struct{}{}, m.young
	}
	m.young[line] = struct{}{}
}

func (m *memoryIgnore) Has(line string) bool {
	if _, ok := m.young[line]; ok {
		return true
	}
	_, ok := m.old[line]
	return ok
}

// maxDiffText is the size from which logs are not compared, in bytes.
const maxDiffText = 8192

type diffKey struct {
	host string
	rule int
}

type memoryDiff map[diffKey]string

// NewMemoryDiffStore makes a DiffStore without persistence.
func NewMemoryDiffStore() DiffStore { return memoryDiff{} }

func (m memoryDiff) Swap(host string, rule int, log string) (string, bool, error) {
	k := diffKey{host, rule}
	old, had := m[k]
	if !had || old != log {
		m[k] = log
	}
	return old, had, nil
}
