package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"bankauth/internal/fault"
)

// folder is the vault's place on disk:
//
//	vault.db (and -wal, -shm)   the store
//	vault.key                   the user's key, where no keyring keeps it
//	vault.key.next              the user's next key, while it is being changed
//	vault.lock                  held while the vault is made, brought up to date or given a new key
//	vault.head                  how far the audit has come; tells a store that was put back, or is gone
//	vault.reserve               a mebibyte that is given up when the disk is full
//	locks/xx                    held while a token is refreshed, by the ref's first two letters
//	spill/                      answers that the store could not take, sealed
//
// The folder is 0700 and the files 0600; other modes are refused, not mended,
// because whoever set them may have read the files already. Only a folder that
// holds nothing yet, as mkdir leaves it, is closed to others on first use.
type folder string

func (f folder) store() string   { return filepath.Join(string(f), "vault.db") }
func (f folder) journal() string { return f.store() + "-wal" }
func (f folder) fresh() string   { return f.store() + ".new" }
func (f folder) key() string     { return filepath.Join(string(f), "vault.key") }
func (f folder) nextKey() string { return f.key() + ".next" }
func (f folder) making() string  { return filepath.Join(string(f), "vault.lock") }
func (f folder) locks() string   { return filepath.Join(string(f), "locks") }
func (f folder) head() string    { return filepath.Join(string(f), "vault.head") }
func (f folder) reserve() string { return filepath.Join(string(f), "vault.reserve") }
func (f folder) spill() string   { return filepath.Join(string(f), "spill") }

// stripe is the lock file of a name. 1,024 of them: two names that share one
// only wait for each other.
func (f folder) stripe(name string) string {
	if validRef(name) {
		return filepath.Join(f.locks(), name[len(refPrefix):len(refPrefix)+2])
	}
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(f.locks(), refEncoding.EncodeToString(sum[:5])[:2])
}

// exists reports whether the folder is there, and refuses one that others can
// enter or own.
func (f folder) exists() (bool, error) {
	info, err := os.Stat(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, refuse("the vault's folder cannot be read",
			fmt.Sprintf("give your user access to %s, or set BANKAUTH_DATA_DIR to another folder", f), err)
	}
	if !info.IsDir() {
		return false, refuse("the vault's folder is not a folder",
			fmt.Sprintf("remove %s, or set BANKAUTH_DATA_DIR to another folder", f), nil)
	}
	if ours(info) && open(info) && f.empty() {
		return true, nil
	}
	return true, private("the vault's folder", string(f), info, "700")
}

// empty reports whether the folder holds nothing.
func (f folder) empty() bool {
	names, err := os.ReadDir(string(f))
	return err == nil && len(names) == 0
}

// close takes from others what they may do in a folder that was empty, and
// refuses it if they were quicker.
func (f folder) close() error {
	info, err := os.Stat(string(f))
	if err != nil || !open(info) {
		return err
	}
	if err := os.Chmod(string(f), 0o700); err != nil {
		return err
	}
	names, err := os.ReadDir(string(f))
	if err != nil {
		return err
	}
	for _, entry := range names { // those of another process of ours may be there already
		if info, err := entry.Info(); err == nil && !ours(info) {
			return errors.New("another user's file came into the folder")
		}
	}
	return nil
}

// make makes the folder and its folder of locks.
func (f folder) make() error {
	there, err := f.exists()
	if err != nil {
		return err
	}
	if !there {
		if err := os.MkdirAll(string(f), 0o700); err != nil {
			return refuse("the vault's folder cannot be made",
				fmt.Sprintf("make %s yourself with mode 700, or set BANKAUTH_DATA_DIR to another folder", f), err)
		}
	}
	if err := f.close(); err != nil {
		return refuse("the vault's folder is open to other users and cannot be closed",
			fmt.Sprintf("make sure that nobody else has used it, then: chmod 700 %s", f), err)
	}
	if err := os.Mkdir(f.locks(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return refuse("the vault's folder cannot be written",
			fmt.Sprintf("give your user write access to %s, or set BANKAUTH_DATA_DIR to another folder", f), err)
	}
	return nil
}

// file reports whether the file at path is there, and refuses one that is not
// a regular file, not ours, or open to others.
func file(what, path string) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, refuse(what+" cannot be read", "give your user access to "+path, err)
	}
	if !info.Mode().IsRegular() {
		return false, refuse(what+" is not a regular file", "look at "+path+": only a plain file may stand there", nil)
	}
	return true, private(what, path, info, "600")
}

// mounted is file for one that an administrator has put there for us: root may
// own it, and our group may then read it, as files that systemd or a container
// is given come. Everybody may not.
func mounted(what, where, path string) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, refuse(what+" cannot be read", "give your user access to "+where, err)
	}
	if !info.Mode().IsRegular() {
		return false, refuse(what+" is not a regular file", "look at "+where+": only a plain file may stand there, and no link", nil)
	}
	if !ours(info) && roots(info) {
		if info.Mode().Perm()&0o037 != 0 {
			return true, refuse(what+" is open to other users", "make sure that nobody else has used it, then, as root: chmod 640 "+where, nil)
		}
		return true, nil
	}
	return true, private(what, where, info, "600")
}

func private(what, path string, info fs.FileInfo, mode string) error {
	if !ours(info) {
		return refuse(what+" belongs to another user", "run as the owner of "+path+", or set BANKAUTH_DATA_DIR to a folder of your own", nil)
	}
	if open(info) {
		return refuse(what+" is open to other users", fmt.Sprintf("make sure that nobody else has used it, then: chmod %s %s", mode, path), nil)
	}
	return nil
}

// lockPoll is how often a lock that another process holds is tried again.
// The kernel frees a lock with its process, so there are no stale ones.
const lockPoll = 5 * time.Millisecond

// lockFile takes the lock file at path, waiting at most until ctx ends.
func lockFile(ctx context.Context, path string) (release func(), err error) {
	l := flock.New(path, flock.SetPermissions(0o600))
	if _, err := l.TryLockContext(ctx, lockPoll); err != nil {
		return nil, fmt.Errorf("locking %q: %w", filepath.Base(path), err)
	}
	return func() { _ = l.Close() }, nil
}

// lock keeps others from making the vault, from bringing it up to date and from
// changing its key.
func (f folder) lock(ctx context.Context) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	if release, err = lockFile(ctx, f.making()); err != nil {
		return nil, unusable("the vault's folder cannot be locked", "make sure that your user may write "+string(f)+" and call again", err)
	}
	return release, nil
}

// tryLockFile takes the lock file at path if it is free.
func tryLockFile(path string) (release func(), ok bool) {
	l := flock.New(path, flock.SetPermissions(0o600))
	if held, err := l.TryLock(); err != nil || !held {
		_ = l.Close()
		return nil, false
	}
	return func() { _ = l.Close() }, true
}

// sync makes a new name in the folder survive a power cut.
func (f folder) sync() error {
	d, err := os.Open(string(f))
	if err != nil {
		return fmt.Errorf("opening the vault's folder: %w", err)
	}
	defer d.Close()
	return syncDirectory(d)
}

// refuse is the fault for a vault that cannot be used as it is, until somebody
// changes something.
func refuse(message, hint string, cause error) *fault.Fault {
	f := unusable(message, hint, cause)
	f.Final = true
	return f
}

// unusable is the fault for a vault that may be usable in a moment.
func unusable(message, hint string, cause error) *fault.Fault {
	return fault.New(fault.VaultUnavailable, message, hint).Because(cause)
}
