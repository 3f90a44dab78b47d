package rules

import (
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

// memoryIgnore is an IgnoreStore without persistence. When it is full the oldest half is forgotten.
type memoryIgnore struct {
	young, old map[string]struct{}
	bytes      int // of the lines in young
}

// NewMemoryIgnoreStore makes an IgnoreStore that keeps the newest lines in memory: some 100,000, and 32 MiB at most.
func NewMemoryIgnoreStore() IgnoreStore {
	return &memoryIgnore{young: map[string]struct{}{}}
}

func (m *memoryIgnore) Add(line string) {
	if _, ok := m.young[line]; ok {
		return
	}
	if len(m.young) >= maxIgnoreLines/2 || m.bytes+len(line) > maxIgnoreBytes/2 {
		m.young, m.old, m.bytes = map[string]struct{}{}, m.young, 0
	}
	m.young[line] = struct{}{}
	m.bytes += len(line)
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
