package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"bankauth/internal/fault"
)

// openOnServer is prepare for a vault whose records lie in a database. The
// folder has the reserve and what the database could not take.
func openOnServer(ctx context.Context, o Options, f folder) (*Vault, error) {
	s, err := newServer(o.Store)
	if err != nil {
		return nil, err
	}
	key, err := o.Key.shared()
	if err != nil {
		return nil, err
	}
	m, made, err := s.survey(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.make(); err != nil {
		return nil, err
	}
	if !made {
		if m, err = s.found(ctx, o, key); err != nil {
			return nil, err
		}
	}
	k, err := m.unlockOnServer(key)
	if err != nil {
		return nil, err
	}
	v, err := assemble(o, f, m, key, k)
	if err != nil {
		return nil, err
	}
	v.server = s.String()
	read := s.open(8)
	v.locks = &leases{db: read, as: postgresDialect, length: o.Lease, draw: v.drawID, now: time.Now}
	if err := v.connect(read, s.open(1), postgresDialect); err != nil {
		return nil, err
	}
	_ = v.drain()
	return v, nil
}

// shared returns the key of a vault that several machines open: one that lies
// on one of them is of no use to the others.
func (k Key) shared() (*userKey, error) {
	u, err := k.given()
	if err == nil && u == nil { // a keyring is asked for, or nothing
		err = refuse("a vault in PostgreSQL needs a key of your own", "set BANKAUTH_VAULT_KEY or BANKAUTH_VAULT_KEY_FILE to the same 32 bytes in base64 "+
			"on every machine, such as `openssl rand -base64 32` prints; a keyring or a key file on one machine is of no use to the others", nil)
	}
	return u, err
}

func (m meta) unlockOnServer(key *userKey) (keys, error) {
	if m.fits(key) != nil {
		return keys{}, refuse("the vault's key does not fit", "nothing was changed; give every replica the key that this vault was made with, "+
			"or name another schema or database in BANKAUTH_STORE", nil)
	}
	k, err := m.unlock("", key)
	if err != nil {
		return keys{}, damagedServer(err)
	}
	return k, nil
}

func damagedServer(cause error) *fault.Fault {
	return refuse("the vault's database is damaged", "nothing was changed; restore it from a backup, or name another schema or database in BANKAUTH_STORE to start anew", cause)
}

// survey looks whether a vault is there, and is of a version that we know.
func (s *server) survey(ctx context.Context) (m meta, made bool, err error) {
	db := s.open(1)
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, postgresDialect.patience)
	defer cancel()
	return readServer(ctx, db)
}

// readServer is readMeta where there may be no tables yet.
func readServer(ctx context.Context, db *sql.DB) (m meta, made bool, err error) {
	var there int
	if err := db.QueryRowContext(ctx, countTables).Scan(&there); err != nil {
		return meta{}, false, storeFault(err)
	}
	switch there {
	case 0:
		return meta{}, false, nil
	case tableCount:
	default:
		return meta{}, false, anothers(nil)
	}
	var schema []byte
	if err := db.QueryRowContext(ctx, numbered(selectValue), schemaName).Scan(&schema); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return meta{}, false, storeFault(err)
	}
	version, err := strconv.Atoi(string(schema))
	switch {
	case err != nil:
		return meta{}, false, anothers(err)
	case version > schemaVersion:
		return meta{}, false, refuse("the vault was written by a newer bankauth", "install that version or a later one", nil)
	case version < schemaVersion:
		return meta{}, false, refuse("the vault was written before the first release", "name another schema or database in BANKAUTH_STORE", nil)
	}
	if m, err = metaOf(ctx, newReader(db, postgresDialect)); err != nil {
		return meta{}, false, storeFault(err)
	}
	if len(m.vaultID) != 16 || len(m.index) == 0 || len(m.data) == 0 || len(m.keyID) == 0 {
		return meta{}, false, damagedServer(nil)
	}
	return m, true, nil
}

// countTables looks with the statement's snapshot: to_regclass may answer from a
// cache that has not heard of what another replica has just made.
const (
	countTables = `SELECT count(DISTINCT c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = ANY (current_schemas(false)) AND c.relname IN
		('meta', 'data_keys', 'records', 'attempts', 'candidates', 'passwords', 'audit', 'leases')`
	tableCount = 8
)

// schemaName is the row of meta that says what an SQLite file's header says.
const schemaName = "bankauth_schema"

func anothers(cause error) *fault.Fault {
	return refuse("the database has tables of these names that are not bankauth's",
		"give bankauth a database of its own, or a schema, with search_path=… in BANKAUTH_STORE", cause)
}

// found makes a vault, unless another replica was quicker: then it is theirs.
func (s *server) found(ctx context.Context, o Options, key *userKey) (meta, error) {
	m, k, err := drawKeys(o)
	if err != nil {
		return meta{}, err
	}
	if err := m.lock(key, k); err != nil {
		return meta{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, postgresDialect.patience)
	defer cancel()
	return s.lay(ctx, func(into execer) error { return m.insert(ctx, into) })
}

// lay makes the tables, with what rows writes in them, unless they are there by
// then.
func (s *server) lay(ctx context.Context, rows func(into execer) error) (meta, error) {
	db := s.open(1)
	defer db.Close()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return meta{}, storeFault(err)
	}
	defer func() { _ = tx.Rollback() }()
	// Until the transaction ends; a lock of the session's would be lost in a proxy.
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, applicationID)); err != nil {
		return meta{}, storeFault(err)
	}
	var there int
	if err := tx.QueryRowContext(ctx, countTables).Scan(&there); err != nil {
		return meta{}, storeFault(err)
	}
	if there == 0 {
		if err := fillServer(ctx, tx, rows); err != nil {
			return meta{}, storeFault(err)
		}
	}
	if err := tx.Commit(); err != nil {
		return meta{}, storeFault(err)
	}
	m, made, err := readServer(ctx, db)
	if err == nil && !made {
		err = anothers(nil)
	}
	return m, err
}

func fillServer(ctx context.Context, tx *sql.Tx, rows func(into execer) error) error {
	for _, s := range []string{durably, postgresTables()} {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("making the tables: %w", err)
		}
	}
	if _, err := tx.ExecContext(ctx, numbered(insertMeta), schemaName, []byte(strconv.Itoa(schemaVersion))); err != nil {
		return fmt.Errorf("writing %q: %w", schemaName, err)
	}
	return rows(spelling{tx})
}

// spelling is a transaction that understands the shared statements.
type spelling struct{ tx *sql.Tx }

func (s spelling) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return s.tx.ExecContext(ctx, numbered(query), args...)
}

// remakeOnServer is remake for a vault whose records are to lie in a database.
func (b *backup) remakeOnServer(ctx context.Context, s *server, o Options) (there bool, err error) {
	key, err := o.Key.shared()
	if err != nil {
		return false, err
	}
	if err := b.opens(folder(o.Dir), key); err != nil {
		return false, err
	}
	from, err := b.reader.snapshot(ctx)
	if err != nil {
		return false, err
	}
	defer from.close()
	there = true
	_, err = s.lay(ctx, func(into execer) error {
		there = false
		return copyRows(ctx, from, into)
	})
	return there, err
}

// glimpseServer is glimpse for a vault in a database.
func glimpseServer(ctx context.Context, o Options) (*glance, error) {
	s, err := newServer(o.Store)
	if err != nil {
		return nil, err
	}
	key, err := o.Key.shared()
	if err != nil {
		return nil, err
	}
	f := folder(o.Dir)
	if _, err := f.exists(); err != nil {
		return nil, err
	}
	m, made, err := s.survey(ctx)
	if err != nil || !made {
		return nil, err
	}
	k, err := m.unlockOnServer(key)
	if err != nil {
		return nil, err
	}
	sealer, err := newSealer(m.vaultID, k)
	if err != nil {
		return nil, storeFault(err)
	}
	return &glance{folder: f, meta: m, key: key, sealer: sealer, reader: newReader(s.open(2), postgresDialect)}, nil
}

// storeName names the database; "" where the records lie in a file, or the
// address cannot be read.
func (o Options) storeName() string {
	if !o.onServer() {
		return ""
	}
	s, err := newServer(o.Store)
	if err != nil {
		return ""
	}
	return s.String()
}
