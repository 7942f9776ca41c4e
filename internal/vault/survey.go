package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"bankauth/internal/fault"
)

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
				"put vault.db back into "+string(f)+"; where it is lost, move the journal away, then run `bankauth vault restore FILE` with a backup, or move vault.head away, too, to start anew", nil)
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

// vacant is survey for whoever takes a folder without a store for a new one.
// Where something in it says that there was a store, it is refused: the refresh
// tokens are then missed, and the operator says how to go on.
func vacant(ctx context.Context, f folder) (m meta, made bool, err error) {
	m, made, err = survey(ctx, f)
	if err != nil || made {
		return m, made, err
	}
	gone := f.bereft()
	if gone == nil {
		return meta{}, false, nil
	}
	// The store is there before what speaks of it: another process may just have
	// made both.
	if m, made, err = survey(ctx, f); err != nil || made {
		return m, made, err
	}
	return meta{}, false, gone
}

// bereft is the fault for a folder without a store that had one; nil for others.
func (f folder) bereft() error {
	_, err := os.Lstat(f.head())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return refuse("the vault's folder cannot be read", "give your user access to "+string(f), err)
	}
	answers, serr := (&spill{dir: f.spill()}).names()
	if serr != nil {
		return serr
	}
	var signs []string
	if err == nil {
		signs = append(signs, "vault.head")
	}
	if len(answers) > 0 {
		signs = append(signs, "spill")
	}
	if len(signs) == 0 {
		return nil
	}
	what := strings.Join(signs, " and ")
	return refuse("the vault's store is gone: vault.db is missing, and "+what+" beside it shows that there was one",
		"put vault.db back into "+string(f)+", or run `bankauth vault restore FILE` with a backup; to start anew, without what was in it, move "+what+" away", nil)
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
	m, err := metaOf(ctx, newReader(db, sqliteDialect))
	if err != nil {
		return meta{}, storeFault(err)
	}
	if len(m.vaultID) != 16 || len(m.keyID) == 0 || len(m.index) == 0 || len(m.data) == 0 {
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
			"move it and vault.head out of "+string(f)+", or set BANKAUTH_DATA_DIR to another folder", nil)
	}
	switch {
	case h.schema > schemaVersion:
		return header{}, refuse("the vault was written by a newer bankauth", "install that version or a later one", nil)
	case h.schema < schemaVersion:
		return header{}, refuse("the vault was written before the first release", "move vault.head, vault.db and what begins with its name out of "+string(f)+", or set BANKAUTH_DATA_DIR to another folder", nil)
	}
	return h, nil
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

func damaged(f folder, cause error) *fault.Fault {
	return refuse("the vault is damaged", "nothing was changed; move vault.db and what begins with its name out of "+string(f)+", then run `bankauth vault restore FILE` with a backup, or move vault.head, too, and start anew", cause)
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
