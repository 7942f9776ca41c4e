package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/token"
)

const (
	// lockWait is longer than a mint's default deadline, so that whoever waits
	// for another process finds its answer.
	lockWait = 25 * time.Second
	// storeTries bounds how often the answer to a spent refresh token is
	// written again where the store fails.
	storeTries = 5
	storePause = 100 * time.Millisecond
)

// Refresh returns the token called ref with at least the policy's margin to
// live, and whether it was handed out as it was. In this order: a fresh token
// is handed out; callers at the same time share one mint; other processes wait
// for a lock and then take the winner's token; an intent is on disk before
// mint is called; the new token is on disk before anybody gets it. An answer
// without a refresh token leaves the old one in place. Only a fault of code
// Reauthorize ends the token: it is kept and marked, and answers the same
// fault from then on. After any other fault the token is what it was.
//
// A client_credentials record is minted like Obtain does it. Cancelled contexts
// and errors are as with Obtain, and so is the cool-down, which holds for a
// forced refresh too.
func (v *Vault) Refresh(ctx context.Context, principal, ref string, p Policy, mint Mint) (rec Record, reused bool, err error) {
	if err := ctx.Err(); err != nil {
		return Record{}, false, err
	}
	p = p.filled()
	rec, err = v.Get(ctx, principal, ref)
	if err != nil {
		return Record{}, false, err
	}
	if rec.Identity.Grant == grantClient {
		return v.client(ctx, rec.Identity, p, true, rec.Generation, mint)
	}
	if rec.State == Reauthorize {
		return Record{}, false, ended(rec)
	}
	if !p.Force && rec.Token.Fresh(v.now(), p.Margin) {
		return rec, true, nil
	}
	if rec.Token.Refresh.IsZero() && rec.Identity.Grant != grantPassword {
		return Record{}, false, fault.New(fault.Reauthorize, "this token cannot be refreshed: the provider gave no refresh token",
			"call create_access_token again; the user has to consent anew")
	}
	key, seen := flightKey{ref: ref}, rec.Generation
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return Record{}, false, closedFault()
	}
	f := v.flights[key]
	if f == nil {
		if err := v.cooled(key); err != nil {
			v.mu.Unlock()
			return Record{}, false, err
		}
		f = v.lead(ctx, key, func(ctx context.Context) (Record, bool, error) {
			return v.renew(ctx, ref, p, seen, mint)
		})
	}
	v.mu.Unlock()
	return f.wait(ctx)
}

// renew is a flight of Refresh, under the lock of ref.
func (v *Vault) renew(ctx context.Context, ref string, p Policy, seen int, mint Mint) (Record, bool, error) {
	release, err := v.lock(ctx, ref)
	if err != nil {
		return Record{}, false, err
	}
	defer release()
	r, old, err := v.read(ref)
	if err != nil {
		return Record{}, false, err
	}
	switch {
	case old.State == Reauthorize:
		return Record{}, false, ended(old)
	case old.Generation > seen: // somebody was quicker; what they got is newer than what our caller knew
		return old, !p.Force, nil
	case !p.Force && old.Token.Fresh(v.now(), p.Margin):
		return old, true, nil
	}
	lost := r.intent != nil
	if err := v.intend(ref, opRefresh, p); err != nil {
		return Record{}, false, storeFault(err)
	}
	t, err := ask(ctx, p, old, mint)
	if err != nil && !t.Refresh.IsZero() {
		return Record{}, false, v.salvaged(old, t, err)
	}
	if err != nil {
		return Record{}, false, v.refused(old, lost, err)
	}
	rec, err := v.keep(ref, old, t)
	return rec, false, err
}

// salvaged keeps the refresh token of an answer of which nothing else can be
// used: the provider gave it, so the one before it may be dead.
func (v *Vault) salvaged(old Record, t token.Token, err error) error {
	old.Token.Refresh = t.Refresh
	old.State, old.Reason = Uncertain, "the answer to a refresh could not be used, but for its refresh token"
	if werr := v.insist(v.marking(old, true)); werr != nil {
		return storeFault(werr)
	}
	return err
}

// keep writes the answer to a spent refresh token.
func (v *Vault) keep(ref string, old Record, t token.Token) (rec Record, err error) {
	rec = minted(old, t, v.now())
	var gone bool
	err = v.insist(func(tx *transaction) error {
		r, there, err := one(tx, selectByRef, ref)
		if gone = !there; err != nil || gone {
			return err
		}
		if _, err := v.rewrite(tx, r, rec); err != nil {
			return err
		}
		_, err = tx.exec(deleteIntent, ref)
		return err
	})
	if err != nil {
		return Record{}, storeFault(err)
	}
	if gone { // forgotten meanwhile, as the user asked
		return Record{}, unknownRef()
	}
	return rec, nil
}

// insist writes what cannot be had a second time: the answer to a refresh
// token, a code or a password that was spent. Where the store fails it is
// tried again, and past that is the place of a spill file.
func (v *Vault) insist(run func(tx *transaction) error) (err error) {
	for i := range storeTries {
		if i > 0 {
			time.Sleep(storePause << i)
		}
		if err = v.writer.do(true, run); err == nil {
			break
		}
	}
	return err
}

// refused notes in the record why a refresh failed, and returns err. Where
// that cannot be written the intent stays, and says as much.
func (v *Vault) refused(old Record, lost bool, err error) error {
	var f *fault.Fault
	known := errors.As(err, &f)
	switch {
	case known && f.Code == fault.Reauthorize:
		old.State, old.Reason = Reauthorize, f.Message
		if lost {
			old.Reason += "; the answer to an earlier refresh was lost"
		}
		_ = v.mark(old, true, true)
	case !known || f.Code == fault.Uncertain || f.Code == fault.Internal:
		old.State, old.Reason = Uncertain, "a refresh was sent and its answer never came"
		_ = v.mark(old, false, true)
	default:
		v.callOff(old.Ref)
	}
	return err
}

// callOff takes back the intent of a mint that has changed nothing. One that
// cannot be taken back costs a look at the record, no more.
func (v *Vault) callOff(ref string) {
	_ = v.writer.do(false, func(tx *transaction) error {
		_, err := tx.exec(deleteIntent, ref)
		return err
	})
}

// mark writes rec's state over whatever version is there.
func (v *Vault) mark(rec Record, settled, durable bool) error {
	return v.writer.do(durable, v.marking(rec, settled))
}

func (v *Vault) marking(rec Record, settled bool) func(tx *transaction) error {
	rec.Updated = v.now().UTC().Truncate(time.Millisecond)
	return func(tx *transaction) error {
		r, there, err := one(tx, selectByRef, rec.Ref)
		if err != nil || !there {
			return err
		}
		if _, err := v.rewrite(tx, r, rec); err != nil || !settled {
			return err
		}
		_, err = tx.exec(deleteIntent, rec.Ref)
		return err
	}
}

// ended is the answer for a record whose grant is over.
func ended(r Record) *fault.Fault {
	f := fault.New(fault.Reauthorize, r.Reason, "call create_access_token again; the user has to consent anew")
	f.Provider = r.Identity.Provider
	return f
}

// grant is a flight of Obtain for a token that stands on a consent or on a
// password. ref is the new record's name; "" where id has a record of its own.
func (v *Vault) grant(ctx context.Context, id Identity, ref string, p Policy, mint Mint) (Record, bool, error) {
	own := ref == ""
	var old Record
	var err error
	if own {
		if ref, err = v.nameOf(id); err != nil {
			return Record{}, false, storeFault(err)
		}
	}
	release, err := v.lock(ctx, ref)
	if err != nil {
		return Record{}, false, err
	}
	defer release()
	if own {
		if _, rec, err := v.read(ref); err == nil {
			old = rec
		}
	}
	// The intent also shows that the store can be written, before a code that
	// works only once is spent.
	if err := v.intend(ref, opCreate, p); err != nil {
		return Record{}, false, storeFault(err)
	}
	t, err := ask(ctx, p, old, mint)
	if err != nil {
		v.callOff(ref)
		return Record{}, false, err
	}
	var kept stored
	err = v.insist(func(tx *transaction) (err error) {
		if own {
			kept, err = v.adopt(tx, id, ref, t)
		} else {
			kept, err = v.insert(tx, minted(Record{Ref: ref, Identity: id}, t, v.now()), nil)
		}
		if err == nil {
			_, err = tx.exec(deleteIntent, ref)
		}
		return err
	})
	if err != nil {
		return Record{}, false, storeFault(err)
	}
	return kept.rec, false, nil
}

// nameOf returns the ref of id's record, or a new one.
func (v *Vault) nameOf(id Identity) (string, error) {
	r, there, err := one(v.reader, selectByLookup, v.sealer.identity(id))
	if err != nil {
		return "", err
	}
	if there {
		return r.ref, nil
	}
	return v.draw()
}

// lock keeps other processes, and other flights of this one, from ref.
func (v *Vault) lock(ctx context.Context, ref string) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	release, err = hold(ctx, v.folder.stripe(ref))
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fault.New(fault.Busy, "another process is refreshing this token and has not finished", "call again in a moment").Because(err)
	}
	if err != nil {
		return nil, refuse("the vault's locks cannot be used", "give your user write access to "+v.folder.locks(), err)
	}
	return release, nil
}

// What an intent is for.
const (
	opRefresh = "refresh"
	opCreate  = "create"
)

// intend puts an intent on disk. A row that is there already was cut off; its
// attempts are counted on and its first time stands.
func (v *Vault) intend(ref, op string, p Policy) error {
	var id [16]byte
	v.drawing.Lock()
	_, err := io.ReadFull(v.random, id[:])
	v.drawing.Unlock()
	if err != nil {
		return fmt.Errorf("drawing an attempt's id: %w", err)
	}
	now := v.now()
	return v.writer.do(true, func(tx *transaction) error {
		_, err := tx.exec(insertIntent, ref, op, id[:], p.Rotation, millis(now), millis(now), millis(now.Add(p.Deadline)))
		return err
	})
}
