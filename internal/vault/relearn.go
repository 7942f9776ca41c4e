package vault

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"bankauth/internal/fault"
)

// learning is the last time that the keys were read again.
type learning struct {
	mu  sync.Mutex
	id  int64 // the data key that was missing
	at  time.Time
	err error
}

// relearnAfter spares the key's source from being asked for each row.
const relearnAfter = time.Second

// box is the box of a text that was sealed with the data key called id. Where
// we do not know that key, `bankauth vault rekey` has drawn it while we ran.
func (v *Vault) box(id int64, kind, ref string) (*box, error) {
	b, err := v.sealer().box(id, kind, ref)
	if !errors.Is(err, errKeyGone) || v.reader == nil {
		return b, err
	}
	if err := v.relearn(id); err != nil {
		return nil, err
	}
	if b, err = v.sealer().box(id, kind, ref); errors.Is(err, errKeyGone) { // nobody has it: the row lies
		return nil, errors.Join(errDamaged, err)
	}
	return b, err
}

// relearn reads the vault's keys again, with the user's key as its source has
// it now.
func (v *Vault) relearn(id int64) error {
	v.learning.mu.Lock()
	defer v.learning.mu.Unlock()
	if v.sealer().roots[id] != nil {
		return nil
	}
	if now := time.Now(); v.learning.id != id || now.Sub(v.learning.at) >= relearnAfter {
		v.learning.err = v.learn()
		v.learning.id, v.learning.at = id, now
	}
	return v.learning.err
}

func (v *Vault) learn() error {
	m, _, k, err := v.unlocked(context.Background())
	if err != nil {
		return err
	}
	s, err := newSealer(m.vaultID, k)
	if err != nil {
		return err
	}
	v.seals.Store(s)
	return nil
}

// unlocked reads the vault's keys and opens them with the user's key as its
// source has it now.
func (v *Vault) unlocked(ctx context.Context) (meta, *userKey, keys, error) {
	read := func() (meta, error) { return metaOf(ctx, v.reader) }
	m, err := read()
	if err != nil {
		return meta{}, nil, keys{}, err
	}
	m, key, err := fit(m, v.source, v.folder, read)
	if err != nil {
		return meta{}, nil, keys{}, v.outdated(err)
	}
	k, err := m.unlock(v.folder, key)
	return m, key, k, err
}

// fit finds the user's key of m. Where it does not fit, m is read again: the
// vault may have been given a new key between the one look and the other.
func fit(m meta, source Key, f folder, read func() (meta, error)) (meta, *userKey, error) {
	for {
		key, err := source.existing(f, m)
		if err == nil {
			err = m.fits(key)
		}
		if err == nil {
			return m, key, nil
		}
		now, rerr := read()
		if rerr != nil || bytes.Equal(now.keyID, m.keyID) {
			return m, nil, err
		}
		m = now
	}
}

// outdated is the answer of a process whose key the vault has no more.
func (v *Vault) outdated(cause error) *fault.Fault {
	const message = "the vault was given a new key while this server was running"
	hint := "start the server again with the new BANKAUTH_VAULT_KEY; what is under way is still stored"
	switch v.key.source {
	case sourceNamed:
		hint = "put the new key into the file that BANKAUTH_VAULT_KEY_FILE names and call again; nothing has to be restarted"
	case sourceCredential:
		hint = "put the new key into the service's credential " + CredentialName + " and restart the service; what is under way is still stored"
	case sourceOwn, sourceKeyring:
		hint = "start the server again with the settings that `bankauth vault rekey` was given; what is under way is still stored"
	}
	return refuse(message, hint, errors.Join(errKeyGone, cause))
}
