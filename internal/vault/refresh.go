package vault

import (
	"context"
	"errors"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/token"
)

// lockWait is longer than a mint's default deadline, so that whoever waits for
// another process finds its answer.
const lockWait = 25 * time.Second

// Refresh returns the token called ref with at least the policy's margin to
// live, and whether it was handed out as it was. In this order: a fresh token
// of which nothing is in doubt is handed out; callers at the same time share
// one mint; other processes wait for a lock and then take the winner's token;
// an attempt is on disk before mint is called; the new token is on disk before
// anybody gets it. An answer without a refresh token leaves the old one in
// place. Where nobody knows what became of a request, mint is called again at
// once, as the policy's rotation allows. Only a fault of code Reauthorize ends
// the token, once no other refresh token of its own is left to try: it is kept
// and marked, and answers the same fault from then on. After any other fault
// the token is what it was.
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
	if err := rec.barred(); err != nil {
		return Record{}, false, err
	}
	if !p.Force && rec.serves(v.now(), p) {
		return rec, true, nil
	}
	if rec.Token.Refresh.IsZero() && rec.Identity.Grant != grantPassword {
		return Record{}, false, fault.New(fault.Reauthorize, "this token cannot be refreshed: the provider gave no refresh token",
			"call create_access_token again; the user has to consent anew")
	}
	key, seen := flightKey{ref: ref, forced: p.Force}, rec.Generation
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return Record{}, false, closedFault()
	}
	f := v.under(key)
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
	h, err := v.enter(ctx, ref)
	if err != nil {
		return Record{}, false, err
	}
	defer func() { h.release() }()
	r, old, err := v.read(ref)
	if err != nil {
		return Record{}, false, err
	}
	if err := old.barred(); err != nil {
		return Record{}, false, err
	}
	switch now := v.now(); {
	case old.Generation > seen: // somebody was quicker; what they got is newer than what our caller knew
		return old, !p.Force, nil
	case !p.Force && r.attempt.id == nil && old.serves(now, p):
		return old, true, nil
	case r.attempt.cooling(now) > 0:
		return Record{}, false, cool(old, r.attempt, now)
	}
	a := r.attempt
	lost := lostBefore(old, a)
	a.name, a.ref, a.op = ref, ref, opRefresh
	if err := v.begin(&a, p.Deadline); err != nil {
		return Record{}, false, storeFault(err)
	}
	t, unheard, err := v.exchange(ctx, &h, p, old, mint)
	if unheard && lost == "" {
		lost = a.unanswered()
	}
	switch {
	case err == nil:
		return v.keep(&h, answer{rec: minted(old, t, v.now()), before: old.Generation, attempt: a})
	case !t.Refresh.IsZero():
		return Record{}, false, v.salvage(&h, old, t, a, err)
	case faultCode(err) == fault.Reauthorize:
		return v.lastResort(ctx, &h, p, old, a, lost, mint, err)
	}
	return Record{}, false, v.failed(old, a, lost, err)
}

// lostBefore says in words which answer to an earlier refresh of old may have
// been lost; "" where none was.
func lostBefore(old Record, a attempt) string {
	switch {
	case old.State == Uncertain:
		return old.Reason
	case a.cutOff() && a.op == opRefresh:
		return a.interrupted()
	}
	return ""
}

// faultCode returns the code of the fault in err; Uncertain where there is
// none, because an error of another kind says nothing of the outcome.
func faultCode(err error) fault.Code {
	var f *fault.Fault
	if !errors.As(err, &f) || f.Code == fault.Internal {
		return fault.Uncertain
	}
	return f.Code
}

// Replays after an outcome that nobody knows. A provider that does not rotate,
// or gives the old refresh token some grace, answers a second request as it
// answered the first. With any other a replay can only win: if the first
// request was carried out its answer is lost anyway, and if it was not, the
// token still works.
const (
	replaysGraced = 3
	replaysElse   = 1
	// replayWindow is what replays may take, so that a caller who waits for a
	// lock and for them still gets an answer in time.
	replayWindow = 20 * time.Second
)

func (p Policy) replays() int {
	if p.Rotation == "none" || p.Rotation == "grace" {
		return replaysGraced
	}
	return replaysElse
}

// window is how long after the first request a replay may be sent.
func (p Policy) window() time.Duration {
	if p.Rotation == "grace" && p.Grace > 0 {
		return min(replayWindow, max(0, p.Grace-5*time.Second))
	}
	return replayWindow
}

// exchange asks the provider, and again where nobody knows what became of the
// request. unheard reports that an earlier answer was lost on the way.
func (v *Vault) exchange(ctx context.Context, h *hold, p Policy, old Record, mint Mint) (t token.Token, unheard bool, err error) {
	if !h.lasts(p.Deadline) { // the store was slow, and somebody else may have begun
		return t, false, fault.New(fault.Busy, "the store was too slow to keep others from this token", "call again in a moment")
	}
	began := v.now()
	t, err = ask(ctx, p, old, mint)
	for n := range p.replays() {
		if err == nil || !t.Refresh.IsZero() || faultCode(err) != fault.Uncertain {
			break
		}
		if n > 0 && v.now().Sub(began) >= p.window() {
			break
		}
		if n > 0 && pause(ctx, storePause<<n) != nil {
			break
		}
		if !h.lasts(p.Deadline) { // whoever has the lock now sends it again
			break
		}
		unheard = true
		again, aerr := ask(ctx, p, old, mint)
		t = again
		if aerr == nil || faultCode(aerr) != fault.Unavailable {
			err = aerr // what a provider that was not reached says, says nothing of the first request
		}
	}
	return t, unheard, err
}

// lastResort looks for another way before it believes that a token is over: the
// winner of a race may have stored a newer one, and an answer that came second
// may have left a candidate.
func (v *Vault) lastResort(ctx context.Context, h *hold, p Policy, old Record, a attempt, lost string, mint Mint, dead error) (Record, bool, error) {
	_, now, err := v.read(a.ref)
	if err != nil {
		return Record{}, false, err
	}
	if now.Generation > old.Generation {
		v.withdraw(a)
		return now, !p.Force, nil
	}
	all, err := v.candidates(a.ref)
	if err != nil {
		return Record{}, false, storeFault(err)
	}
	for _, c := range all {
		if c.refresh.Equal(old.Token.Refresh) {
			continue
		}
		try := old
		try.Token.Refresh = c.refresh
		t, _, err := v.exchange(ctx, h, p, try, mint)
		switch {
		case err == nil:
			return v.keep(h, answer{rec: minted(try, t, v.now()), before: old.Generation, attempt: a, used: c.id})
		case !t.Refresh.IsZero():
			return Record{}, false, v.salvage(h, old, t, a, err)
		case faultCode(err) != fault.Reauthorize:
			return Record{}, false, v.failed(old, a, lost, err)
		}
	}
	var f *fault.Fault
	_ = errors.As(dead, &f)
	old.State, old.Reason = Reauthorize, f.Message
	if lost != "" {
		old.Reason += "; " + lost
	}
	switch err := v.mark(old, a, true, event{what: auditEnded, code: fault.Reauthorize}); {
	case errors.Is(err, errSuperseded):
		return Record{}, false, fault.New(fault.Busy, "another process has begun to refresh this token", "call again in a moment")
	case err != nil:
		return Record{}, false, storeFault(err)
	}
	if lost != "" {
		return Record{}, false, ended(old)
	}
	return Record{}, false, dead
}

// salvage keeps the refresh token of an answer of which nothing else can be
// used: the provider gave it, so the one before it may be dead.
func (v *Vault) salvage(h *hold, old Record, t token.Token, a attempt, err error) error {
	rec := old
	rec.Token.Refresh = t.Refresh
	rec.State, rec.Reason = Uncertain, "the answer to a refresh could not be used, but for its refresh token"
	rec.Generation++
	rec.Updated = v.now().UTC().Truncate(time.Millisecond)
	if _, _, kerr := v.keep(h, answer{rec: rec, before: old.Generation, attempt: a}); kerr != nil {
		return kerr
	}
	return err
}

// failed notes why a refresh failed, and returns err. Where that cannot be
// written the attempt stays pending, and says as much.
func (v *Vault) failed(old Record, a attempt, lost string, err error) error {
	code := faultCode(err)
	if lost == "" && code == fault.Uncertain {
		lost = a.unanswered()
	}
	if lost != "" && old.State != Uncertain {
		old.State, old.Reason = Uncertain, lost
		if v.mark(old, a, false, event{what: auditUncertain, code: code}) != nil {
			return err
		}
	}
	if code != fault.RateLimited && code != fault.Unavailable && code != fault.Uncertain {
		v.withdraw(a)
		return err
	}
	var f *fault.Fault
	var asked time.Duration
	if errors.As(err, &f) {
		asked = f.RetryAfter
	}
	until := v.now().Add(coolFor(a.tries, asked))
	_ = v.writer.do(true, func(t *transaction) error {
		_, err := t.exec(coolAttempt, attemptCooling, millis(until), string(code), a.name, a.id)
		return err
	})
	return err
}

// cool is the answer while another process's failure, or one before our start,
// keeps the provider from being asked.
func cool(r Record, a attempt, now time.Time) *fault.Fault {
	f := fault.New(a.code, "the provider failed at the last refresh of this token and is not asked again yet", "wait, then call again")
	f.Provider, f.RetryAfter = r.Identity.Provider, a.cooling(now)
	return f
}

// errSuperseded says that another attempt has begun since ours, or has ended:
// the lock was lost, and what we know of the record is out of date.
var errSuperseded = errors.New("another attempt has begun since")

// mark writes rec's state as the attempt a has found it, and ends a where it is
// settled.
func (v *Vault) mark(rec Record, a attempt, settled bool, e event) error {
	rec.Updated = v.now().UTC().Truncate(time.Millisecond)
	e.ref, e.attempt, e.generation = rec.Ref, a.id, rec.Generation
	return v.writer.do(settled, func(t *transaction) error {
		r, there, err := one(t, selectByRef, rec.Ref)
		if err != nil || !there {
			return err
		}
		if string(r.attempt.id) != string(a.id) {
			return errSuperseded
		}
		if _, err := v.rewrite(t, r, rec); err != nil {
			return err
		}
		if settled {
			if _, err := t.exec(endAttempt, rec.Ref); err != nil {
				return err
			}
		}
		return v.audit(t, e)
	})
}

// serves reports that a record's token may be handed out as it is.
func (r Record) serves(now time.Time, p Policy) bool {
	return r.State == Live && r.Token.Fresh(now, p.Margin)
}

// barred is the answer for a record that must not be refreshed; nil for others.
func (r Record) barred() error {
	switch r.State {
	case Reauthorize:
		return ended(r)
	case Suspect:
		f := fault.New(fault.VaultUnavailable, "this token was restored from a backup and may have been renewed since: using an old refresh token can end the whole connection",
			"the operator decides: `bankauth vault accept "+r.Ref+"` lets it be refreshed; create_access_token gets a new one")
		f.Provider, f.Final = r.Identity.Provider, true
		return f
	}
	return nil
}

// ended is the answer for a record whose grant is over.
func ended(r Record) *fault.Fault {
	f := fault.New(fault.Reauthorize, r.Reason, "call create_access_token again; the user has to consent anew")
	f.Provider = r.Identity.Provider
	return f
}
