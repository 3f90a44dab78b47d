package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/output"
)

// Limits: columns in characters, full_log in bytes.
const (
	maxHostname    = 64
	maxVersion     = 32
	maxCategory    = 32
	maxDescription = 255
	maxLocation    = 128
	maxAddress     = 46
	maxAlertID     = 30
	maxLog         = 7456
	maxLocations   = 32768 // remembered ids
	maxFailures    = 5     // attempts to store an alert in a database that works
	sendTimeout    = 30 * time.Second
	prepareTimeout = 2 * time.Minute
)

// Options of New.
type Options struct {
	Config                         *config.Database
	Hostname, Version, Information string        // what the table server says of this manager
	Rules                          []*event.Rule // for the tables signature and category
	Log                            *olog.Log     // of "ossec-dbd"
}

// Sink is the database destination.
type Sink struct {
	o       Options
	dialect dialect
	db      *stdsql.DB

	ready     bool // server and rules are stored
	server    int64
	insert    *stdsql.Stmt
	locations map[string]int64

	failing  *event.Alert // the last alert that could not be stored, and how often
	failures int
}

var _ output.Sink = (*Sink)(nil)

// New makes the sink; the connection is made by Send, so that a database that is down at the start is no error.
func New(o Options) (*Sink, error) {
	d, ok := dialects[o.Config.Type]
	if !ok {
		return nil, fmt.Errorf("database_output: unknown type %q: mysql or postgresql expected", o.Config.Type)
	}
	db, err := d.open(o.Config)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &Sink{o: o, dialect: d, db: db}, nil
}

// Name implements output.Sink.
func (s *Sink) Name() string {
	return fmt.Sprintf("database '%s' at '%s'", s.o.Config.Name, s.o.Config.Host)
}

// Wants implements output.Sink: every alert that is logged.
func (s *Sink) Wants(a *event.Alert) bool { return a.Rule.Log }

// Close implements output.Sink.
func (s *Sink) Close() error { return s.db.Close() }

// Send stores one alert.
func (s *Sink) Send(ctx context.Context, a *event.Alert) error {
	if !s.ready {
		if err := s.prepare(ctx); err != nil {
			return fmt.Errorf("database %s: %w", s.o.Config.Name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := s.store(ctx, a); err != nil {
		if s.dialect.refuses(err) {
			return fmt.Errorf("%w: %w", output.ErrDrop, err)
		}
		s.ready = false // what is remembered may be of another database
		if s.failing != a {
			s.failing, s.failures = a, 0
		}
		if s.failures++; s.failures >= maxFailures && s.db.PingContext(ctx) == nil {
			return fmt.Errorf("%w: %w", output.ErrDrop, err)
		}
		return err
	}
	return nil
}

func (s *Sink) query(q string) string { return s.dialect.adapt(q) }

// prepare stores what alerts refer to.
func (s *Sink) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	if s.insert != nil {
		s.insert.Close()
		s.insert = nil
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	if err := s.storeServer(ctx, tx); err != nil {
		return fmt.Errorf("table server: %w", err)
	}
	if err := s.storeRules(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.insert, err = s.db.PrepareContext(ctx, s.query(`INSERT INTO alert (server_id, rule_id, level, timestamp, location_id, src_ip, dst_ip, src_port, dst_port, alertid, "user", full_log) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`))
	if err != nil {
		return fmt.Errorf("table alert: %w", err)
	}
	s.locations = map[string]int64{}
	s.ready = true
	s.o.Log.Info("Connected to database '%s' at '%s'.", s.o.Config.Name, s.o.Config.Host)
	return nil
}

func (s *Sink) storeServer(ctx context.Context, tx *stdsql.Tx) error {
	host := fit(s.o.Hostname, maxHostname)
	now, version, info := time.Now().Unix(), fit(s.o.Version, maxVersion), text(s.o.Information)
	find := func() error {
		return tx.QueryRowContext(ctx, s.query(`SELECT id FROM server WHERE hostname = ?`), host).Scan(&s.server)
	}
	err := find()
	if errors.Is(err, stdsql.ErrNoRows) {
		if _, err := tx.ExecContext(ctx, s.query(`INSERT INTO server (last_contact, version, hostname, information) VALUES (?, ?, ?, ?)`), now, version, host, info); err != nil {
			return err
		}
		return find()
	}
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, s.query(`UPDATE server SET last_contact = ?, version = ?, information = ? WHERE id = ?`), now, version, info, s.server)
	return err
}

// pair is a row of signature_category_mapping.
type pair struct{ rule, category int64 }

// storeRules adds the rules, groups and their connections that are missing, and corrects the rules that changed.
func (s *Sink) storeRules(ctx context.Context, tx *stdsql.Tx) error {
	categories, err := s.categories(ctx, tx)
	if err != nil {
		return fmt.Errorf("table category: %w", err)
	}
	known := map[pair]bool{}
	if err := each(ctx, tx, `SELECT rule_id, cat_id FROM signature_category_mapping`, func(rows *stdsql.Rows) error {
		var p pair
		err := rows.Scan(&p.rule, &p.category)
		known[p] = true
		return err
	}); err != nil {
		return fmt.Errorf("table signature_category_mapping: %w", err)
	}
	if err := s.signatures(ctx, tx); err != nil {
		return fmt.Errorf("table signature: %w", err)
	}
	for _, r := range s.o.Rules {
		for _, g := range groups(r) {
			p := pair{int64(r.ID), categories[g]}
			if known[p] {
				continue
			}
			known[p] = true
			if _, err := tx.ExecContext(ctx, s.query(`INSERT INTO signature_category_mapping (rule_id, cat_id) VALUES (?, ?)`), p.rule, p.category); err != nil {
				return fmt.Errorf("table signature_category_mapping: %w", err)
			}
		}
	}
	return nil
}

func groups(r *event.Rule) (names []string) {
	for g := range strings.SplitSeq(r.Groups, ",") {
		if g = fit(strings.TrimSpace(g), maxCategory); g != "" {
			names = append(names, g)
		}
	}
	return names
}

func each(ctx context.Context, tx *stdsql.Tx, query string, row func(rows *stdsql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// categories adds the missing groups and returns the ids of all.
func (s *Sink) categories(ctx context.Context, tx *stdsql.Tx) (map[string]int64, error) {
	ids := map[string]int64{}
	read := func() error {
		return each(ctx, tx, `SELECT cat_id, cat_name FROM category`, func(rows *stdsql.Rows) error {
			var id int64
			var name string
			err := rows.Scan(&id, &name)
			ids[name] = id
			return err
		})
	}
	if err := read(); err != nil {
		return nil, err
	}
	for _, r := range s.o.Rules {
		for _, g := range groups(r) {
			if _, ok := ids[g]; ok {
				continue
			}
			ids[g] = 0
			if _, err := tx.ExecContext(ctx, s.query(`INSERT INTO category (cat_name) VALUES (?)`), g); err != nil {
				return nil, err
			}
		}
	}
	return ids, read()
}

// signatures adds and corrects the rules.
func (s *Sink) signatures(ctx context.Context, tx *stdsql.Tx) error {
	type signature struct {
		level       int64
		description string
	}
	known := map[int64]signature{}
	if err := each(ctx, tx, `SELECT rule_id, level, description FROM signature`, func(rows *stdsql.Rows) error {
		var id int64
		var level stdsql.NullInt64
		var sig signature
		err := rows.Scan(&id, &level, &sig.description)
		sig.level = level.Int64
		known[id] = sig
		return err
	}); err != nil {
		return err
	}
	for _, r := range s.o.Rules {
		want := signature{int64(r.Level), fit(r.Description, maxDescription)}
		old, ok := known[int64(r.ID)]
		query := `INSERT INTO signature (level, description, rule_id) VALUES (?, ?, ?)`
		switch {
		case ok && old == want:
			continue
		case ok:
			query = `UPDATE signature SET level = ?, description = ? WHERE rule_id = ?`
		}
		known[int64(r.ID)] = want
		if _, err := tx.ExecContext(ctx, s.query(query), want.level, want.description, r.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sink) store(ctx context.Context, a *event.Alert) error {
	e := alert.NewEntry(a)
	location, err := s.location(ctx, fit(e.Location, maxLocation))
	if err != nil {
		return fmt.Errorf("table location: %w", err)
	}
	log := text(strings.Join(e.Lines, "\n"))
	if len(log) > maxLog {
		log = text(log[:maxLog-2]) + ".."
	}
	if _, err := s.insert.ExecContext(ctx, s.server, e.Rule, e.Level, a.Epoch, location, nullable(e.SrcIP), nullable(e.DstIP),
		portNumber(e.SrcPort), portNumber(e.DstPort), fit(e.ID, maxAlertID), text(e.User), log); err != nil {
		return fmt.Errorf("table alert: %w", err)
	}
	return nil
}

// location finds or makes the id of a location.
func (s *Sink) location(ctx context.Context, name string) (int64, error) {
	if id, ok := s.locations[name]; ok {
		return id, nil
	}
	var id int64
	find := func() error {
		return s.db.QueryRowContext(ctx, s.query(`SELECT id FROM location WHERE name = ? AND server_id = ?`), name, s.server).Scan(&id)
	}
	err := find()
	if errors.Is(err, stdsql.ErrNoRows) {
		if _, err = s.db.ExecContext(ctx, s.query(`INSERT INTO location (server_id, name) VALUES (?, ?)`), s.server, name); err == nil {
			err = find()
		}
	}
	if err != nil {
		return 0, err
	}
	if len(s.locations) >= maxLocations {
		clear(s.locations)
	}
	s.locations[name] = id
	return id, nil
}

func portNumber(n int) int {
	if n < 0 || n > 65535 {
		return 0
	}
	return n
}

func nullable(address string) any {
	if address == "" {
		return nil
	}
	return fit(address, maxAddress)
}

// text makes a text that databases accept: UTF-8 without NUL.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// fit cuts a text to n characters.
func fit(s string, n int) string {
	s = text(s)
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
