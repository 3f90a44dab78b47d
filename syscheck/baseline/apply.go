package baseline

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

// Names that rules select by (spec decoders.md, section 9).
const (
	decoderName = "syscheck_integrity_changed"
	idChanged   = "syscheck_integrity_changed"
	idChanged2  = "syscheck_integrity_changed_2nd"
	idChanged3  = "syscheck_integrity_changed_3rd"
	idNew       = "syscheck_new_entry"
	idDeleted   = "syscheck_deleted"
)

// prefixes are the marks of a live row after so many changes; ignoredAfter changes silence a file with auto_ignore.
var prefixes = [...]string{"+++", "!++", "!!+", "!!!", "!!?"}

const ignoredAfter = 3

// changes counts the changes that a prefix stands for.
func changes(prefix string) int {
	for n, p := range prefixes {
		if p == prefix {
			return n
		}
	}
	return 0
}

// ErrInUse says that another process, normally the manager, has the state open.
var ErrInUse = errors.New("the file integrity state is in use by another process")

// Apply decides on one integrity message (spec syscheck.md, section 11). keep is true when the message is an alert-worthy change: then
// ev has its text, its decoder names, its file name and ev.File. Otherwise the message is done with. The new state is in the journal when
// Apply returns. The time of the change is ev.Received. After an error nothing has changed: the same message can be handed in again.
func (s *Store) Apply(ev *event.Event) (keep bool, err error) {
	if s.attached {
		return false, ErrInUse
	}
	msg, perr := sum.ParseMessage(ev.Raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repeat(ev) {
		return true, nil
	}
	if perr != nil {
		return false, s.withoutSpace(ev)
	}
	if s.ignored(msg.Path) || windowsError(msg.Sum) {
		return false, nil
	}
	l, err := s.at(ev.Location)
	if err != nil {
		return false, fmt.Errorf("integrity message of %q: %w", ev.Location, err)
	}
	old, err := s.look(l, msg.Path)
	if err != nil {
		return false, fmt.Errorf("integrity message of %q: %w", ev.Location, err)
	}
	d := s.decide(l, old, &msg, ev.Received)
	if !d.store {
		return false, nil
	}
	r := record{location: l.name, row: row{prefix: d.prefix, sum: msg.Sum, time: ev.Received.Unix(), path: msg.Path}}
	if s.opts.Confirm {
		r.alert(d.id, old, msg.Diff)
	}
	if err := s.record(l, old, &r); err != nil {
		return false, fmt.Errorf("integrity message of %q: %w", ev.Location, err)
	}
	if d.last {
		s.log.Info("File '%s' of '%s' changed %d times and is ignored from now on (auto_ignore).", msg.Path, l.name, ignoredAfter)
	}
	if d.silent {
		s.accepted(l, old == nil, msg.Path, ev.Received)
	}
	if d.id == "" {
		return false, nil
	}
	if s.opts.Confirm {
		s.unwritten++
	}
	fill(ev, &msg, old, d.id)
	return true, nil
}

// withoutSpace handles a message that is no "SUM PATH".
func (s *Store) withoutSpace(ev *event.Event) error {
	head, _, _ := strings.Cut(ev.Raw, "\n")
	if sum.Clean(head) != sum.Completed {
		s.log.Every("fim invalid", time.Minute).Code(1755, "ERROR", "Invalid syscheck message received.")
		return nil
	}
	l, err := s.at(ev.Location)
	if err != nil {
		return fmt.Errorf("integrity message of %q: %w", ev.Location, err)
	}
	return s.completed(l)
}

// ignored reports whether the manager's <ignore> drops messages about path.
func (s *Store) ignored(path string) bool {
	for _, p := range s.opts.Ignore {
		if len(path) >= len(p) && strings.EqualFold(path[:len(p)], p) {
			return true
		}
	}
	return false
}

// windowsError recognises the error reports of Windows agents, which have the place of a checksum but are none.
func windowsError(checksum string) bool {
	return strings.HasPrefix(checksum, "CreateFile=") || strings.HasPrefix(checksum, "GetSecurityInfo=")
}

// decision is what to do with a message.
type decision struct {
	store  bool
	prefix string
	id     string // decoder id of the alert, "" = none
	silent bool   // accepted by maintenance mode
	last   bool   // auto_ignore silences the file from now on
}

func isDeleted(checksum string) bool { return strings.HasPrefix(checksum, sum.Deleted) }

// decide is the decision table of spec section 11.
func (s *Store) decide(l *location, old *row, msg *sum.Message, now time.Time) decision {
	quiet := decision{store: true, prefix: prefixes[0]}
	if old == nil {
		switch {
		case isDeleted(msg.Sum): // of a file that was never seen
			return decision{}
		case s.maintained(l, now):
			quiet.silent = true
		case s.opts.AlertNewFiles && (l.complete || !s.opts.QuietBaseline):
			quiet.id = idNew
		}
		return quiet
	}
	if old.sum == msg.Sum {
		return decision{}
	}
	if !sum.RealChange(old.sum, msg.Sum) {
		return quiet
	}
	if s.maintained(l, now) {
		quiet.silent = true
		return quiet
	}
	n := changes(old.prefix)
	if s.opts.AutoIgnore && n >= ignoredAfter {
		return decision{}
	}
	d := decision{store: true, prefix: prefixes[min(n+1, len(prefixes)-1)], id: idChanged}
	if s.opts.AutoIgnore {
		d.id = [...]string{idChanged, idChanged2, idChanged3}[n]
		d.last = n+1 == ignoredAfter
	}
	switch {
	case isDeleted(msg.Sum):
		d.id = idDeleted
	case isDeleted(old.sum):
		d.id = idNew
	}
	return d
}

// record stores the new state of a path: first in the journal, then in memory, and now and then in the database.
func (s *Store) record(l *location, old *row, r *record) error {
	if s.pending >= 8*maxPending { // memory is bounded
		if err := s.flush(); err != nil {
			return err
		}
	}
	r.row.seq = l.seq + 1
	if err := s.journal.add(r); err != nil {
		return err
	}
	l.seq = r.row.seq
	s.put(l, old, r.row, true)
	if s.pending >= maxPending {
		if err := s.flush(); err != nil { // the decision stands; the flusher tries again
			s.log.Every("fim flush", time.Minute).Error("File integrity state cannot be saved: %v", err)
		}
	}
	return nil
}

// completed notes the end of a full scan.
func (s *Store) completed(l *location) error {
	if !l.complete {
		if _, err := s.db.Exec("UPDATE location SET complete = 1 WHERE id = ?", l.id); err != nil {
			return fmt.Errorf("location %q: %w", l.name, err)
		}
		l.complete = true
		s.forget(l)
	}
	s.writeComplete(l)
	return s.endMaintenance(l)
}
