package baseline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// Names of our files in queue/syscheck.
const (
	DatabaseFile = "vedette-fim.db"
	JournalFile  = "vedette-fim.journal"
	ownPrefix    = "vedette-"
)

// Options is the manager's part of the <syscheck> configuration and what else a Store needs.
type Options struct {
	AutoIgnore    bool     // stop alerting about a file after its third change
	AlertNewFiles bool     // alert about unknown paths
	Ignore        []string // path prefixes, compared without regard to case; patterns of type="sregex" count as prefixes too
	QuietBaseline bool     // no alerts about new files of a location before its first scan is complete (OSSEC alerts)
	MaxHistory    int      // superseded states kept per location; 0 = 200000, below 0 = none

	MaintenanceLog string    // "" = logs/fim_maintenance.log of the install root that the directory belongs to
	Confirm        bool      // the owner calls Written when alerts are on file, and repeats those that Unwritten gives
	Log            *olog.Log // of "ossec-analysisd"; nil = none
	Shared         bool      // for tools: when a running manager has the state, open it beside the manager; Apply is refused then
}

const (
	maxPending     = 8192        // decided but uncommitted rows
	flushEvery     = time.Second // age at which they are committed
	defaultHistory = 200000
	maxLocations   = 65536
)

// Store is the manager's file integrity state. It is safe for concurrent use; messages of one location have to come in order.
type Store struct {
	dir  string
	opts Options
	log  *olog.Log

	mu        sync.Mutex
	db        *sql.DB
	find      *sql.Stmt
	locations map[string]*location
	storing   int // locations with stored
	pending   int
	journal   *journal
	attached  bool // another process owns the state

	unwritten int                     // alerts that were decided on since Written was called
	repeats   map[*event.Event]record // alerts of a killed manager that may be missing
	missing   []*event.Event          // their events, in order

	quit chan struct{}
	done sync.WaitGroup
}

// location is the state of one queue location, which OSSEC keeps in one file.
type location struct {
	id       int64
	name     string
	seq      int64   // number of the last line
	new      bool    // no row of it is in the database
	stored   *stored // paths that may be in the database, until the first baseline is complete; nil = not known
	live     map[string]*row
	history  []row
	kept     int // rows of history in the database, counted when needed; below 0 = not counted
	complete bool
	maint    maintenance
}

// row is one line: the live state of a path, or a superseded one.
type row struct {
	seq    int64
	prefix string // three characters
	sum    string
	time   int64 // unix seconds; below 0 = the line had none
	path   string
}

const schema = `
CREATE TABLE IF NOT EXISTS location (
	id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, seq INTEGER NOT NULL DEFAULT 0,
	complete INTEGER NOT NULL DEFAULT 0, file TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS live (
	location INTEGER NOT NULL, path BLOB NOT NULL, seq INTEGER NOT NULL, prefix TEXT NOT NULL, sum BLOB NOT NULL, time INTEGER NOT NULL,
	PRIMARY KEY (location, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
	location INTEGER NOT NULL, seq INTEGER NOT NULL, prefix TEXT NOT NULL, sum BLOB NOT NULL, time INTEGER NOT NULL, path BLOB NOT NULL,
	PRIMARY KEY (location, seq)) WITHOUT ROWID;
PRAGMA user_version = 1;`

// Open opens the state in dir (queue/syscheck of the install root), creates it if needed, puts a journal that a killed manager left
// into it, and takes over OSSEC's text databases that are new or were changed since.
func Open(dir string, opts Options) (*Store, error) {
	if opts.MaintenanceLog == "" {
		opts.MaintenanceLog = filepath.Join(dir, "..", "..", "logs", "fim_maintenance.log")
	}
	if opts.MaxHistory == 0 {
		opts.MaxHistory = defaultHistory
	}
	s := &Store{dir: dir, opts: opts, log: opts.Log, locations: map[string]*location{}, quit: make(chan struct{})}
	if err := s.open(); err != nil {
		if s.journal != nil {
			s.journal.close()
		}
		if s.db != nil {
			s.db.Close()
		}
		return nil, fmt.Errorf("file integrity database in %s: %w", dir, err)
	}
	if !s.attached {
		quit := s.quit
		s.done.Go(func() { s.flusher(quit) })
	}
	return s, nil
}

func (s *Store) open() (err error) {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	if s.db, err = openDatabase(filepath.Join(s.dir, DatabaseFile)); err != nil {
		return err
	}
	if s.find, err = s.db.Prepare("SELECT seq, prefix, sum, time FROM live WHERE location = ? AND path = ?"); err != nil {
		return err
	}
	s.journal, err = openJournal(filepath.Join(s.dir, JournalFile), !s.opts.Shared)
	if errors.Is(err, ErrInUse) && s.opts.Shared {
		s.attached = true
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.replay(); err != nil {
		return err
	}
	return s.importAll()
}

func openDatabase(path string) (*sql.DB, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dsn := "file:" + (&url.URL{Path: full}).EscapedPath() +
		"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=cache_size(-8192)&_pragma=wal_autocheckpoint(4000)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		db.Close()
		return nil, err
	}
	switch {
	case version > 1:
		db.Close()
		return nil, fmt.Errorf("%s was written by a newer version (%d)", path, version)
	case version == 0:
		if _, err := db.Exec(schema); err != nil {
			db.Close()
			return nil, err
		}
		if err := os.Chmod(full, 0o640); err != nil { //nolint:gosec // readable for the group, as OSSEC's databases are
			db.Close()
			return nil, err
		}
	}
	return db, nil
}

// flusher commits what is older than flushEvery, until Close.
func (s *Store) flusher(quit <-chan struct{}) {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := s.Flush(); err != nil {
				s.log.Every("fim flush", time.Minute).Error("File integrity state cannot be saved: %v", err)
			}
		case <-quit:
			return
		}
	}
}

// Flush puts everything decided so far into the database.
func (s *Store) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flush()
}

// Close flushes and closes the store.
func (s *Store) Close() error {
	s.mu.Lock()
	quit := s.quit
	s.quit = nil
	s.mu.Unlock()
	if quit == nil {
		return nil
	}
	close(quit)
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.flush()
	if s.journal != nil {
		err = errors.Join(err, s.journal.close())
	}
	return errors.Join(err, s.find.Close(), s.db.Close())
}

// at gives the state of a location, made on first use.
func (s *Store) at(name string) (*location, error) {
	if l := s.locations[name]; l != nil {
		return l, nil
	}
	l := &location{name: name, live: map[string]*row{}, kept: -1}
	err := s.db.QueryRow("SELECT id, seq, complete FROM location WHERE name = ?", []byte(name)).Scan(&l.id, &l.seq, &l.complete)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if err := s.create(l); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("location %q: %w", name, err)
	default:
		var n int
		if err := s.db.QueryRow("SELECT count(*) FROM (SELECT 1 FROM live WHERE location = ? LIMIT 1)", l.id).Scan(&n); err != nil {
			return nil, err
		}
		l.new = n == 0
	}
	if l.new && !l.complete {
		s.remember(l)
	}
	s.locations[name] = l
	return l, nil
}

var errTooManyLocations = errors.New("too many integrity locations")

func (s *Store) create(l *location) error {
	var n int
	if err := s.db.QueryRow("SELECT count(*) FROM location").Scan(&n); err != nil {
		return err
	}
	if n >= maxLocations {
		return errTooManyLocations
	}
	res, err := s.db.Exec("INSERT INTO location (name) VALUES (?)", []byte(l.name))
	if err != nil {
		return fmt.Errorf("location %q: %w", l.name, err)
	}
	l.new, l.kept = true, 0
	l.id, err = res.LastInsertId()
	return err
}

// look finds the live row of a path, nil if the path is unknown.
func (s *Store) look(l *location, path string) (*row, error) {
	if r := l.live[path]; r != nil {
		return r, nil
	}
	if l.new || l.stored != nil && !l.stored.maybe(path) {
		return nil, nil
	}
	r := &row{path: path}
	var sum []byte
	err := s.find.QueryRow(l.id, []byte(path)).Scan(&r.seq, &r.prefix, &sum, &r.time)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking up %q: %w", path, err)
	}
	r.sum = string(sum)
	return r, nil
}

// put makes r the live row of its path and turns old, the one so far, into history. hash is the first character that old's prefix gets.
func (s *Store) put(l *location, old *row, r row, hash bool) {
	if old != nil {
		h := *old
		if hash {
			h.prefix = "#" + h.prefix[min(1, len(h.prefix)):]
		}
		if s.opts.MaxHistory > 0 || !hash {
			l.history = append(l.history, h)
			s.pending++
		}
	}
	l.live[r.path] = &r
	s.pending++
}

// flush commits pending rows and empties the journal. The caller holds mu.
func (s *Store) flush() error {
	if s.pending == 0 {
		return s.writeMarkers()
	}
	if err := s.commit(); err != nil {
		for _, l := range s.locations {
			if len(l.history) > 0 {
				l.kept = -1 // counted for what was rolled back
			}
		}
		return err
	}
	s.pending = 0
	for _, l := range s.locations {
		if len(l.live) > 0 {
			l.new = false
			if l.stored != nil {
				for path := range l.live {
					l.stored.add(path)
				}
			}
			l.live = map[string]*row{}
		}
		l.history = nil
	}
	if err := s.trim(); err != nil {
		return err
	}
	return s.writeMarkers()
}

func (s *Store) commit() error {
	tx, err := s.db.BeginTx(context.Background(), nil)
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	b := newBatch(tx)
	defer b.close()
	for _, l := range s.locations {
		if len(l.live) == 0 && len(l.history) == 0 {
			continue
		}
		if err := b.location(l); err != nil {
			return fmt.Errorf("committing %q: %w", l.name, err)
		}
		if err := s.limitHistory(tx, l); err != nil {
			return fmt.Errorf("committing %q: %w", l.name, err)
		}
	}
	if err := b.close(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// limitHistory drops the oldest tenth of a location's history when it gets too long.
func (s *Store) limitHistory(tx *sql.Tx, l *location) error {
	if len(l.history) == 0 {
		return nil
	}
	if l.kept < 0 {
		if err := tx.QueryRow("SELECT count(*) FROM history WHERE location = ?", l.id).Scan(&l.kept); err != nil {
			return err
		}
	} else {
		l.kept += len(l.history)
	}
	if l.kept <= max(s.opts.MaxHistory, 0) {
		return nil
	}
	n := l.kept - s.opts.MaxHistory*9/10
	_, err := tx.Exec("DELETE FROM history WHERE location = ? AND seq IN (SELECT seq FROM history WHERE location = ? ORDER BY seq LIMIT ?)", l.id, l.id, n)
	l.kept -= n
	return err
}

// batch writes rows many at a time: the cost of a statement is several times that of a row.
type batch struct {
	tx    *sql.Tx
	stmts map[string]*sql.Stmt
}

// batchRows is the number of rows in one statement.
const batchRows = 64

func newBatch(tx *sql.Tx) *batch { return &batch{tx: tx, stmts: map[string]*sql.Stmt{}} }

func (b *batch) close() error {
	var err error
	for _, st := range b.stmts {
		err = errors.Join(err, st.Close())
	}
	clear(b.stmts)
	return err
}

const (
	putLive = "INSERT INTO live (location, path, seq, prefix, sum, time) VALUES %s " +
		"ON CONFLICT DO UPDATE SET seq = excluded.seq, prefix = excluded.prefix, sum = excluded.sum, time = excluded.time"
	putHistory = "INSERT OR REPLACE INTO history (location, path, seq, prefix, sum, time) VALUES %s"
)

func (b *batch) location(l *location) error {
	rows := make([]row, 0, len(l.live))
	for _, r := range l.live {
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.path, b.path) }) // neighbours share pages
	if err := b.rows(putLive, l.id, rows); err != nil {
		return err
	}
	if err := b.rows(putHistory, l.id, l.history); err != nil {
		return err
	}
	_, err := b.tx.Exec("UPDATE location SET seq = max(seq, ?) WHERE id = ?", l.seq, l.id)
	return err
}

func (b *batch) rows(query string, id int64, rows []row) error {
	for len(rows) > 0 {
		n := 1
		if len(rows) >= batchRows {
			n = batchRows
		}
		st, err := b.stmt(query, n)
		if err != nil {
			return err
		}
		args := make([]any, 0, 6*n)
		for _, r := range rows[:n] {
			args = append(args, id, []byte(r.path), r.seq, r.prefix, []byte(r.sum), r.time)
		}
		if _, err := st.Exec(args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (b *batch) stmt(query string, n int) (*sql.Stmt, error) {
	key := fmt.Sprint(n, query)
	if st := b.stmts[key]; st != nil {
		return st, nil
	}
	st, err := b.tx.Prepare(fmt.Sprintf(query, strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?),", n), ",")))
	if err == nil {
		b.stmts[key] = st
	}
	return st, err
}

// OptionsOf takes the manager's part of a <syscheck> section; nil means OSSEC's defaults. Patterns of <ignore type="sregex"> count as path
// prefixes, because the manager never looks at the type (spec syscheck.md, section 1).
func OptionsOf(cfg *config.Syscheck, log *olog.Log) Options {
	if cfg == nil {
		return Options{AutoIgnore: true, Log: log}
	}
	o := Options{AutoIgnore: cfg.AutoIgnore, AlertNewFiles: cfg.AlertNewFiles, Ignore: slices.Clone(cfg.Ignore), Log: log}
	for _, m := range cfg.IgnoreMatch {
		o.Ignore = append(o.Ignore, m.String())
	}
	return o
}
