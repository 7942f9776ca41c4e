package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"bankauth/internal/fault"
)

// Rekeyed says what Rekey has done.
type Rekeyed struct {
	Source string // where the new user's key is, as Status.KeySource says it
	Was    string // where the one before it was
	Path   string // its file, where that is one of ours
	Key    int64  // id of the new data key
	Sealed int    // texts that were sealed anew
	// Left are texts that are sealed with an older key still: those that do not
	// open, and what servers have written meanwhile that cannot get the new key.
	Left int
}

// Rekey gives the vault a new user's key and a new data key, and seals all it
// holds with it, while others go on using it. The new user's key is next's, or
// where next names none a new one in place of the vault's own key file or
// keyring entry; where the present key was given from outside, next must name
// one. Earlier data keys stay, wrapped anew, for what was sealed with them
// outside the store. When it fails or is cut off, the vault opens with the old
// key or with the new one, and never with none.
func (v *Vault) Rekey(ctx context.Context, next Key) (Rekeyed, error) {
	leave, err := v.ready()
	if err != nil {
		return Rekeyed{}, err
	}
	defer leave()
	r, err := v.rekey(ctx, next)
	if err != nil {
		return r, storeFault(err)
	}
	return r, nil
}

func (v *Vault) rekey(ctx context.Context, next Key) (Rekeyed, error) {
	release, err := v.folder.lock(ctx)
	if err != nil {
		return Rekeyed{}, err
	}
	defer release()
	m, old, k, err := v.unlocked(ctx)
	if err != nil {
		return Rekeyed{}, err
	}
	settle(v.folder, m, old)
	k.current = slices.Max(slices.Collect(maps.Keys(k.data))) + 1
	k.data[k.current] = make([]byte, keySize)
	if err := v.drawInto(k.data[k.current]); err != nil {
		return Rekeyed{}, err
	}
	key, err := v.newKey(next, m, old)
	if err != nil {
		return Rekeyed{}, err
	}
	was := m.keyID
	if err := m.lock(key, k); err != nil {
		return Rekeyed{}, err
	}
	s, err := newSealer(m.vaultID, k)
	if err != nil {
		return Rekeyed{}, err
	}
	if err := v.writer.do(true, func(t *transaction) error { return v.exchangeKeys(t, was, m) }); err != nil {
		return Rekeyed{}, err
	}
	settle(v.folder, m, key)
	v.seals.Store(s)
	r := Rekeyed{Source: key.source, Was: old.source, Path: key.path, Key: k.current}
	r.Sealed, r.Left, err = v.sealAnew(ctx)
	return r, err
}

func (v *Vault) drawInto(b []byte) error {
	v.drawing.Lock()
	defer v.drawing.Unlock()
	if _, err := io.ReadFull(v.random, b); err != nil {
		return fmt.Errorf("drawing a key: %w", err)
	}
	return nil
}

// newKey finds or draws the new user's key, and has it safe where it will be
// looked for before the vault depends on it.
func (v *Vault) newKey(next Key, m meta, old *userKey) (*userKey, error) {
	next.anew = true
	given, err := next.given()
	switch {
	case err != nil:
		return nil, err
	case given != nil && bytes.Equal(given.bytes, old.bytes):
		return nil, fault.New(fault.InvalidArgument, "the new key is the vault's present one", "give another one, such as `openssl rand -base64 32` prints")
	case given != nil:
		return given, nil
	}
	key := &userKey{bytes: make([]byte, keySize), source: old.source, next: true}
	if err := v.drawInto(key.bytes); err != nil {
		return nil, err
	}
	text := base64.StdEncoding.EncodeToString(key.bytes)
	switch old.source {
	case sourceOwn:
		key.path = v.folder.key()
		if err := errors.Join(writeSynced(v.folder.nextKey(), []byte(text+"\n")), v.folder.sync()); err != nil {
			return nil, refuse("the vault's new key file cannot be written", "give your user write access to "+string(v.folder), err)
		}
		return key, nil
	case sourceKeyring:
		if !keyringKeeps(m.nextAccount(), text) {
			return nil, refuse("the OS keyring does not take the vault's new key", "unlock the keyring of your desktop session and call again", nil)
		}
		return key, nil
	}
	return nil, fault.New(fault.InvalidArgument, "the vault's key was given from outside, so its new one must be, too",
		"set BANKAUTH_VAULT_NEW_KEY, or name a file with --new-key-file, with 32 bytes in base64, such as `openssl rand -base64 32` prints")
}

// exchangeKeys is the one moment from which on the new user's key counts.
// was is the key_id that m was read with: where the store is a server, another
// machine may have been quicker, and its new data key must not be written over.
func (v *Vault) exchangeKeys(t *transaction, was []byte, m meta) error {
	now, err := metaValue(t, "key_id")
	if err != nil {
		return err
	}
	if !bytes.Equal(now, was) && !bytes.Equal(now, m.keyID) {
		return unusable("the vault was given another new key meanwhile", "run the command again with the key that it has now", nil)
	}
	for _, w := range m.data {
		n, err := t.exec(updateKey, w.state, w.wrapped, w.id)
		if err == nil && n == 0 {
			_, err = t.exec(insertKey, w.id, w.state, w.wrapped)
		}
		if err != nil {
			return err
		}
	}
	for _, kv := range []struct {
		name  string
		value []byte
	}{{"key_id", m.keyID}, {indexKey, m.index}, {"key_source", []byte(m.source)}} {
		if _, err := t.exec(updateMeta, kv.value, kv.name); err != nil {
			return err
		}
	}
	return v.audit(t, event{what: auditRekeyed})
}

// promote does what a rekey was cut off before, unless one is under way.
func promote(f folder, m meta, key *userKey) {
	if !key.next {
		return
	}
	if release, free := tryLockFile(f.making()); free {
		settle(f, m, key)
		release()
	}
}

// settle gives a new key of our own its lasting name. Where that fails the key
// is found under the passing one. The caller holds the folder's lock.
func settle(f folder, m meta, key *userKey) {
	switch {
	case !key.next:
	case key.source == sourceOwn:
		if b, err := readKeyFile("the vault's new key file", f.nextKey()); err == nil && bytes.Equal(b, key.bytes) {
			if os.Rename(f.nextKey(), f.key()) == nil {
				_ = f.sync()
			}
		}
	case key.source == sourceKeyring:
		if keyringKeeps(m.account(), base64.StdEncoding.EncodeToString(key.bytes)) {
			keyringDrop(m.nextAccount())
		}
	}
}

// resealBatch bounds how long others wait for a batch to be written.
const resealBatch = 200

// sealAnew seals what older keys have sealed. What servers write meanwhile is
// looked for again, twice.
func (v *Vault) sealAnew(ctx context.Context) (sealed, left int, err error) {
	for range 3 {
		todo, err := v.outdatedTexts(v.reader)
		if err != nil {
			return sealed, left, err
		}
		left = 0
		for batch := range slices.Chunk(todo, resealBatch) {
			if err := ctx.Err(); err != nil {
				return sealed, len(todo), err
			}
			done := 0
			err := v.writer.do(true, func(t *transaction) error {
				done = 0
				for _, text := range batch {
					ok, err := text.reseal(t)
					if err != nil {
						return err
					}
					if ok {
						done++
					}
				}
				return nil
			})
			if err != nil {
				return sealed, left, err
			}
			sealed += done
			left += len(batch) - done
		}
		if done := len(todo) - left; done == 0 {
			break
		}
	}
	return sealed, left, nil
}

// text is something sealed with an older key. reseal reports whether it opened
// and is now sealed with the present one.
type text struct {
	reseal func(t *transaction) (bool, error)
}

// outdatedTexts finds all that is sealed with another key than the present one.
func (v *Vault) outdatedTexts(q querier) ([]text, error) {
	var all []text
	now := v.sealer().current
	records, err := rowsOf(q, selectAll)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.key != now {
			all = append(all, text{func(t *transaction) (bool, error) { return v.resealRecord(t, r.ref) }})
		}
	}
	candidates, err := sealedRows(q, selectAllCandidates)
	if err != nil {
		return nil, err
	}
	for _, c := range candidates {
		if c.key != now {
			all = append(all, text{func(t *transaction) (bool, error) {
				b, ok, err := v.again(c.key, kindCandidate, candidateName(c.name, c.id), c.sealed, 0, 0)
				if err != nil || !ok {
					return ok, err
				}
				_, err = t.exec(updateCandidate, b.key, b.text, c.name, c.id)
				return true, err
			}})
		}
	}
	passwords, err := sealedRows(q, selectAllPasswords)
	if err != nil {
		return nil, err
	}
	for _, p := range passwords {
		if p.key != now {
			all = append(all, text{func(t *transaction) (bool, error) {
				b, ok, err := v.again(p.key, kindPassword, passwordName(p.id, p.name), p.sealed, p.seq, p.seq+1)
				if err != nil || !ok {
					return ok, err
				}
				n, err := t.exec(updatePassword, b.key, p.seq+1, b.text, p.id, p.name, p.seq)
				return n == 1, err
			}})
		}
	}
	texts, err := sealedRows(q, selectAllTexts)
	if err != nil {
		return nil, err
	}
	for _, u := range texts {
		if key, sealed, err := decodeSealed(string(u.sealed)); err != nil || key != now {
			all = append(all, text{func(t *transaction) (bool, error) {
				kind, _, _ := strings.Cut(u.name, ":")
				b, ok, err := v.again(key, kind, u.name, sealed, 0, 0)
				if err != nil || !ok {
					return ok, err
				}
				n, err := t.exec(updateText, encodeSealed(b.key, b.text), u.name, string(u.sealed))
				return n == 1, err
			}})
		}
	}
	return all, nil
}

func (v *Vault) resealRecord(t *transaction, ref string) (bool, error) {
	r, there, err := one(t, selectByRef, ref)
	if err != nil || !there || r.key == v.sealer().current {
		return err == nil, err
	}
	b, ok, err := v.again(r.key, r.kind, r.ref, r.sealed, r.seq, r.seq+1)
	if err != nil || !ok {
		return false, err
	}
	n, err := t.exec(resealRecord, b.key, r.seq+1, b.text, r.ref, r.seq)
	return n == 1, err
}

// sealedText is a text with the id of its data key.
type sealedText struct {
	key  int64
	text []byte
}

// again opens a text and seals it with the present key; ok is false where it
// does not open.
func (v *Vault) again(key int64, kind, name string, sealed []byte, seq, next int64) (s sealedText, ok bool, err error) {
	b, err := v.box(key, kind, name)
	if errors.Is(err, errDamaged) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	plain, err := b.open(sealed, seq)
	if err != nil {
		return s, false, nil
	}
	if b, err = v.sealer().fresh(kind, name); err != nil {
		return s, false, err
	}
	return sealedText{key: b.key, text: b.seal(plain, next)}, true, nil
}

// sealedRow is a candidate, a password, a note or a user on the way to being made.
type sealedRow struct {
	name   string // token_ref, state or attempt
	id     []byte // of the candidate, or the password's lookup; else empty
	key    int64
	seq    int64
	sealed []byte
}

func sealedRows(q querier, query string) ([]sealedRow, error) {
	rows, err := q.query(query)
	if err != nil {
		return nil, fmt.Errorf("reading what is sealed: %w", err)
	}
	defer rows.Close()
	var all []sealedRow
	for rows.Next() {
		var r sealedRow
		if err := rows.Scan(&r.name, &r.id, &r.key, &r.seq, &r.sealed); err != nil {
			return nil, fmt.Errorf("reading what is sealed: %w", err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func candidateName(ref string, id []byte) string { return ref + " " + hex.EncodeToString(id) }
