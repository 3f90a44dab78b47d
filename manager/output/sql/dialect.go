package sql

import (
	stdsql "database/sql"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/vedette-hids/vedette/config"
)

const connectTimeout = 10 * time.Second

// dialect is what the two databases do differently. Queries are written with ? and 'user' in double quotes.
type dialect struct {
	open func(c *config.Database) (*stdsql.DB, error)
	// adapt changes a query into the database's own form.
	adapt func(query string) string
	// refuses reports whether an error is about the values, so that trying again fails again.
	refuses func(err error) bool
}

var dialects = map[string]dialect{
	"mysql": {
		open:  openMySQL,
		adapt: func(q string) string { return strings.ReplaceAll(q, `"`, "`") },
		refuses: func(err error) bool {
			e := (*mysql.MySQLError)(nil)
			// SQLSTATE classes 22 and 23: data exception, constraint violation; HY000 1366: wrong string.
			return errors.As(err, &e) && (string(e.SQLState[:2]) == "22" || string(e.SQLState[:2]) == "23" || e.Number == 1366)
		},
	},
	"postgresql": {
		open:  openPostgres,
		adapt: numbered,
		refuses: func(err error) bool {
			e := (*pgconn.PgError)(nil)
			return errors.As(err, &e) && (strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23"))
		},
	},
}

// numbered replaces each ? by $1, $2, ...
func numbered(q string) string {
	var b strings.Builder
	n := 0
	for i := range len(q) {
		if q[i] == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
		} else {
			b.WriteByte(q[i])
		}
	}
	return b.String()
}

func openMySQL(c *config.Database) (*stdsql.DB, error) {
	m := mysql.NewConfig()
	m.User, m.Passwd, m.DBName, m.Timeout = c.User, c.Password, c.Name, connectTimeout
	m.Net, m.Addr = "tcp", net.JoinHostPort(c.Host, strconv.Itoa(port(c.Port, 3306)))
	if c.Socket != "" {
		m.Net, m.Addr = "unix", c.Socket
	}
	conn, err := mysql.NewConnector(m)
	if err != nil {
		return nil, fmt.Errorf("database_output: %w", err)
	}
	return stdsql.OpenDB(conn), nil
}

func openPostgres(c *config.Database) (*stdsql.DB, error) {
	p, err := pgx.ParseConfig("")
	if err != nil {
		return nil, fmt.Errorf("database_output: %w", err)
	}
	p.Host, p.Port, p.User, p.Password, p.Database, p.ConnectTimeout = c.Host, uint16(port(c.Port, 5432)), c.User, c.Password, c.Name, connectTimeout
	if c.Socket != "" { // the socket, or the directory that it is in
		p.Host = c.Socket
		if strings.HasPrefix(filepath.Base(c.Socket), ".s.PGSQL.") {
			p.Host = filepath.Dir(c.Socket)
		}
	}
	return stdlib.OpenDB(*p), nil
}

func port(n, otherwise int) int {
	if n > 0 && n < 65536 {
		return n
	}
	return otherwise
}
