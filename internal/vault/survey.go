package vault

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"bankauth/internal/fault"
)

// meta is what the store says about itself.
type meta struct {
	vaultID, keyID, index []byte // index is wrapped
	data                  []wrappedKey
	auditHead             []byte
	source                string
	schema                int
	old                   []byte // the data key of a vault of schema 1
}

// wrappedKey is one of the vault's data keys.
type wrappedKey struct {
	id      int64
	state   string
	wrapped []byte
}

// The states of a data key.
const (
	keyCurrent = "current"
	keyRetired = "retired" // opens what was sealed with it; seals no more
)

// account is the keyring's name for the key of this vault.
func (m meta) account() string { return "vault-" + hex.EncodeToString(m.vaultID) }

// nextAccount is the same for the key that is to come.
func (m meta) nextAccount() string { return m.account() + ".next" }

// survey looks at a folder without changing a byte of it: whether a vault is
// there, is ours, whole and of a version we know. Its errors are faults.
func survey(ctx context.Context, f folder) (m meta, made bool, err error) {
	there, err := f.exists()
	if err != nil || !there {
		return meta{}, false, err
	}
	there, err = file("the vault's file", f.store())
	if err != nil {
		return meta{}, false, err
	}
	if !there {
		if info, err := os.Stat(f.journal()); err == nil && info.Size() > 0 {
			return meta{}, false, refuse("the vault's main file is missing while its journal is there",
				"restore vault.db in "+string(f)+", or move the journal away to start anew", nil)
		}
		return meta{}, false, nil
	}
	// An immutable look leaves no trace, but another process may begin to
	// write meanwhile, and what was seen is worth nothing then. So only what
	// looks bad three times is bad.
	for range 3 {
		if m, err = look(ctx, f, !journalled(f)); err == nil {
			return m, true, nil
		}
	}
	return meta{}, false, err
}

func journalled(f folder) bool {
	_, err := os.Stat(f.journal())
	return err == nil
}

func look(ctx context.Context, f folder, still bool) (meta, error) {
	h, err := readHeader(f)
	if err != nil {
		return meta{}, err
	}
	if still { // beside a journal a page may be half written: it is whole in there
		if info, err := os.Stat(f.store()); err != nil || !h.fits(info.Size()) {
			return meta{}, damaged(f, err)
		}
	}
	db, err := openSurvey(f.store(), still)
	if err != nil {
		return meta{}, storeFault(err)
	}
	defer db.Close()
	var sound string
	if err := db.QueryRowContext(ctx, checkStatement).Scan(&sound); err != nil {
		return meta{}, storeFault(err)
	}
	if sound != "ok" {
		return meta{}, damaged(f, nil)
	}
	m, err := metaOf(ctx, newReader(db, sqliteDialect), h.schema)
	if err != nil {
		return meta{}, storeFault(err)
	}
	has := len(m.index) > 0 && len(m.data) > 0
	if m.schema < schemaVersion {
		has = len(m.old) > 0
	}
	if len(m.vaultID) != 16 || len(m.keyID) == 0 || !has {
		return meta{}, damaged(f, nil)
	}
	return m, nil
}

func readHeader(f folder) (header, error) {
	h, err := headerOf(f.store())
	if errors.Is(err, fs.ErrPermission) {
		return header{}, refuse("the vault's file cannot be read", "give your user access to "+f.store(), err)
	}
	if err != nil {
		return header{}, damaged(f, err)
	}
	if h.application != applicationID {
		return header{}, refuse("vault.db is not a vault of bankauth",
			"move it out of "+string(f)+", or set BANKAUTH_DATA_DIR to another folder", nil)
	}
	if h.schema > schemaVersion {
		return header{}, refuse("the vault was written by a newer bankauth", "install that version or a later one", nil)
	}
	return h, nil
}

// metaOf reads what the store says about itself, at one moment: its key may be
// changed at the next.
func metaOf(ctx context.Context, r *reader, schema int) (meta, error) {
	s, err := r.snapshot(ctx)
	if err != nil {
		return meta{}, err
	}
	m, err := readMeta(s, schema)
	return m, errors.Join(err, s.close())
}

func readMeta(q querier, schema int) (meta, error) {
	rows, err := q.query(selectMeta)
	if err != nil {
		return meta{}, fmt.Errorf("reading the store's own row: %w", err)
	}
	defer rows.Close()
	m := meta{schema: schema}
	for rows.Next() {
		var name string
		var value []byte
		if err := rows.Scan(&name, &value); err != nil {
			return meta{}, fmt.Errorf("reading the store's own row: %w", err)
		}
		switch name {
		case "vault_id":
			m.vaultID = value
		case "key_id":
			m.keyID = value
		case indexKey:
			m.index = value
		case oldDataKey:
			m.old = value
		case auditHead:
			m.auditHead = value
		case "key_source":
			m.source = string(value)
		}
	}
	if err := rows.Err(); err != nil {
		return meta{}, fmt.Errorf("reading the store's own row: %w", err)
	}
	if schema >= schemaVersion {
		m.data, err = readKeys(q)
	}
	return m, err
}

func readKeys(q querier) ([]wrappedKey, error) {
	rows, err := q.query(selectKeys)
	if err != nil {
		return nil, fmt.Errorf("reading the data keys: %w", err)
	}
	defer rows.Close()
	var all []wrappedKey
	for rows.Next() {
		var w wrappedKey
		if err := rows.Scan(&w.id, &w.state, &w.wrapped); err != nil {
			return nil, fmt.Errorf("reading a data key: %w", err)
		}
		all = append(all, w)
	}
	return all, rows.Err()
}

// create makes a vault under another name and moves it into place when it is
// whole: a vault.db that is short or empty is then always damage.
func create(ctx context.Context, f folder, rows func(db *sql.DB) error) error {
	for _, leftover := range []string{f.fresh(), f.fresh() + "-wal", f.fresh() + "-shm"} {
		if err := os.Remove(leftover); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clearing an unfinished vault: %w", err)
		}
	}
	w, err := os.OpenFile(f.fresh(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the vault's file: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("making the vault's file: %w", err)
	}
	if err := fill(ctx, f.fresh(), rows); err != nil {
		return err
	}
	if err := os.Rename(f.fresh(), f.store()); err != nil {
		return fmt.Errorf("putting the vault's file in its place: %w", err)
	}
	return f.sync()
}

// execer takes statements in SQLite's spelling.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// insert writes m into the tables of a store that is being made.
func (m meta) insert(ctx context.Context, db execer) error {
	for _, kv := range []struct {
		name  string
		value []byte
	}{{"vault_id", m.vaultID}, {"key_id", m.keyID}, {indexKey, m.index}, {"key_source", []byte(m.source)}, {auditHead, m.auditHead}} {
		if _, err := db.ExecContext(ctx, insertMeta, kv.name, kv.value); err != nil {
			return fmt.Errorf("writing %q: %w", kv.name, err)
		}
	}
	for _, w := range m.data {
		if _, err := db.ExecContext(ctx, insertKey, w.id, w.state, w.wrapped); err != nil {
			return fmt.Errorf("writing a data key: %w", err)
		}
	}
	return nil
}

func damaged(f folder, cause error) *fault.Fault {
	return refuse("the vault is damaged", "nothing was changed; move vault.db and what begins with its name out of "+string(f)+", then run `bankauth vault restore FILE` with a backup, or start anew", cause)
}

// storeFault puts what the store says into words.
func storeFault(err error) *fault.Fault {
	var f *fault.Fault
	switch {
	case errors.As(err, &f):
		return f
	case sqliteTrouble(err) == occupied:
		return unusable("the vault is busy in another process", "call again in a moment", err)
	case sqliteTrouble(err) == corrupt:
		return refuse("the vault is damaged", "move vault.db and what begins with its name out of its folder, which `bankauth doctor` names, then run `bankauth vault restore FILE` with a backup", err)
	case sqliteTrouble(err) == readOnly:
		return refuse("the vault's folder cannot be written", "give your user write access to it; `bankauth doctor` names it", err)
	case sqliteTrouble(err) == full:
		return refuse("the disk has no room for the vault", "free some space and call again", err)
	}
	if f := postgresFault(err); f != nil {
		return f
	}
	return unusable("the vault cannot be used", "call again; if it stays, run `bankauth doctor`", err)
}
