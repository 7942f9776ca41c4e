package vault

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// meta is what the store says about itself.
type meta struct {
	vaultID, keyID, index []byte // index is wrapped
	data                  []wrappedKey
	auditHead             []byte
	source                string
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

// metaOf reads what the store says about itself, at one moment: its key may be
// changed at the next.
func metaOf(ctx context.Context, r *reader) (meta, error) {
	s, err := r.snapshot(ctx)
	if err != nil {
		return meta{}, err
	}
	m, err := readMeta(s)
	return m, errors.Join(err, s.close())
}

func readMeta(q querier) (meta, error) {
	rows, err := q.query(selectMeta)
	if err != nil {
		return meta{}, fmt.Errorf("reading the store's own row: %w", err)
	}
	defer rows.Close()
	var m meta
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
		case auditHead:
			m.auditHead = value
		case "key_source":
			m.source = string(value)
		}
	}
	if err := rows.Err(); err != nil {
		return meta{}, fmt.Errorf("reading the store's own row: %w", err)
	}
	m.data, err = readKeys(q)
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

func drawKeys(o Options) (meta, keys, error) {
	m := meta{vaultID: make([]byte, 16)}
	k := keys{index: make([]byte, keySize), data: map[int64][]byte{1: make([]byte, keySize)}, current: 1}
	for _, b := range [][]byte{m.vaultID, k.index, k.data[1]} {
		if _, err := io.ReadFull(o.Rand, b); err != nil {
			return meta{}, keys{}, fmt.Errorf("drawing the vault's keys: %w", err)
		}
	}
	s, err := newSealer(m.vaultID, k)
	if err != nil {
		return meta{}, keys{}, err
	}
	m.auditHead = newChain(s).genesis()
	return m, k, nil
}

// lock wraps the vault's keys under the user's.
func (m *meta) lock(key *userKey, k keys) (err error) {
	m.source, m.keyID = key.source, keyID(key.bytes, m.vaultID)
	if m.index, err = wrap(key.bytes, m.vaultID, indexKey, k.index); err != nil {
		return err
	}
	m.data = nil
	for _, id := range slices.Sorted(maps.Keys(k.data)) {
		w := wrappedKey{id: id, state: keyRetired}
		if id == k.current {
			w.state = keyCurrent
		}
		if w.wrapped, err = wrap(key.bytes, m.vaultID, dataKey(id), k.data[id]); err != nil {
			return err
		}
		m.data = append(m.data, w)
	}
	return nil
}

// fits refuses a key that is not this vault's.
func (m meta) fits(key *userKey) error {
	if bytes.Equal(keyID(key.bytes, m.vaultID), m.keyID) {
		return nil
	}
	return keyless("the vault's key does not fit", "nothing was changed; give the key that this vault was made with (it came from the "+m.source+
		"), or set BANKAUTH_DATA_DIR to another folder", nil)
}

// unlock returns the vault's keys.
func (m meta) unlock(f folder, key *userKey) (keys, error) {
	if err := m.fits(key); err != nil {
		return keys{}, err
	}
	k := keys{data: map[int64][]byte{}}
	var err error
	if k.index, err = unwrap(key.bytes, m.vaultID, indexKey, m.index); err != nil {
		return keys{}, damaged(f, err)
	}
	for _, w := range m.data {
		if k.data[w.id], err = unwrap(key.bytes, m.vaultID, dataKey(w.id), w.wrapped); err != nil {
			return keys{}, damaged(f, err)
		}
		if w.state == keyCurrent {
			k.current = w.id
		}
	}
	if k.current == 0 {
		return keys{}, damaged(f, nil)
	}
	return k, nil
}
