package vault

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// All that is SQLite's own stands in this file: the address, how a transaction
// begins and the meaning of errors. PostgreSQL has postgres.go for the same.

const (
	applicationID = 0x62616b61 // "baka"
	schemaVersion = 3
)

// dialect is what two stores do not share. Its functions keep nothing.
type dialect struct {
	name string
	// begin opens a transaction that no other writer can be in, in any process.
	begin []string
	// lax is begin for a transaction that a power cut may undo; nil: begin, and
	// sync has said so.
	lax []string
	// commit ends one; nil: the statement. It must not take a rollback for a commit.
	commit func(ctx context.Context, conn *sql.Conn) error
	// still begins a transaction that reads one state throughout.
	still string
	// sync says before a transaction how far its commit must reach; "" where
	// there is nothing to say.
	sync func(durable bool) string
	// bind spells the parameters of a statement; nil: as they are.
	bind func(query string) string
	// prepared says that statements are prepared once and used again.
	prepared bool
	// shared says that other machines use the store, which do not see our folder.
	shared bool
	// patience bounds a transaction, and a read; 0: the store bounds it by itself.
	patience time.Duration
	classify func(error) trouble
}

// trouble is what an error of the store means to us.
type trouble int

const (
	unknown  trouble = iota
	occupied         // another connection held the store for too long
	corrupt          // what is there is not, or no longer, a sound store
	readOnly         // it may not be written here
	full             // the disk has no room
	lost             // the connection is gone; whether a commit took place is not known
)

// tables is the schema. In clear are only refs, kinds, blind indexes,
// sequences, states and times.
//
//	records     one token each; lookup is NULL for a grant without a record of its own
//	attempts    what was sent, or is about to be: name is a token_ref (refresh), or the
//	            blind index of a code or of a user to be made. state: pending (a row that
//	            outlives its lock was cut off), cooling (failed; until says when again),
//	            done (made; its answer may not have been heard), heard (a code that is spent).
//	            Notes (note.go) lie here too: open, taken, settled; owner is the blind index
//	            of a note's principal, and empty elsewhere
//	candidates  refresh tokens of answers that came second; tried before a token is given up
//	passwords   one password each, pending until the provider knows the user
//	data_keys   current and retired ones, wrapped
//	meta        vault_id, index_key (wrapped), key_id and key_source of the user's key, audit_head
//	audit       every change of a credential's state, a chain (audit.go)
const tables = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE data_keys (id INTEGER PRIMARY KEY, state TEXT NOT NULL, wrapped BLOB NOT NULL) STRICT;
CREATE TABLE records (
	ref TEXT PRIMARY KEY, kind TEXT NOT NULL, owner BLOB NOT NULL, lookup BLOB UNIQUE, key_id INTEGER NOT NULL,
	seq INTEGER NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
	sealed BLOB NOT NULL) STRICT;
CREATE INDEX records_owner ON records (owner);
CREATE TABLE attempts (
	name TEXT PRIMARY KEY, op TEXT NOT NULL, id BLOB NOT NULL, state TEXT NOT NULL, ref TEXT NOT NULL, owner TEXT NOT NULL,
	tries INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL, code TEXT NOT NULL) STRICT;
CREATE TABLE candidates (
	ref TEXT NOT NULL, id BLOB NOT NULL, key_id INTEGER NOT NULL, taken INTEGER NOT NULL, sealed BLOB NOT NULL,
	PRIMARY KEY (ref, id)) STRICT;
CREATE TABLE passwords (
	lookup BLOB NOT NULL, state TEXT NOT NULL, key_id INTEGER NOT NULL, seq INTEGER NOT NULL, created INTEGER NOT NULL,
	sealed BLOB NOT NULL, PRIMARY KEY (lookup, state)) STRICT;
CREATE TABLE audit (
	seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, event TEXT NOT NULL, ref TEXT NOT NULL, attempt BLOB NOT NULL,
	generation INTEGER NOT NULL, code TEXT NOT NULL, mac BLOB NOT NULL) STRICT;`

// sqliteDialect: one file, many processes.
var sqliteDialect = &dialect{
	name:  "SQLite",
	begin: []string{`BEGIN IMMEDIATE`},
	still: `BEGIN`,
	// One connection switches between the two, because two writing connections
	// would wait for each other by sleeping.
	sync: func(durable bool) string {
		if durable {
			return `PRAGMA synchronous = FULL`
		}
		return `PRAGMA synchronous = NORMAL`
	},
	prepared: true,
	classify: sqliteTrouble,
}

// address returns the data source name of the file at path.
func address(path string, options url.Values) string {
	// Absolute and escaped: a "?" or "%" in a folder's name is no option.
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	abs = filepath.ToSlash(abs)
	if abs[0] != '/' {
		abs = "/" + abs // a drive letter
	}
	return "file:" + (&url.URL{Path: abs}).EscapedPath() + "?" + options.Encode()
}

func pragmas(extra ...string) url.Values {
	return url.Values{
		"_pragma": append([]string{"busy_timeout(5000)", "trusted_schema(0)", "temp_store(2)", "cache_size(-2000)"}, extra...),
		"_dqs":    {"0"},
	}
}

func openReader(path string) (*sql.DB, error) {
	return openSQL(address(path, pragmas("query_only(1)")), 4)
}

func openWriter(path string) (*sql.DB, error) {
	return openSQL(address(path, pragmas("secure_delete(1)", "wal_autocheckpoint(2000)", "journal_size_limit(16777216)")), 1)
}

// openSurvey opens path without the means to change it. still says that no
// journal lies beside it: then SQLite makes no file of its own either.
func openSurvey(path string, still bool) (*sql.DB, error) {
	o := pragmas("query_only(1)")
	o.Set("mode", "ro")
	if still {
		o.Set("immutable", "1")
	}
	return openSQL(address(path, o), 1)
}

func openSQL(dsn string, conns int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// header is what the first 100 bytes of the file say (sqlite.org/fileformat2.html §1.3).
type header struct{ application, schema, page int }

// fits reports whether a file of so many bytes has no part of a page. SQLite
// takes what is missing for zeros.
func (h header) fits(size int64) bool { return h.page > 0 && size%int64(h.page) == 0 }

var errNotSQLite = errors.New("not an SQLite file")

func parseHeader(b []byte) (header, error) {
	if len(b) < 100 || string(b[:16]) != "SQLite format 3\x00" {
		return header{}, errNotSQLite
	}
	return header{
		application: int(binary.BigEndian.Uint32(b[68:])),
		schema:      int(binary.BigEndian.Uint32(b[60:])),
		page:        int(binary.BigEndian.Uint16(b[16:])), // 1 stands for 65,536, which none of ours has
	}, nil
}

// createStatements make a new store in the file that is open. The journal
// mode comes first: it cannot change within a transaction.
func createStatements() []string {
	return []string{
		`PRAGMA journal_mode = WAL`,
		sqliteDialect.sync(true),
		sqliteDialect.begin[0],
		fmt.Sprintf(`PRAGMA application_id = %d`, applicationID),
		fmt.Sprintf(`PRAGMA user_version = %d`, schemaVersion),
		tables,
	}
}

const (
	integrityStatement  = `PRAGMA integrity_check(20)`
	checkStatement      = `PRAGMA quick_check(1)`
	checkpointStatement = `PRAGMA wal_checkpoint(TRUNCATE)`
)

func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

func sqliteTrouble(err error) trouble {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return occupied
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return corrupt
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return readOnly
	case sqlite3.SQLITE_FULL:
		return full
	}
	return unknown
}
