package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bankauth/internal/fault"
)

// Backup is what a copy of the vault holds.
type Backup struct {
	Records, Passwords int
	Spilled            int // answers beside the store that are in no copy: the store cannot take them
}

// Backup writes a copy of the vault, of one moment and sealed as it is, into a
// new file of mode 0600 at path, while others go on using the vault. The copy
// is an SQLite file, whatever the vault's own store is; it opens with the key
// that the vault has now. A path where something is already is refused, and
// what a failed Backup has begun is taken away.
func (v *Vault) Backup(ctx context.Context, path string) (Backup, error) {
	leave, err := v.ready()
	if err != nil {
		return Backup{}, err
	}
	defer leave()
	if err := v.flush(); err != nil {
		return Backup{}, storeFault(err)
	}
	if err := v.drain(); err != nil {
		return Backup{}, err
	}
	s, err := v.reader.snapshot(ctx)
	if err != nil {
		return Backup{}, storeFault(err)
	}
	defer s.close()
	var b Backup
	for _, c := range []struct {
		query string
		into  *int
	}{{countRecords, &b.Records}, {countPasswords, &b.Passwords}} {
		n, _, err := number(s, c.query)
		if err != nil {
			return Backup{}, storeFault(err)
		}
		*c.into = int(n)
	}
	names, err := v.spill.names()
	if err != nil {
		return Backup{}, storeFault(err)
	}
	b.Spilled = len(names)
	return b, writeCopy(ctx, s, path)
}

// writeCopy makes the file. Its errors are faults.
func writeCopy(ctx context.Context, from querier, path string) (err error) {
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fault.New(fault.InvalidArgument, "there is a file already where the backup is to be", "name another file; a backup is never written over")
	case err != nil:
		return fault.New(fault.InvalidArgument, "the backup's file cannot be made", "name a file in a folder that is there and that you may write").Because(err)
	}
	defer func() {
		if err != nil {
			for _, end := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(path + end)
			}
			err = refuse("the backup could not be written", "make room where it is to lie, and run the command again", err)
		}
	}()
	if err := w.Close(); err != nil {
		return err
	}
	if err := fill(ctx, path, func(db *sql.DB) error { return copyRows(ctx, from, db) }); err != nil {
		return err
	}
	return syncFile(path)
}

// syncFile brings a finished file and its name to the disk.
func syncFile(path string) error {
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening %q: %w", filepath.Base(path), err)
	}
	if err := errors.Join(w.Sync(), w.Close()); err != nil {
		return fmt.Errorf("syncing %q: %w", filepath.Base(path), err)
	}
	return folder(filepath.Dir(path)).sync()
}

// copied are the tables with their columns, as tables declares them. What
// stands for a file's header is no row of a copy's.
var copied = []struct{ table, columns string }{
	{"meta", "name, value"},
	{"data_keys", "id, state, wrapped"},
	{"records", "ref, kind, owner, lookup, key_id, seq, state, created, updated, sealed"},
	{"attempts", "name, op, id, state, ref, owner, tries, since, until, code"},
	{"candidates", "ref, id, key_id, taken, sealed"},
	{"passwords", "lookup, state, key_id, seq, created, sealed"},
	{"audit", "seq, at, event, ref, attempt, generation, code, mac"},
}

// copyRows copies all rows into empty tables.
func copyRows(ctx context.Context, from querier, into execer) error {
	for _, c := range copied {
		if err := copyTable(ctx, from, into, c.table, c.columns); err != nil {
			return fmt.Errorf("copying %s: %w", c.table, err)
		}
	}
	return nil
}

func copyTable(ctx context.Context, from querier, into execer, table, columns string) error {
	query := "SELECT " + columns + " FROM " + table
	if table == "meta" {
		query += " WHERE name <> '" + schemaName + "'"
	}
	if table == "attempts" { // notes are of their moment
		query += " WHERE op NOT IN ('consent', 'answer')"
	}
	rows, err := from.query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	n := strings.Count(columns, ",") + 1
	insert := "INSERT INTO " + table + " (" + columns + ") VALUES (?" + strings.Repeat(", ?", n-1) + ")"
	values, places := make([]any, n), make([]any, n)
	for i := range values {
		places[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return err
		}
		for i, v := range values {
			if b, text := v.([]byte); text && b == nil { // an empty one, which would be written as NULL
				values[i] = []byte{}
			}
		}
		if _, err := into.ExecContext(ctx, insert, values...); err != nil {
			return err
		}
	}
	return rows.Err()
}

// backup is one that is read.
type backup struct {
	meta   meta
	db     *sql.DB
	reader *reader
}

// openBackup looks at the file at path without changing it. Its errors are
// faults.
func openBackup(ctx context.Context, path string) (*backup, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil, fault.New(fault.InvalidArgument, "there is no backup at that path", "name the file that `bankauth vault backup` has written").Because(err)
	}
	h, err := headerOf(path)
	switch {
	case err != nil || h.application != applicationID:
		return nil, fault.New(fault.InvalidArgument, "that file is not a backup of a vault", "name the file that `bankauth vault backup` has written").Because(err)
	case h.schema > schemaVersion:
		return nil, refuse("the backup was written by a newer bankauth", "install that version or a later one", nil)
	case h.schema < schemaVersion:
		return nil, refuse("the backup was written before the first release", "take another backup", nil)
	}
	if !h.fits(info.Size()) {
		return nil, refuse("the backup is damaged", "nothing was changed; take another backup", nil)
	}
	_, err = os.Stat(path + "-wal")
	db, err := openSurvey(path, errors.Is(err, fs.ErrNotExist))
	if err != nil {
		return nil, storeFault(err)
	}
	b := &backup{db: db, reader: newReader(db, sqliteDialect)}
	var sound string
	if err = db.QueryRowContext(ctx, checkStatement).Scan(&sound); err == nil && sound == "ok" {
		b.meta, err = metaOf(ctx, b.reader)
	}
	if err != nil || sound != "ok" || len(b.meta.vaultID) != 16 || len(b.meta.data) == 0 {
		return nil, errors.Join(refuse("the backup is damaged", "nothing was changed; take another backup", err), db.Close())
	}
	return b, nil
}

func (b *backup) close() error { return b.reader.close() }

func headerOf(path string) (header, error) {
	r, err := os.Open(path)
	if err != nil {
		return header{}, err
	}
	defer r.Close()
	head := make([]byte, 100)
	if _, err := io.ReadFull(r, head); err != nil {
		return header{}, err
	}
	return parseHeader(head)
}

// sealers are what may open the backup's texts: its own keys, where the user's
// key fits it, and the live vault's, which keeps the data keys of its past.
func (b *backup) sealers(v *Vault) []*sealer {
	all := []*sealer{v.sealer()}
	key, err := v.source.existing(v.folder, b.meta)
	if err != nil || b.meta.fits(key) != nil {
		return all
	}
	if k, err := b.meta.unlock(v.folder, key); err == nil {
		if s, err := newSealer(b.meta.vaultID, k); err == nil {
			all = slices.Insert(all, 0, s)
		}
	}
	return all
}

// fill makes the tables in the empty file at path, and has rows write what is
// in them; all in one transaction.
func fill(ctx context.Context, path string, rows func(db *sql.DB) error) (err error) {
	db, err := openSQL(address(path, url.Values{}), 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, s := range createStatements() {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("making the tables: %w", err)
		}
	}
	if err := rows(db); err != nil {
		return err
	}
	for _, s := range []string{commitWrite, checkpointStatement} {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("finishing the vault's file: %w", err)
		}
	}
	return nil
}
