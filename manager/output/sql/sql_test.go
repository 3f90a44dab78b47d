package sql

import (
	stdsql "database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/manager/output"
)

// database opens the empty database that VEDETTE_TEST_POSTGRESQL or VEDETTE_TEST_MYSQL names (type://user:password@host:port/name), makes the
// tables with the script of etc/sql in it, and drops them at the end.
func database(t *testing.T, kind string) (*config.Database, *stdsql.DB) {
	t.Helper()
	name := "VEDETTE_TEST_" + strings.ToUpper(kind)
	u, err := url.Parse(os.Getenv(name))
	if err != nil || u.Host == "" {
		t.Skipf("no database; set %s", name)
	}
	port, _ := strconv.Atoi(u.Port())
	password, _ := u.User.Password()
	c := &config.Database{Type: kind, Host: u.Hostname(), Port: port, User: u.User.Username(), Password: password, Name: strings.TrimPrefix(u.Path, "/")}
	db, err := dialects[kind].open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	script, err := os.ReadFile("../../../etc/sql/" + kind + ".sql")
	if err != nil {
		t.Fatal(err)
	}
	tables := []string{"category", "signature", "signature_category_mapping", "server", "agent", "location", "alert", "data"}
	drop := func() {
		for _, table := range tables {
			if _, err := db.Exec("DROP TABLE IF EXISTS " + table); err != nil {
				t.Error(err)
			}
		}
	}
	drop()
	t.Cleanup(drop)
	for stmt := range strings.SplitSeq(string(script), ";\n") {
		if strings.TrimSpace(stmt) != "" {
			if _, err := db.Exec(stmt); err != nil {
				t.Fatalf("%v\n%s", err, stmt)
			}
		}
	}
	return c, db
}

func testRules() []*event.Rule {
	return []*event.Rule{
		{ID: 5716, Level: 5, Description: "Login 'failed' → Übergröße", Groups: "syslog,sshd,", Log: true},
		{ID: 5720, Level: 10, Description: strings.Repeat("é", 300), Groups: "syslog,sshd," + strings.Repeat("g", 40) + ",", Log: true},
	}
}

func testAlert(n int) *event.Alert {
	ev := &event.Event{Location: "/var/log/auth.log", Hostname: "hostA", FullLog: "it's a \\ test; DROP TABLE alert; \xff\x00 日本"}
	ev.Fields.Set(event.SrcIP, "2001:db8::1")
	ev.Fields.Set(event.SrcPort, "40000")
	ev.Fields.Set(event.DstPort, "99999")
	return &event.Alert{Epoch: 1791187758, Seq: uint64(n), Rule: testRules()[0], Event: ev, Previous: []string{strings.Repeat("ä", 600), strings.Repeat("x", 9000)}}
}

func TestAlertsAreStored(t *testing.T) {
	for _, kind := range []string{"postgresql", "mysql"} {
		t.Run(kind, func(t *testing.T) {
			c, db := database(t, kind)
			for start := range 2 { // the second start finds everything
				s, err := New(Options{Config: c, Hostname: "srv01.example.org", Version: "v4", Information: "Linux", Rules: testRules()})
				if err != nil {
					t.Fatal(err)
				}
				for n := range 3 {
					if err := s.Send(t.Context(), testAlert(3*start+n+1)); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for query, want := range map[string]string{
				`SELECT count(*) FROM server WHERE hostname = 'srv01.example.org' AND version = 'v4'`: "1",
				`SELECT count(*) FROM category`:                                                                               "3",
				`SELECT count(*) FROM signature_category_mapping`:                                                             "5",
				`SELECT description FROM signature WHERE rule_id = 5716`:                                                      "Login 'failed' → Übergröße",
				`SELECT description FROM signature WHERE rule_id = 5720`:                                                      strings.Repeat("é", 255),
				`SELECT count(*) FROM location WHERE name = 'hostA->/var/log/auth.log'`:                                       "1",
				`SELECT count(*) FROM alert WHERE timestamp = 1791187758 AND src_port = 40000 AND dst_port = 0 AND level = 5`: "6",
				`SELECT alertid FROM alert ORDER BY id DESC LIMIT 1`:                                                          "1791187758.6",
				`SELECT src_ip FROM alert LIMIT 1`:                                                                            "2001:db8::1",
				`SELECT count(*) FROM alert WHERE dst_ip IS NULL`:                                                             "6",
			} {
				var got string
				if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
					t.Errorf("%s: %q, %v, want %q", query, got, err, want)
				}
			}
			var log string
			if err := db.QueryRow(`SELECT full_log FROM alert LIMIT 1`).Scan(&log); err != nil || !strings.HasPrefix(log, "it's a \\ test; DROP TABLE alert; \uFFFD 日本\nä") || len(log) > maxLog {
				t.Errorf("%q, %v", log, err)
			}
		})
	}
}

func TestLostConnectionIsMadeAgain(t *testing.T) {
	c, db := database(t, "postgresql")
	s, err := New(Options{Config: c, Hostname: "h", Rules: testRules()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send(t.Context(), testAlert(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	err = s.Send(t.Context(), testAlert(2))
	if err != nil {
		err = s.Send(t.Context(), testAlert(2))
	}
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM alert`).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d alerts, %v", n, err)
	}
}

func TestRefusedValuesAreGivenUp(t *testing.T) {
	c, _ := database(t, "postgresql")
	s, err := New(Options{Config: c, Hostname: "h", Rules: testRules()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := testAlert(1)
	a.Rule = &event.Rule{ID: 1, Level: 99999, Log: true}
	for range maxFailures - 1 {
		s.Send(t.Context(), a)
	}
	if err := s.Send(t.Context(), a); !errors.Is(err, output.ErrDrop) {
		t.Errorf("error %v", err)
	}
	if err := s.Send(t.Context(), testAlert(2)); err != nil {
		t.Error(err)
	}
}

func TestRefusalIsTold(t *testing.T) {
	for _, c := range []struct {
		kind string
		err  error
		want bool
	}{
		{"mysql", &mysql.MySQLError{Number: 1264, SQLState: [5]byte([]byte("22003"))}, true},
		{"mysql", &mysql.MySQLError{Number: 1205, SQLState: [5]byte([]byte("HY000"))}, false},
		{"mysql", fmt.Errorf("x: %w", mysql.ErrInvalidConn), false},
		{"postgresql", &pgconn.PgError{Code: "22003"}, true},
		{"postgresql", &pgconn.PgError{Code: "57P01"}, false},
	} {
		if got := dialects[c.kind].refuses(c.err); got != c.want {
			t.Errorf("%s, %v: %v", c.kind, c.err, got)
		}
	}
}

func TestQueriesOfEachDialect(t *testing.T) {
	q := `INSERT INTO alert ("user", level) VALUES (?, ?)`
	if got := dialects["mysql"].adapt(q); got != "INSERT INTO alert (`user`, level) VALUES (?, ?)" {
		t.Error(got)
	}
	if got := dialects["postgresql"].adapt(q); got != `INSERT INTO alert ("user", level) VALUES ($1, $2)` {
		t.Error(got)
	}
}

func TestUnreachableDatabaseIsAnErrorOfSend(t *testing.T) {
	for kind := range dialects {
		s, err := New(Options{Config: &config.Database{Type: kind, Host: "127.0.0.1", Port: 1, User: "u", Password: "p", Name: "n"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(t.Context(), testAlert(1)); err == nil || errors.Is(err, output.ErrDrop) {
			t.Errorf("%s: error %v", kind, err)
		}
		s.Close()
	}
	if _, err := New(Options{Config: &config.Database{Type: "oracle"}}); err == nil {
		t.Error("unknown type accepted")
	}
}

func FuzzFit(f *testing.F) {
	f.Add("é日\xff", 2)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = max(0, min(n, 1000))
		if got := fit(s, n); utf8.RuneCountInString(got) > n || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Errorf("%q", got)
		}
	})
}
