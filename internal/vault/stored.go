package vault

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"bankauth/internal/token"
)

// errDamaged marks a record that does not open. Its bytes stay where they are.
var errDamaged = errors.New("the record does not open")

// open unseals r. A record whose clear columns lie is as damaged as one whose
// sealed text does not open.
func (v *Vault) open(r row) (Record, error) {
	b, err := v.box(r.key, r.kind, r.ref)
	if err != nil {
		return Record{}, err
	}
	plain, err := b.open(r.sealed, r.seq)
	if err != nil {
		return Record{}, fmt.Errorf("opening record %q: %w", r.ref, errors.Join(errDamaged, err))
	}
	rec, err := decode(r.ref, plain)
	if err != nil {
		return Record{}, errors.Join(errDamaged, err)
	}
	if rec.Identity.Grant != r.kind || (r.lookup != nil && !bytes.Equal(r.lookup, v.sealer().identity(rec.Identity))) {
		return Record{}, fmt.Errorf("opening record %q: %w", r.ref, errDamaged)
	}
	return rec, nil
}

// stored is a record as it has been written.
type stored struct {
	rec Record
	box *box
	seq int64
}

// minted is old with a new token in it. What an answer leaves out stands as it
// was (RFC 6749 §5.1 and §6): the scope, the refresh token.
func minted(old Record, t token.Token, now time.Time) Record {
	r := old
	if t.Scope == "" {
		t.Scope = old.Token.Scope
	}
	if t.Subject == "" {
		t.Subject = old.Token.Subject
	}
	if t.Refresh.IsZero() {
		t.Refresh = old.Token.Refresh
	}
	r.Token, r.State, r.Reason = t, Live, ""
	r.Generation++
	r.Updated = after(old.Updated, now)
	if r.Created.IsZero() {
		r.Created = r.Updated
	}
	return r
}

// after returns now, or a moment after old: a clock that stands still or goes
// back must not make a newer token look older than the one it replaces.
// Milliseconds are what the store keeps.
func after(old, now time.Time) time.Time {
	now = now.UTC().Truncate(time.Millisecond)
	if !now.After(old) {
		return old.Add(time.Millisecond)
	}
	return now
}

// adopt writes a newly granted token into id's record, or into a new one
// called ref. The record may be another process's, made a moment ago. Nothing
// of an older grant stands but the record's name.
func (v *Vault) adopt(t *transaction, id Identity, ref string, fresh Record) (stored, error) {
	lookup := v.sealer().identity(id)
	r, there, err := one(t, selectByLookup, lookup)
	if err != nil {
		return stored{}, err
	}
	if there {
		old, err := v.open(r)
		if err == nil {
			fresh.Ref, fresh.Created, fresh.Generation = old.Ref, old.Created, old.Generation+1
			fresh.Updated = after(old.Updated, fresh.Updated)
			return v.rewrite(t, r, fresh)
		}
		if errors.Is(err, errKeyGone) && !errors.Is(err, errDamaged) { // its newest version is for others to read; ours is newer
			fresh.Ref = r.ref
			return v.rewrite(t, r, fresh)
		}
		if !errors.Is(err, errDamaged) {
			return stored{}, err
		}
		if _, err := t.exec(displaceRecord, r.ref); err != nil {
			return stored{}, err
		}
	}
	fresh.Ref = ref
	return v.insert(t, fresh, lookup)
}

func (v *Vault) rewrite(t *transaction, r row, rec Record) (stored, error) {
	b, err := v.sealer().fresh(r.kind, r.ref)
	if err != nil {
		return stored{}, err
	}
	ok, err := update(t, b, &rec, r.seq)
	if err == nil && !ok {
		err = fmt.Errorf("writing record %q: it changed within a transaction", r.ref)
	}
	return stored{rec: rec, box: b, seq: r.seq + 1}, err
}

// insert writes a new record; lookup is nil where its Identity is not its own.
func (v *Vault) insert(t *transaction, rec Record, lookup []byte) (stored, error) {
	id := rec.Identity
	b, err := v.sealer().fresh(id.Grant, rec.Ref)
	if err != nil {
		return stored{}, err
	}
	plain, err := encode(&rec)
	if err != nil {
		return stored{}, err
	}
	_, err = t.exec(insertRecord, rec.Ref, id.Grant, v.sealer().owner(id.Principal), lookup, b.key, 1,
		string(rec.State), millis(rec.Created), millis(rec.Updated), b.seal(plain, 1))
	return stored{rec: rec, box: b, seq: 1}, err
}

// update writes rec over the version seq, and reports whether that was there.
func update(t *transaction, b *box, rec *Record, seq int64) (bool, error) {
	plain, err := encode(rec)
	if err != nil {
		return false, err
	}
	n, err := t.exec(updateRecord, b.key, seq+1, string(rec.State), millis(rec.Updated), b.seal(plain, seq+1), rec.Ref, seq)
	return n == 1, err
}
