package baseline

import (
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

// A decision is stored before its alert is written, so that no alert is repeated when the agent sends a message again. A manager that is
// killed in between would have changed its mind about a file without a word: therefore the journal keeps what the alert says until
// Written tells that it is on file, and the next manager gets those that may be missing from Unwritten.

// Written says that the alerts of all events that Apply kept so far are on file. The owner of a store with Options.Confirm calls it.
func (s *Store) Written() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unwritten == 0 || s.journal == nil {
		return nil
	}
	if err := s.journal.add(&record{}); err != nil {
		return err
	}
	s.unwritten = 0
	return s.trim()
}

// trim empties the journal when the database has all of it and the alerts are written.
func (s *Store) trim() error {
	if s.journal == nil || s.pending > 0 || s.unwritten > 0 || len(s.repeats) > 0 {
		return nil
	}
	return s.journal.reset()
}

// again prepares the events of alerts that may be missing.
func (s *Store) again(list []record) {
	s.repeats = map[*event.Event]record{}
	for _, r := range list {
		text := "8:" + r.location + ":" + r.row.sum + " " + r.row.path
		if r.diff != "" {
			text += "\n" + r.diff
		}
		if ev, err := event.ParseQueue(text, time.Unix(r.row.time, 0)); err == nil {
			s.repeats[ev] = r
			s.missing = append(s.missing, ev)
		}
	}
}

// Unwritten gives the events, filled in as by Apply, for which the last manager decided on an alert and was killed before it said that the
// alert was written. Those whose alert is not on file have to be handed in again: Apply keeps them. Done with them the caller calls Repeated.
func (s *Store) Unwritten() []*event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range s.missing {
		s.refill(ev)
	}
	return s.missing
}

// Repeated ends the repetition of alerts: events of Unwritten that were not handed in are on file.
func (s *Store) Repeated(writtenAlready []*event.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range writtenAlready {
		delete(s.repeats, ev)
	}
	s.missing = nil
	return s.trim()
}

// repeat fills in an event that Unwritten gave out; false for all others.
func (s *Store) repeat(ev *event.Event) bool {
	if len(s.repeats) == 0 || !s.refill(ev) {
		return false
	}
	delete(s.repeats, ev)
	s.unwritten++
	return true
}

func (s *Store) refill(ev *event.Event) bool {
	r, ok := s.repeats[ev]
	if !ok {
		return false
	}
	var old *row
	if r.known {
		old = &row{sum: r.before}
	}
	fill(ev, &sum.Message{Sum: r.row.sum, Path: r.row.path, Diff: r.diff}, old, r.id)
	return true
}
