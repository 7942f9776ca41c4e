package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// anchor is the file vault.head: the link of the audit that was last known to
// be on the disk, sealed like meta's audit_head. A store whose own head is
// older was put back behind our back, and the refresh tokens in it may have
// been spent since. It holds no more than that: who can write the whole folder
// can put back both.
//
// It is written in place, at most once in writeBehind and without a sync: a
// power cut leaves an older link, which is no lie. Only what survives a power
// cut is written there, or a store that lost the rest to one would look as if
// it had been put back.
type anchor struct {
	path  string
	chain *chain

	mu      sync.Mutex
	written int64 // sequence of the newest link that we know to be there
}

// standing is how a store stands to its anchor.
type standing int

const (
	anchored   standing = iota
	unanchored          // the file is missing or empty, and nothing speaks against writing it
	putBack             // the store is older than its anchor, or another's
)

// write brings the file to what is on the disk. Where it fails, the next call
// tries again. A nil anchor writes nothing.
func (a *anchor) write() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.chain.durable()
	if l.seq <= a.written {
		return
	}
	if saved, err := a.read(); err == nil && saved.seq >= l.seq { // another process has written more
		a.written = l.seq
		return
	}
	if a.put(l, false) == nil {
		a.written = l.seq
	}
}

func (a *anchor) put(l link, synced bool) error {
	w, err := os.OpenFile(a.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the vault's anchor: %w", err)
	}
	_, err = w.WriteAt(a.chain.sealed(l), 0)
	if synced {
		err = errors.Join(err, w.Sync())
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("writing the vault's anchor: %w", err)
	}
	return nil
}

var errEmptyAnchor = errors.New("the anchor is empty")

func (a *anchor) read() (link, error) {
	b, err := os.ReadFile(a.path)
	if err != nil {
		return link{}, err
	}
	if len(b) == 0 { // what a power cut may leave of a new file
		return link{}, errEmptyAnchor
	}
	return a.chain.opened(b)
}

// stands compares the anchor with the store that q reads. The anchor comes
// first: what others write meanwhile makes the store newer, never older.
func (a *anchor) stands(q querier) (standing, link, error) {
	var saved link
	var serr error
	for range 3 { // a read amid another process's write may see half of each
		if saved, serr = a.read(); !errors.Is(serr, errChain) {
			break
		}
	}
	value, err := metaValue(q, auditHead)
	if err != nil {
		return 0, link{}, err
	}
	head, err := a.chain.opened(value)
	if err != nil {
		return 0, link{}, damagedAudit(err)
	}
	switch {
	case serr == nil && head.seq > saved.seq:
		return anchored, head, nil
	case serr == nil && head.seq == saved.seq && string(head.mac) == string(saved.mac):
		return anchored, head, nil
	case errors.Is(serr, errEmptyAnchor), errors.Is(serr, fs.ErrNotExist) && head.seq == 0:
		return unanchored, head, nil
	case serr == nil, errors.Is(serr, fs.ErrNotExist), errors.Is(serr, errChain):
		return putBack, head, nil
	}
	return 0, link{}, refuse("the vault's anchor cannot be read", "give your user access to "+a.path, serr)
}

// recall finds out whether the store was put back while nobody was looking,
// and doubts the tokens in it if so.
func (v *Vault) recall(ctx context.Context) error {
	if v.anchor == nil {
		return nil
	}
	if how, _, err := v.anchor.stands(v.reader); err != nil || how == anchored {
		return err
	}
	release, err := v.folder.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	how, head, err := v.anchor.stands(v.reader) // another process may have been quicker
	if err != nil || how == anchored {
		return err
	}
	if how == putBack {
		if err := v.folder.keepCopy(v.now()); err != nil {
			return err
		}
		if err := v.doubt(); err != nil {
			return err
		}
		if _, head, err = v.anchor.stands(v.reader); err != nil {
			return err
		}
	}
	return v.anchor.put(head, true)
}

// keepCopy copies the store and its journal as they lie, beside them: what is
// missing from them may have been damaged only, and the first write ends it.
func (f folder) keepCopy(at time.Time) error {
	for _, path := range []string{f.store(), f.journal()} {
		end := strings.TrimPrefix(path, f.store())
		err := copyNew(f.store()+".put-back-"+at.UTC().Format("20060102T150405Z")+end, path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return refuse("the vault was put back, and what it was cannot be copied first", "make room in "+string(f)+", and start again", err)
		}
	}
	return nil
}

func copyNew(to, from string) (err error) {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Sync(), w.Close())
}
