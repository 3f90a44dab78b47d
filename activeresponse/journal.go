package activeresponse

import (
	"strings"
	"sync"
	"time"
)

// Verdict says what became of a possible response.
type Verdict string

// The verdicts.
const (
	Sent      Verdict = "sent"      // the manager sent the response
	Refused   Verdict = "refused"   // a check failed, Reason says which
	Blocked   Verdict = "blocked"   // the host ran it
	Ran       Verdict = "ran"       // the host ran a program that leaves nothing to take back
	Prolonged Verdict = "prolonged" // it was in place already; its time starts again
	Released  Verdict = "released"  // taken back, Reason says why
	Failed    Verdict = "failed"    // the program failed
	DryRun    Verdict = "dry run"   // would have been run
)

// Record is one line of the journal.
type Record struct {
	Time     time.Time `json:"time"`
	Verdict  Verdict   `json:"verdict"`
	Response string    `json:"response"`       // name with timeout, "firewall-drop600"
	Address  string    `json:"address"`        // "" or "-" = none
	User     string    `json:"user,omitempty"` // "" or "-" = none
	RuleID   string    `json:"rule,omitempty"`
	AlertID  string    `json:"alert,omitempty"`
	Location string    `json:"location,omitempty"`
	Target   string    `json:"target,omitempty"` // "local", "agent web1", "agent 007", "all agents"
	Reason   string    `json:"reason"`
}

// Journal keeps the latest records, so that an operator can ask why an address is blocked, or is not. It is safe for concurrent use.
type Journal struct {
	mu   sync.Mutex
	ring []Record
	next int
	full bool
}

// DefaultJournal is how many records a journal keeps when nothing else is asked for.
const DefaultJournal = 4096

// NewJournal makes a journal of at most size records; size below 1 means DefaultJournal.
func NewJournal(size int) *Journal {
	if size < 1 {
		size = DefaultJournal
	}
	return &Journal{ring: make([]Record, size)}
}

// Add appends a record; the oldest one goes when the journal is full. A nil journal drops it.
func (j *Journal) Add(r Record) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ring[j.next] = r
	if j.next++; j.next == len(j.ring) {
		j.next, j.full = 0, true
	}
}

// Why gives the records about an address or user, oldest first; all records for "".
func (j *Journal) Why(who string) []Record {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []Record
	start, n := 0, j.next
	if j.full {
		start, n = j.next, len(j.ring)
	}
	for i := range n {
		r := &j.ring[(start+i)%len(j.ring)]
		if who == "" || strings.EqualFold(r.Address, who) || r.User == who {
			out = append(out, *r)
		}
	}
	return out
}
