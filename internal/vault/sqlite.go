package vault

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// All that is SQLite's own stands in this file: the address, the tables, the
// statements and the meaning of its errors.

const (
	applicationID = 0x62616b61 // "baka"
	schemaVersion = 1
)

// tables is the schema of version 1. In clear are only refs, kinds, blind
// indexes, sequences, states and times.
//
//	records    one token each; lookup is NULL for a grant without a record of its own
//	intents    a mint that was begun; a row that outlives its lock was cut off
//	passwords  one password each, pending until the provider knows the user
//	meta       vault_id, data_key (wrapped), key_id, key_source
const tables = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE records (
	ref TEXT PRIMARY KEY, kind TEXT NOT NULL, owner BLOB NOT NULL, lookup BLOB UNIQUE,
	seq INTEGER NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
	sealed BLOB NOT NULL) STRICT;
CREATE INDEX records_owner ON records (owner);
CREATE TABLE intents (
	ref TEXT PRIMARY KEY, op TEXT NOT NULL, id BLOB NOT NULL, rotation TEXT NOT NULL, attempts INTEGER NOT NULL,
	since INTEGER NOT NULL, started INTEGER NOT NULL, deadline INTEGER NOT NULL) STRICT;
CREATE TABLE passwords (
	lookup BLOB NOT NULL, state TEXT NOT NULL, owner BLOB NOT NULL, seq INTEGER NOT NULL,
	created INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (lookup, state)) STRICT;`

const rowColumns = `SELECT r.ref, r.kind, r.lookup, r.seq, r.state, r.sealed, i.id, i.since FROM records r
	LEFT JOIN intents i ON i.ref = r.ref AND i.op = 'refresh' `

// The statements that are prepared once.
const (
	selectByRef       = rowColumns + `WHERE r.ref = ?`
	selectByLookup    = rowColumns + `WHERE r.lookup = ?`
	selectByOwner     = rowColumns + `WHERE r.owner = ? ORDER BY r.created, r.ref`
	selectAll         = rowColumns + `ORDER BY r.ref`
	selectPasswordSeq = `SELECT seq FROM passwords WHERE lookup = ? AND state = ?`
	selectSeq         = `SELECT seq FROM records WHERE ref = ?`

	insertRecord = `INSERT INTO records (ref, kind, owner, lookup, seq, state, created, updated, sealed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updateRecord   = `UPDATE records SET seq = ?, state = ?, updated = ?, sealed = ? WHERE ref = ? AND seq = ?`
	deleteRecord   = `DELETE FROM records WHERE ref = ?`
	displaceRecord = `UPDATE records SET lookup = NULL, state = 'set_aside' WHERE ref = ?`

	insertIntent = `INSERT INTO intents (ref, op, id, rotation, attempts, since, started, deadline)
		VALUES (?, ?, ?, ?, 1, ?, ?, ?)
		ON CONFLICT (ref) DO UPDATE SET op = excluded.op, id = excluded.id, rotation = excluded.rotation,
		attempts = attempts + 1, started = excluded.started, deadline = excluded.deadline`
	deleteIntent = `DELETE FROM intents WHERE ref = ?`

	selectPassword = `SELECT seq, sealed FROM passwords WHERE lookup = ? AND state = ?`
	upsertPassword = `INSERT INTO passwords (lookup, state, owner, seq, created, sealed) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (lookup, state) DO UPDATE SET seq = excluded.seq, created = excluded.created, sealed = excluded.sealed`
	deletePassword  = `DELETE FROM passwords WHERE lookup = ? AND state = ?`
	deletePasswords = `DELETE FROM passwords WHERE lookup = ?`
	countPasswords  = `SELECT count(DISTINCT lookup) FROM passwords`

	selectMeta = `SELECT name, value FROM meta`
	insertMeta = `INSERT INTO meta (name, value) VALUES (?, ?)`

	beginWrite  = `BEGIN IMMEDIATE`
	commitWrite = `COMMIT`
	undoWrite   = `ROLLBACK`
)

// syncMode makes the commits that follow survive a power cut (durable), or the
// death of the process only. One connection switches between the two, because
// two writing connections would wait for each other by sleeping.
func syncMode(durable bool) string {
	if durable {
		return `PRAGMA synchronous = FULL`
	}
	return `PRAGMA synchronous = NORMAL`
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
type header struct{ application, schema int }

var errNotSQLite = errors.New("not an SQLite file")

func parseHeader(b []byte) (header, error) {
	if len(b) < 100 || string(b[:16]) != "SQLite format 3\x00" {
		return header{}, errNotSQLite
	}
	return header{
		application: int(binary.BigEndian.Uint32(b[68:])),
		schema:      int(binary.BigEndian.Uint32(b[60:])),
	}, nil
}

// createStatements make a new store in the file that is open. The journal
// mode comes first: it cannot change within a transaction.
func createStatements() []string {
	return []string{
		`PRAGMA journal_mode = WAL`,
		syncMode(true),
		beginWrite,
		fmt.Sprintf(`PRAGMA application_id = %d`, applicationID),
		fmt.Sprintf(`PRAGMA user_version = %d`, schemaVersion),
		tables,
	}
}

const (
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

// isBusy reports that another connection held the store for too long.
func isBusy(err error) bool {
	c := sqliteCode(err)
	return c == sqlite3.SQLITE_BUSY || c == sqlite3.SQLITE_LOCKED
}

// isDamaged reports that the file is not, or no longer, a sound store.
func isDamaged(err error) bool {
	c := sqliteCode(err)
	return c == sqlite3.SQLITE_CORRUPT || c == sqlite3.SQLITE_NOTADB
}

// isReadOnly reports that the store may not be written here.
func isReadOnly(err error) bool {
	c := sqliteCode(err)
	return c == sqlite3.SQLITE_READONLY || c == sqlite3.SQLITE_CANTOPEN || c == sqlite3.SQLITE_PERM
}

// isFull reports that the disk has no room.
func isFull(err error) bool { return sqliteCode(err) == sqlite3.SQLITE_FULL }
