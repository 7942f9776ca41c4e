package vault

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
)

// Schema 1 had one data key, wrapped under another name, and drew the key of
// its blind indexes from it; instead of attempts it had intents, and no audit.

const oldDataKey = "data_key"

// unlockOld returns the keys of a vault of schema 1, as schema 2 has them. The
// blind indexes keep their key, so every row stays where it is found.
func (m meta) unlockOld(f folder, key *userKey) (keys, error) {
	if err := m.fits(key); err != nil {
		return keys{}, err
	}
	data, err := unwrap(key.bytes, m.vaultID, oldDataKey, m.old)
	if err != nil {
		return keys{}, damaged(f, err)
	}
	root, err := hkdf.Extract(sha256.New, data, m.vaultID)
	if err != nil {
		return keys{}, fmt.Errorf("deriving the root key: %w", err)
	}
	index, err := hkdf.Expand(sha256.New, root, "bankauth lookup", keySize)
	if err != nil {
		return keys{}, fmt.Errorf("deriving the lookup key: %w", err)
	}
	return keys{index: index, data: map[int64][]byte{1: data}, current: 1}, nil
}

// upgrade brings a vault of schema 1 to schema 2 in one transaction, unless
// another process has done so by the time that the lock is ours.
func upgrade(ctx context.Context, o Options, f folder, m meta) (meta, *userKey, error) {
	key, err := existingKey(o, f, m)
	if err != nil {
		return meta{}, nil, err
	}
	if _, err := m.unlockOld(f, key); err != nil { // so that a vault which is refused is left as it is
		return meta{}, nil, err
	}
	release, err := f.lock(ctx)
	if err != nil {
		return meta{}, nil, err
	}
	defer release()
	m, made, err := survey(ctx, f)
	if err != nil {
		return meta{}, nil, err
	}
	if !made {
		return meta{}, nil, unusable("the vault's file was taken away while it was opened", "call again", nil)
	}
	if m.schema >= schemaVersion {
		key, err = existingKey(o, f, m)
		return m, key, err
	}
	k, err := m.unlockOld(f, key)
	if err != nil {
		return meta{}, nil, err
	}
	if err := m.lock(key, k); err != nil {
		return meta{}, nil, err
	}
	s, err := newSealer(m.vaultID, k)
	if err != nil {
		return meta{}, nil, err
	}
	c := newChain(s)
	e := logged{seq: 1, at: millis(o.Now()), event: event{what: auditUpgraded, attempt: []byte{}}}
	e.mac = c.mac(link{mac: make([]byte, macSize)}, e.at, e.event)
	m.schema, m.old, m.auditHead = schemaVersion, nil, c.sealed(link{seq: e.seq, mac: e.mac})
	// An anchor that is there already says that this is a copy of old.
	a := &anchor{path: f.head(), chain: c}
	if _, err := a.read(); errors.Is(err, fs.ErrNotExist) {
		if err := a.put(link{mac: make([]byte, macSize)}, true); err != nil {
			return meta{}, nil, err
		}
	}
	return m, key, rebuild(ctx, f, m, e)
}

// rebuild moves the rows of schema 1 into the tables of schema 2.
func rebuild(ctx context.Context, f folder, m meta, e logged) (err error) {
	db, err := openWriter(f.store())
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("opening the store: %w", err), db.Close())
	}
	defer func() { err = errors.Join(err, conn.Close(), db.Close()) }()
	for _, s := range []string{sqliteDialect.sync(true), sqliteDialect.begin[0]} {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("beginning to write: %w", err)
		}
	}
	if err := fillRebuilt(ctx, conn, m, e); err != nil {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), undoWrite)
		return err
	}
	if _, err := conn.ExecContext(ctx, commitWrite); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

func fillRebuilt(ctx context.Context, conn *sql.Conn, m meta, e logged) error {
	for _, s := range []string{
		`DROP INDEX records_owner`,
		`ALTER TABLE records RENAME TO old_records`, `ALTER TABLE passwords RENAME TO old_passwords`,
		`DROP TABLE meta`, tables,
		`INSERT INTO records (ref, kind, owner, lookup, key_id, seq, state, created, updated, sealed)
			SELECT ref, kind, owner, lookup, 1, seq, state, created, updated, sealed FROM old_records`,
		`INSERT INTO passwords (lookup, state, owner, key_id, seq, created, sealed)
			SELECT lookup, state, owner, 1, seq, created, sealed FROM old_passwords`,
		`INSERT INTO attempts (name, op, id, state, ref, rotation, tries, since, until, code)
			SELECT ref, op, id, 'pending', ref, rotation, attempts, since, deadline, '' FROM intents WHERE op = 'refresh'`,
		`DROP TABLE old_records`, `DROP TABLE old_passwords`, `DROP TABLE intents`,
		fmt.Sprintf(`PRAGMA user_version = %d`, schemaVersion),
	} {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("bringing the vault up to date: %w", err)
		}
	}
	if _, err := conn.ExecContext(ctx, insertAudit, e.seq, e.at, e.what, e.ref, e.attempt, e.generation, string(e.code), e.mac); err != nil {
		return fmt.Errorf("writing the audit: %w", err)
	}
	return m.insert(ctx, conn)
}
