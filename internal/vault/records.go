package vault

import (
	"context"
	"errors"

	"bankauth/internal/fault"
)

// Get returns principal's record called ref. An unknown ref and another
// principal's are the same InvalidArgument fault; a damaged record is
// Reauthorize.
func (v *Vault) Get(ctx context.Context, principal, ref string) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	if !validRef(ref) {
		return Record{}, unknownRef()
	}
	leave, err := v.ready()
	if err != nil {
		return Record{}, err
	}
	defer leave()
	rec, err := v.get(ref)
	if err != nil {
		return Record{}, err
	}
	if rec.Identity.Principal != principal {
		return Record{}, unknownRef()
	}
	return rec, nil
}

func (v *Vault) get(ref string) (Record, error) {
	if rec, ok, err := v.cached(ref); ok || err != nil {
		return rec, err
	}
	r, rec, err := v.read(ref)
	if err != nil {
		return Record{}, err
	}
	if r.kind == grantClient {
		e, err := v.remember(r)
		if err != nil || e == nil {
			return rec, err
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		return e.rec, nil
	}
	return v.settle(r, rec)
}

func (v *Vault) cached(ref string) (Record, bool, error) {
	v.mu.Lock()
	e := v.cache.byRef[ref]
	if e == nil {
		v.mu.Unlock()
		return Record{}, false, nil
	}
	now := v.now()
	if !e.stale(now) {
		defer v.mu.Unlock()
		return e.rec, true, nil
	}
	e.seen = now
	seq := e.seq
	v.mu.Unlock()
	if err := v.confirm(e, ref, seq); err != nil {
		return Record{}, false, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if e = v.cache.byRef[ref]; e == nil {
		return Record{}, false, nil
	}
	return e.rec, true, nil
}

// read reads ref's record from the store.
func (v *Vault) read(ref string) (row, Record, error) {
	r, there, err := one(v.reader, selectByRef, ref)
	if err != nil {
		return row{}, Record{}, storeFault(err)
	}
	if !there {
		return row{}, Record{}, unknownRef()
	}
	rec, err := v.open(r)
	if errors.Is(err, errDamaged) {
		return row{}, Record{}, setAside()
	}
	if err != nil {
		return row{}, Record{}, storeFault(err)
	}
	return r, rec, nil
}

// settle looks at an attempt beside a record. Where nobody holds the record's
// lock, whoever wrote it was cut off, and what became of the refresh is
// uncertain. The attempt stays: how it may be tried again depends on it. Where
// the lock is held for longer than the provider may take, or for an answer that
// the store does not take, the record is uncertain as long as that lasts.
func (v *Vault) settle(r row, rec Record) (Record, error) {
	if !r.attempt.cutOff() || r.attempt.op != opRefresh || rec.State != Live {
		return rec, nil
	}
	h, free, err := v.locks.try(r.ref)
	if err != nil {
		return Record{}, storeFault(err)
	}
	if !free {
		_, carried := v.spill.carried.Load(r.ref)
		if carried || v.now().After(r.attempt.until) { // the provider has had its time; what came is not stored
			rec.State, rec.Reason = Uncertain, r.attempt.unstored()
		}
		return rec, nil // under way
	}
	defer h.release()
	if err := v.drain(); err != nil {
		return Record{}, err
	}
	r, rec, err = v.read(r.ref)
	if err != nil || !r.attempt.cutOff() || rec.State != Live {
		return rec, err
	}
	rec.State, rec.Reason = Uncertain, r.attempt.interrupted()
	if err := v.mark(rec, r.attempt, false, event{what: auditUncertain, code: fault.Uncertain}); err != nil && !errors.Is(err, errSuperseded) {
		return Record{}, storeFault(err)
	}
	return rec, nil
}

// List returns principal's records, oldest first. Damaged ones are left out;
// Status counts them.
func (v *Vault) List(ctx context.Context, principal string) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	leave, err := v.ready()
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := v.flush(); err != nil {
		return nil, storeFault(err)
	}
	rows, err := rowsOf(v.reader, selectByOwner, v.sealer().owner(principal))
	if err != nil {
		return nil, storeFault(err)
	}
	var all []Record
	for _, r := range rows {
		rec, err := v.open(r)
		if errors.Is(err, errDamaged) || err == nil && rec.Identity.Principal != principal {
			continue
		}
		if err != nil {
			return nil, storeFault(err)
		}
		if rec, err = v.settle(r, rec); err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}

// flush writes now what would be written soon.
func (v *Vault) flush() error {
	j := v.behind()
	if j == nil { // what the writer has in hand already must be waited for too
		j = &job{run: func(*transaction) error { return nil }}
	}
	return v.writer.wait(j)
}

// Forget removes principal's record called ref for good. A refresh under way
// loses its answer. Other processes hand the token out for one second more.
func (v *Vault) Forget(ctx context.Context, principal, ref string) error {
	if _, err := v.Get(ctx, principal, ref); err != nil {
		return err
	}
	leave, err := v.ready()
	if err != nil {
		return err
	}
	defer leave()
	v.evict(ref)
	err = v.writer.do(true, func(tx *transaction) error {
		for _, statement := range []string{endAttempt, deleteCandidates} {
			if _, err := tx.exec(statement, ref); err != nil {
				return err
			}
		}
		if n, err := tx.exec(deleteRecord, ref); err != nil || n == 0 {
			return err
		}
		return v.audit(tx, event{what: auditForgotten, ref: ref})
	})
	v.evict(ref) // whoever read it again meanwhile
	if err != nil {
		return storeFault(err)
	}
	return nil
}

func (v *Vault) evict(ref string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if e := v.cache.byRef[ref]; e != nil {
		v.cache.drop(e)
	}
}
