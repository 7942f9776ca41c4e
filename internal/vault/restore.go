package vault

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"bankauth/internal/fault"
)

// Restored says what Restore has done. All counts are of records but for
// Passwords.
type Restored struct {
	Made       bool     // there was no vault; it was made from the backup
	Inserted   int      // that the vault did not have
	Replaced   int      // that were older in the vault, or did not open there
	Kept       int      // that the vault has as new or newer
	Passwords  int      // that were taken from the backup
	Suspect    []string // refs that now wait for the operator's word
	Unreadable int      // records and passwords of the backup that no key here opens
}

// Restore brings back from the backup at path what the vault that o describes
// has lost: in one transaction, while others use the vault. What the vault has
// as new or newer stays. Where its own is older or does not open, the backup's
// takes its place, and the older refresh token is kept as a candidate. What
// comes from the backup with a refresh token is suspect: see Accept. Where
// there is no vault it is made from the backup; its key must be there. A backup
// of another vault is refused. Nothing is thrown away.
func Restore(ctx context.Context, o Options, path string) (Restored, error) {
	o = o.filled()
	b, err := openBackup(ctx, path)
	if err != nil {
		return Restored{}, fault.From(err)
	}
	defer b.close()
	f := folder(o.Dir)
	made, err := b.remade(ctx, o, f)
	if err != nil {
		return Restored{}, storeFault(err)
	}
	v, err := Open(ctx, o)
	if err != nil {
		return Restored{}, err
	}
	r, err := v.restore(ctx, b, made)
	if err := errors.Join(err, v.Close(ctx)); err != nil {
		return Restored{}, storeFault(err)
	}
	return r, nil
}

// remade reports whether there is a vault, and makes one where there is none.
func (b *backup) remade(ctx context.Context, o Options, f folder) (made bool, err error) {
	if !o.onServer() {
		if _, made, err = survey(ctx, f); err != nil || made {
			return made, err
		}
		return b.remake(ctx, o, f)
	}
	s, err := newServer(o.Store)
	if err != nil {
		return false, err
	}
	if _, made, err = s.survey(ctx); err != nil || made {
		return made, err
	}
	return b.remakeOnServer(ctx, s, o)
}

// opens refuses a key that the backup does not open with.
func (b *backup) opens(f folder, key *userKey) error {
	if err := b.meta.fits(key); err != nil {
		return refuse("the backup does not open with this key", "give the key that the vault had when the backup was made", err)
	}
	_, err := b.meta.unlock(f, key)
	return err
}

// remake makes a vault from the backup, unless another process was quicker:
// then there is one like any other. No anchor fits it, so whoever opens it
// doubts what is in it, even if we do not come to it.
func (b *backup) remake(ctx context.Context, o Options, f folder) (there bool, err error) {
	key, err := o.Key.existing(f, b.meta)
	if err != nil {
		return false, err
	}
	if err := b.opens(f, key); err != nil {
		return false, err
	}
	if err := f.make(); err != nil {
		return false, err
	}
	release, err := f.lock(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	if _, there, err = survey(ctx, f); err != nil || there {
		return there, err
	}
	if err := f.unfit(); err != nil {
		return false, err
	}
	s, err := b.reader.snapshot(ctx)
	if err != nil {
		return false, err
	}
	defer s.close()
	return false, create(ctx, f, func(db *sql.DB) error { return copyRows(ctx, s, db) })
}

// unfit cuts the anchor of a store that is gone, so that it vouches for no copy
// of it. It stays there: if nothing comes in the store's place, it still says
// that there was one.
func (f folder) unfit() error {
	w, err := os.OpenFile(f.head(), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the old anchor: %w", err)
	}
	if err := errors.Join(w.Truncate(1), w.Sync(), w.Close()); err != nil { // an empty one speaks against nothing
		return fmt.Errorf("cutting the old anchor: %w", err)
	}
	return nil
}

func (v *Vault) restore(ctx context.Context, b *backup, made bool) (Restored, error) {
	if !bytes.Equal(b.meta.vaultID, v.meta.vaultID) {
		where := "--data-dir naming a folder of its own"
		if v.server != "" {
			where = "BANKAUTH_STORE naming a database or a schema of its own"
		}
		return Restored{}, fault.New(fault.InvalidArgument, "the backup is of another vault",
			"nothing was changed; restore it with "+where+", with the key of that vault")
	}
	m := merge{v: v, sealers: b.sealers(v)}
	if err := m.read(ctx, b); err != nil {
		return Restored{}, err
	}
	if !made {
		if err := v.doubt(); err != nil {
			return Restored{}, err
		}
	}
	err := v.writer.do(true, func(t *transaction) error {
		m.did = Restored{Made: !made, Unreadable: m.unreadable}
		m.taken = map[string]bool{}
		return m.write(t)
	})
	if err != nil {
		return Restored{}, err
	}
	if !made {
		rows, err := rowsOf(v.reader, selectSuspects)
		if err != nil {
			return Restored{}, err
		}
		m.did.Inserted, m.did.Kept, m.did.Suspect = m.did.Kept, 0, nil
		for _, r := range rows {
			m.did.Suspect = append(m.did.Suspect, r.ref)
		}
	}
	return m.did, nil
}
