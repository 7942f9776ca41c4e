package vault

import (
	"context"
	"errors"
	"time"

	"bankauth/internal/token"
)

// Obtain returns the token that id means, and whether it was handed out
// again.
//
//   - client_credentials: one record for each Identity. A token with the
//     policy's margin to live is handed out again unless p.Force; callers that
//     arrive while a mint is under way share its answer, forced ones that of a
//     forced mint. The first record is committed before Obtain returns (it
//     survives the end of the process); later tokens of the record are written
//     within a second.
//   - password: one record for each Identity, minted by every call; calls at
//     the same time share one mint.
//   - every other grant: a new record and a mint of its own, on disk before
//     Obtain returns. Where the policy names what is spent by it (Once), a
//     repeat of a call whose answer nobody has heard gets the record that it
//     made. Later ones are told Reauthorize, with its ref, for ten minutes;
//     not so with refresh_token, since some providers let one be used again.
//
// A transient fault keeps the provider from being asked for a few seconds; the
// same fault with the rest of that time in RetryAfter is the answer then,
// unless p.Force. When ctx ends, Obtain returns its error and the mint goes on:
// the answer is kept for the next caller. Only who began the mint of a
// client_credentials token stays until it ends, within the policy's deadline:
// that spares each exchange a goroutine. Other errors are mint's own, or faults.
func (v *Vault) Obtain(ctx context.Context, id Identity, p Policy, mint Mint) (rec Record, reused bool, err error) {
	if err := ctx.Err(); err != nil {
		return Record{}, false, err
	}
	p = p.filled()
	if id.Grant == grantClient {
		return v.client(ctx, id, p, !p.Force, 0, mint)
	}
	key := flightKey{id: id}
	if id.Grant != grantPassword {
		if key.ref, err = v.onceName(id, p); err != nil {
			return Record{}, false, storeFault(err)
		}
	}
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return Record{}, false, closedFault()
	}
	f := v.flights[key]
	if f == nil {
		if err := v.cooled(key); err != nil && !p.Force && key.ref == "" { // another code is another consent
			v.mu.Unlock()
			return Record{}, false, err
		}
		f = v.lead(ctx, key, func(ctx context.Context) (Record, bool, error) {
			if key.ref == "" {
				return v.grant(ctx, id, p, mint)
			}
			return v.once(ctx, id, key.ref, p, mint)
		})
	}
	v.mu.Unlock()
	rec, reused, err = f.wait(ctx)
	if err == nil && key.ref != "" && ctx.Err() == nil { // who has left repeats the call
		v.heard(key.ref)
	}
	return rec, reused, err
}

// onceName names the attempt for what the policy says can be spent once; where
// it says nothing, no other call means the same.
func (v *Vault) onceName(id Identity, p Policy) (string, error) {
	if !p.Once.IsZero() {
		return v.nameOnce(id, p.Once), nil
	}
	return v.draw()
}

// Holds reports whether Obtain would return a client_credentials token for id
// at once, from memory: one that has margin to live, and a moment more for
// the call that follows.
func (v *Vault) Holds(id Identity, margin time.Duration) bool {
	const moment = 100 * time.Millisecond
	v.mu.Lock()
	defer v.mu.Unlock()
	e, now := v.cache.byID[id], v.now().Add(moment)
	return e != nil && !v.closed && !e.stale(now) && e.serves(Policy{Margin: margin}.filled(), 0, now)
}

// client serves client_credentials. patient: a cool-down applies. seen is the
// generation that a refresh has read: a later one answers it, forced or not.
func (v *Vault) client(ctx context.Context, id Identity, p Policy, patient bool, seen int, mint Mint) (Record, bool, error) {
	key := flightKey{id: id, forced: p.Force}
	v.mu.Lock()
	e := v.cache.byID[id]
	if e != nil && !v.closed {
		if now := v.now(); e.stale(now) {
			e.seen = now
			ref, seq := e.rec.Ref, e.seq
			v.flying.Add(1)
			v.mu.Unlock()
			err := v.confirm(e, ref, seq)
			v.flying.Done()
			if err != nil {
				return Record{}, false, err
			}
			v.mu.Lock()
			e = v.cache.byID[id]
		}
	}
	if v.closed {
		v.mu.Unlock()
		return Record{}, false, closedFault()
	}
	if e != nil && e.serves(p, seen, v.now()) {
		rec := e.rec
		v.mu.Unlock()
		return rec, !p.Force, nil
	}
	if f := v.under(key); f != nil {
		v.mu.Unlock()
		return f.wait(ctx)
	}
	if err := v.cooled(key); err != nil && patient {
		v.mu.Unlock()
		return Record{}, false, err
	}
	f := v.enlist(key)
	v.mu.Unlock()
	ctx = context.WithoutCancel(ctx)
	v.fly(key, f, func() (Record, bool, error) { return v.mintClient(ctx, id, p, seen, mint) })
	return f.rec, f.reused, f.err
}

// mintClient is a flight of client. It looks at the store only where the
// cache has nothing.
func (v *Vault) mintClient(ctx context.Context, id Identity, p Policy, seen int, mint Mint) (Record, bool, error) {
	v.mu.Lock()
	e := v.cache.byID[id]
	v.mu.Unlock()
	if e == nil {
		var err error
		if e, err = v.load(id); err != nil {
			return Record{}, false, storeFault(err)
		}
	}
	var old Record
	if e != nil {
		v.mu.Lock()
		old = e.rec
		serves := e.serves(p, seen, v.now())
		v.mu.Unlock()
		if serves {
			return old, !p.Force, nil
		}
	}
	t, err := ask(ctx, p, old, mint)
	if err != nil {
		return Record{}, false, err
	}
	rec, err := v.keepClient(id, t)
	return rec, false, err
}

// keepClient puts a new token into the record in memory, or makes the record.
func (v *Vault) keepClient(id Identity, t token.Token) (Record, error) {
	v.mu.Lock()
	if e := v.cache.byID[id]; e != nil {
		rec := minted(e.rec, t, v.now())
		tell := v.cache.newer(e, rec)
		v.mu.Unlock()
		if tell {
			v.writer.late()
		}
		return rec, nil
	}
	v.mu.Unlock()
	ref, err := v.draw()
	if err != nil {
		return Record{}, storeFault(err)
	}
	var kept stored
	err = v.writer.do(false, func(tx *transaction) (err error) {
		kept, err = v.adopt(tx, id, ref, minted(Record{Identity: id}, t, v.now()))
		if err != nil {
			return err
		}
		return v.audit(tx, event{what: auditMade, ref: kept.rec.Ref, generation: kept.rec.Generation})
	})
	if err != nil {
		return Record{}, storeFault(err)
	}
	v.mu.Lock()
	v.cache.put(&entry{rec: kept.rec, box: kept.box, seq: kept.seq, seen: v.now()})
	v.mu.Unlock()
	return kept.rec, nil
}

// load brings a client_credentials record from the store into the cache; nil
// where there is none.
func (v *Vault) load(id Identity) (*entry, error) {
	r, there, err := one(v.reader, selectByLookup, v.sealer().identity(id))
	if err != nil || !there {
		return nil, err
	}
	return v.remember(r)
}

// remember caches r's record; nil where it is damaged.
func (v *Vault) remember(r row) (*entry, error) {
	rec, err := v.open(r)
	if errors.Is(err, errDamaged) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := v.sealer().fresh(r.kind, r.ref)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if e := v.cache.byRef[r.ref]; e != nil {
		return e, nil
	}
	e := &entry{rec: rec, box: b, seq: r.seq, seen: v.now()}
	v.cache.put(e)
	return e, nil
}
