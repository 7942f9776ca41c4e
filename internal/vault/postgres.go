package vault

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// All that is PostgreSQL's own stands here, in leases.go and in server.go.
//
// Everything goes through a proxy that gives a connection of the server's to
// one transaction at a time: nothing is prepared, nothing is set for longer
// than a transaction, and no lock outlives one.

// postgresDialect: one database, many replicas. Writers take turns at the row
// of the audit's head, as SQLite's do at the file: they cannot wait for each
// other in a circle, and what a transaction has read stays true until its end.
var postgresDialect = &dialect{
	name:  "PostgreSQL",
	begin: []string{beginServer + atLeastOn + turn},
	still: `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`,
	lax:   []string{beginServer + `SET LOCAL synchronous_commit = off;` + turn},
	commit: func(ctx context.Context, conn *sql.Conn) error {
		return conn.Raw(func(c any) error {
			tag, err := c.(*stdlib.Conn).Conn().Exec(ctx, commitWrite)
			if err == nil && tag.String() != commitWrite { // a statement had failed, and nobody said so
				err = errRolledBack
			}
			return err
		})
	},
	sync:     func(bool) string { return "" }, // begin and lax say it
	bind:     numbered,
	shared:   true,
	patience: 8 * time.Second,
	classify: postgresTrouble,
}

const (
	// A transaction whose client has stopped must not keep the others waiting.
	beginServer = `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '4s'; SET LOCAL idle_in_transaction_session_timeout = '3s';`
	// durably makes a commit reach the disk. What the operator has set is kept
	// where it does that, because it may reach further, to a standby.
	durably   = `SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)`
	atLeastOn = durably + `;`
	turn      = `SELECT 1 FROM meta WHERE name = 'audit_head' FOR UPDATE`
)

var errRolledBack = errors.New("the database has rolled the transaction back")

// numbered spells parameters as $1, $2, …
func numbered(query string) string {
	if !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// postgresTables are the same tables in PostgreSQL's words, and the leases.
func postgresTables() string {
	return strings.NewReplacer("BLOB", "BYTEA", "INTEGER", "BIGINT", ") STRICT", ")").Replace(tables) + leaseTable
}

// server is a PostgreSQL database, or a proxy before it.
type server struct{ config *pgx.ConnConfig }

// connectWait bounds a connection to one host, where the address says nothing.
const connectWait = 3 * time.Second

// newServer reads an address. Its faults quote nothing of it.
func newServer(address secret.Value) (*server, error) {
	text := address.Reveal()
	wrong := func(hint string) error {
		return refuse("BANKAUTH_STORE is not the address of a PostgreSQL database", hint, nil) // pgx's own text may hold the password
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, wrong("set it to postgres://USER:PASSWORD@HOST/DATABASE, with what is not a letter or a digit in the password written as %xx")
	}
	config, err := pgx.ParseConfig(text)
	if err == nil && !u.Query().Has("sslmode") && remote(config) {
		// pgx, as libpq, would fall back to a connection that anybody can read.
		q := u.Query()
		q.Set("sslmode", "verify-full")
		u.RawQuery = q.Encode()
		config, err = pgx.ParseConfig(u.String())
	}
	if err != nil {
		return nil, wrong("look at what stands after the host, such as sslmode=… and sslrootcert=FILE; libpq's documentation says what may")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectWait
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "bankauth"
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is prepared
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	return &server{config}, nil
}

// remote reports whether a host of c is not this machine.
func remote(c *pgx.ConnConfig) bool {
	hosts := []string{c.Host}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, h := range hosts {
		ip := net.ParseIP(h)
		if !strings.HasPrefix(h, "/") && h != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return true
		}
	}
	return false
}

// String names the database for people; its user and password stay out of it.
func (s *server) String() string {
	return fmt.Sprintf("PostgreSQL at %s, database %s", net.JoinHostPort(s.config.Host, strconv.Itoa(int(s.config.Port))), s.config.Database)
}

func (s *server) open(conns int) *sql.DB {
	db := stdlib.OpenDB(*s.config)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// sqlState returns the code of what the server said (its documentation,
// appendix A); "" where it said nothing.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func postgresTrouble(err error) trouble {
	switch code := sqlState(err); code {
	case "":
		if brokenOff(err) {
			return lost
		}
	case "55P03", "40001", "40P01", "57014": // lock_timeout, serialization, deadlock, statement_timeout
		return occupied
	case "XX001", "XX002":
		return corrupt
	case "25006", "42501": // a standby, or a role without the rights
		return readOnly
	case "53100":
		return full
	case "25P02", "25P03", "53300", "57P01", "57P02", "57P03", "57P05":
		return lost
	default:
		if strings.HasPrefix(code, "08") { // a proxy's own words too
			return lost
		}
	}
	return unknown
}

// brokenOff reports that err tells of a connection and not of what was asked.
func brokenOff(err error) bool {
	var network net.Error
	var connect *pgconn.ConnectError
	if errors.As(err, &network) || errors.As(err, &connect) || pgconn.SafeToRetry(err) {
		return true
	}
	for _, e := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// postgresFault puts what the server says into words; nil where err is none of
// its errors.
func postgresFault(err error) *fault.Fault {
	switch code := sqlState(err); {
	case strings.HasPrefix(code, "28"), code == "3D000":
		return refuse("the vault's database does not let us in", "look at user, password and database in BANKAUTH_STORE", err)
	case code == "3F000":
		return refuse("the vault's database has no schema to put tables into", "make the schema that search_path in BANKAUTH_STORE names, or name another", err)
	}
	if errors.Is(err, context.Canceled) {
		return nil // whoever called has left
	}
	switch postgresTrouble(err) {
	case occupied:
		return unusable("the vault's database is busy", "call again in a moment", err)
	case corrupt:
		return refuse("the vault's database is damaged", "restore it from a backup", err)
	case readOnly:
		return refuse("the vault's database may not be written",
			"name the primary server in BANKAUTH_STORE, and give its role the right to make tables in its schema and to use them", err)
	case full:
		return refuse("the disk of the vault's database has no room", "free some space there and call again", err)
	case lost:
		return unusable("the vault's database cannot be reached",
			"see that PostgreSQL answers at the address in BANKAUTH_STORE; beyond this machine it must show a certificate that is trusted, unless sslmode=… says otherwise", err)
	}
	return nil
}
