package baseline

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

// Location describes what is known about one queue location: "syscheck" of the manager's own host, "(name) ip->syscheck" of an agent.
type Location struct {
	Name     string
	Files    int  // known files, deleted ones included
	Deleted  int  // of these, gone
	Changed  int  // of these, changed at least once since the base line
	Ignored  int  // of these, silenced after too many changes
	Complete bool // a full scan came to its end
}

// Entry is one state of a file.
type Entry struct {
	Location string
	Path     string
	Sum      string // checksum text, "-1" = deleted
	Time     time.Time
	Changes  int  // changes since the base line
	Live     bool // the present state; else an earlier one
}

// Deleted reports whether the state is that the file is gone.
func (e *Entry) Deleted() bool { return isDeleted(e.Sum) }

// State gives the attributes of the file.
func (e *Entry) State() event.FileState { return state(sum.Split(e.Sum)) }

// Line is one line of a location, in the order of OSSEC's text database.
type Line struct{ row }

// Text is the line as OSSEC writes it, without line end.
func (l *Line) Text() string { return strings.TrimSuffix(string(appendLine(nil, &l.row)), "\n") }

// Prefix gives the three mark characters, "" for a line that is none about a file.
func (l *Line) Prefix() string { return l.prefix }

// Sum gives the checksum text.
func (l *Line) Sum() string { return l.sum }

// Path gives the path.
func (l *Line) Path() string { return l.path }

// Time gives the time of the line in unix seconds, 0 when it has none.
func (l *Line) Time() int64 { return max(l.time, 0) }

// Locations lists all locations by name.
func (s *Store) Locations() (list []Location, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(); err != nil {
		return nil, err
	}
	rows, err := s.db.Query(`SELECT name, complete, count(path), coalesce(sum(substr(sum, 1, 2) = CAST('-1' AS BLOB)), 0),
		coalesce(sum(prefix <> '+++'), 0), coalesce(sum(prefix IN ('!!!', '!!?')), 0)
		FROM location LEFT JOIN live ON live.location = location.id GROUP BY location.id ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("listing locations: %w", err)
	}
	defer rows.Close() //nolint:errcheck // read only
	for rows.Next() {
		var l Location
		var name []byte
		if err := rows.Scan(&name, &l.Complete, &l.Files, &l.Deleted, &l.Changed, &l.Ignored); err != nil {
			return nil, fmt.Errorf("listing locations: %w", err)
		}
		l.Name = string(name)
		list = append(list, l)
	}
	return list, rows.Err()
}

// settle makes pending decisions visible to queries.
func (s *Store) settle() error {
	if s.attached {
		return nil
	}
	return s.flush()
}

// Query selects entries. Zero fields do not restrict.
type Query struct {
	Location string
	Path     string    // part of the path
	Since    time.Time // not older
	Changed  bool      // only files that changed, were deleted or added again since the base line
	Limit    int
}

// Search gives the live entries that q selects, ordered by location and path, to each until it returns an error, which Search returns.
func (s *Store) Search(ctx context.Context, q Query, each func(Entry) error) error {
	where, args := []string{"1"}, []any{}
	add := func(cond string, arg any) { where, args = append(where, cond), append(args, arg) }
	if q.Location != "" {
		add("location.name = ?", []byte(q.Location))
	}
	if q.Path != "" {
		add("instr(live.path, ?) > 0", []byte(q.Path))
	}
	if !q.Since.IsZero() {
		add("live.time >= ?", q.Since.Unix())
	}
	if q.Changed {
		where = append(where, "live.prefix <> '+++'")
	}
	limit := -1
	if q.Limit > 0 {
		limit = q.Limit
	}
	args = append(args, limit)
	return s.entries(ctx, "SELECT location.name, live.path, live.prefix, live.sum, live.time, 1 FROM live JOIN location ON location.id = live.location WHERE "+
		strings.Join(where, " AND ")+" ORDER BY location.name, live.path LIMIT ?", args, each)
}

// History gives every kept state of a file, oldest first.
func (s *Store) History(ctx context.Context, location, path string) (list []Entry, err error) {
	const query = `SELECT location.name, h.path, h.prefix, h.sum, h.time, h.live FROM location JOIN (
		SELECT location, path, prefix, sum, time, seq, 0 AS live FROM history UNION ALL
		SELECT location, path, prefix, sum, time, seq, 1 FROM live) h ON h.location = location.id
		WHERE location.name = ? AND h.path = ? AND h.prefix <> '' ORDER BY h.seq`
	err = s.entries(ctx, query, []any{[]byte(location), []byte(path)}, func(e Entry) error {
		list = append(list, e)
		return nil
	})
	return list, err
}

func (s *Store) entries(ctx context.Context, query string, args []any, each func(Entry) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(); err != nil {
		return err
	}
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("searching: %w", err)
	}
	defer rows.Close() //nolint:errcheck // read only
	for rows.Next() {
		var e Entry
		var name, path, checksum []byte
		var prefix string
		var at int64
		if err := rows.Scan(&name, &path, &prefix, &checksum, &at, &e.Live); err != nil {
			return fmt.Errorf("searching: %w", err)
		}
		e.Location, e.Path, e.Sum = string(name), string(path), string(checksum)
		e.Time = time.Unix(max(at, 0), 0)
		e.Changes = changes(prefix)
		if err := each(e); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Lines gives the lines of a location in order to each until it returns an error, which Lines returns. each must not call the store.
func (s *Store) Lines(location string, each func(Line) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(); err != nil {
		return err
	}
	rows, err := s.db.Query(`SELECT h.seq, h.prefix, h.sum, h.time, h.path FROM location JOIN (
		SELECT location, seq, prefix, sum, time, path FROM history UNION ALL
		SELECT location, seq, prefix, sum, time, path FROM live) h ON h.location = location.id WHERE location.name = ? ORDER BY h.seq`, []byte(location))
	if err != nil {
		return fmt.Errorf("reading %q: %w", location, err)
	}
	defer rows.Close() //nolint:errcheck // read only
	for rows.Next() {
		var l Line
		var checksum, path []byte
		if err := rows.Scan(&l.seq, &l.prefix, &checksum, &l.time, &path); err != nil {
			return fmt.Errorf("reading %q: %w", location, err)
		}
		l.sum, l.path = string(checksum), string(path)
		if err := each(l); err != nil {
			return err
		}
	}
	return rows.Err()
}

// SetPrefix changes the mark of a line: "!++" lets a silenced file alert again, "!!?" silences it. A running manager heeds it at once.
func (s *Store) SetPrefix(location string, l Line, prefix string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(); err != nil {
		return err
	}
	for _, table := range [...]string{"live", "history"} {
		_, err := s.db.Exec("UPDATE "+table+" SET prefix = ? WHERE seq = ? AND location = (SELECT id FROM location WHERE name = ?)", prefix, l.seq, []byte(location))
		if err != nil {
			return fmt.Errorf("changing the mark of %q: %w", l.path, err)
		}
	}
	return nil
}

// Clear forgets everything about a location; the next state of every file of it is new.
func (s *Store) Clear(location string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(); err != nil {
		return err
	}
	l, err := s.at(location)
	if err == nil {
		err = s.clear(l)
	}
	if err == nil {
		l.complete = false
		_, err = s.db.Exec("UPDATE location SET complete = 0, file = '' WHERE id = ?", l.id)
	}
	if err != nil {
		return fmt.Errorf("clearing %q: %w", location, err)
	}
	return nil
}
