package vault

import (
	"context"
	"encoding/hex"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/token"
)

// grant is a flight of Obtain for a token that can be asked for again, such as
// with a password: the record is id's own.
func (v *Vault) grant(ctx context.Context, id Identity, p Policy, mint Mint) (Record, bool, error) {
	ref, err := v.nameOf(id)
	if err != nil {
		return Record{}, false, storeFault(err)
	}
	h, err := v.enter(ctx, ref)
	if err != nil {
		return Record{}, false, err
	}
	defer func() { h.release() }()
	var old Record
	if _, rec, err := v.read(ref); err == nil {
		old = rec
	}
	a := attempt{name: ref, ref: ref, op: opGrant}
	// The row also shows that the store can be written, before anything is sent.
	if err := v.begin(&a, p.Deadline); err != nil {
		return Record{}, false, storeFault(err)
	}
	t, err := ask(ctx, p, old, mint)
	rec := Record{Ref: ref, Identity: id}
	switch {
	case err == nil:
		return v.keep(&h, answer{rec: minted(rec, t, v.now()), attempt: a, own: true})
	case !t.Refresh.IsZero():
		return Record{}, false, v.salvageNew(&h, rec, t, a, true, err)
	}
	v.withdraw(a)
	return Record{}, false, err
}

// once is a flight of Obtain for a grant that can be spent once, such as an
// authorization code. A repeat of a call whose answer may never have been
// heard finds the record that it made; a later one is told, and nothing is
// sent: RFC 6749 §4.1.2 has providers revoke what a second use of a code finds.
// Where the answer was good for a refresh token only, a repeat does not spend
// again what that one came for: a given refresh token gives way to it.
func (v *Vault) once(ctx context.Context, id Identity, name string, p Policy, mint Mint) (Record, bool, error) {
	h, err := v.enter(ctx, name)
	if err != nil {
		return Record{}, false, err
	}
	defer func() { h.release() }()
	a, err := v.earlier(name)
	if err != nil {
		return Record{}, false, storeFault(err)
	}
	switch a.state {
	case attemptHeard:
		return Record{}, false, spentFault(a.ref)
	case attemptDone:
		switch _, rec, err := v.read(a.ref); {
		case err == nil && !rec.Token.Access.IsZero():
			return rec, true, nil
		case err == nil && rec.State != Reauthorize && id.Grant == grantRefresh:
			h.release() // renew takes that of the record, which may be the same file
			h.release = func() {}
			return v.renew(ctx, a.ref, p, rec.Generation, mint)
		case err == nil && rec.State != Reauthorize:
			return Record{}, false, spentFault(a.ref)
		case faultCode(err) == fault.VaultUnavailable:
			return Record{}, false, err // the code is spent already
		}
		a = attempt{name: name}
	}
	lost := a.cutOff()
	if a.ref == "" {
		if a.ref, err = v.draw(); err != nil {
			return Record{}, false, storeFault(err)
		}
	}
	a.op = opCode
	if err := v.begin(&a, p.Deadline); err != nil {
		return Record{}, false, storeFault(err)
	}
	if id.Grant != grantRefresh {
		p.Rotation = "unknown" // one replay: RFC 6749 §4.1.2 lets a provider revoke what a second use of a code finds
	}
	t, unheard, err := v.exchange(ctx, &h, p, Record{}, mint)
	lost = lost || unheard
	rec := Record{Ref: a.ref, Identity: id}
	switch code := faultCode(err); {
	case err == nil:
		return v.keep(&h, answer{rec: minted(rec, t, v.now()), attempt: a})
	case !t.Refresh.IsZero():
		return Record{}, false, v.salvageNew(&h, rec, t, a, false, err)
	case code == fault.Uncertain && id.Grant == grantRefresh:
		g := *fault.From(err)
		g.Hint = "keep the refresh_token that you gave, the vault has no token from it; " + g.Hint
		return Record{}, false, &g
	case code == fault.Uncertain: // stays pending: a repeat asks once more
	case lost && code == fault.Reauthorize: // stays pending: where this answer is lost too, a repeat says the same
		g := *fault.From(err)
		g.Message += "; the answer to an earlier exchange of it was lost"
		return Record{}, false, &g
	default:
		v.withdraw(a)
	}
	return Record{}, false, err
}

func spentFault(ref string) *fault.Fault {
	return fault.New(fault.Reauthorize, "this code has been exchanged already", "go on with its token, "+ref+"; for another one a person must consent again, which gives a new code")
}

// salvageNew keeps the refresh token of a first answer of which nothing else
// can be used, and says how to go on with it.
func (v *Vault) salvageNew(h *hold, rec Record, t token.Token, a attempt, own bool, err error) error {
	rec = minted(rec, token.Token{Refresh: t.Refresh, Expiry: token.Unknown}, v.now())
	rec.State, rec.Reason = Uncertain, "the provider's answer could not be used, but for its refresh token"
	kept, _, kerr := v.keep(h, answer{rec: rec, attempt: a, own: own})
	if kerr != nil {
		return kerr
	}
	f := *fault.From(err)
	f.Hint = "call refresh_token with token_ref " + kept.Ref + ": the answer brought a refresh token, which is kept"
	return &f
}

// nameOf returns the ref of id's record, or a new one.
func (v *Vault) nameOf(id Identity) (string, error) {
	r, there, err := one(v.reader, selectByLookup, v.sealer().identity(id))
	if err != nil {
		return "", err
	}
	if there {
		return r.ref, nil
	}
	return v.draw()
}

// nameOnce is the attempt's name for what can be spent once.
func (v *Vault) nameOnce(id Identity, spent secret.Value) string {
	prefix := codePrefix
	if id.Grant == grantRefresh {
		prefix = givenPrefix
	}
	return prefix + hex.EncodeToString(v.sealer().spent(id, spent))
}

const (
	codePrefix  = "code:"
	givenPrefix = "given:" // a refresh token that was brought along
)

// spentOnce reports whether name is that of a code, which is never sent again
// once its answer has been heard.
func spentOnce(name string) bool { return strings.HasPrefix(name, codePrefix) }

// heard says that a caller has the answer that name's attempt brought: a
// repeat is then a call of its own, or the second use of a code. The row says
// so within a second.
func (v *Vault) heard(name string) {
	v.mu.Lock()
	v.cache.heard[name] = true
	tell := len(v.cache.heard) == 1
	v.mu.Unlock()
	if tell {
		v.writer.late()
	}
}

// earlier returns the attempt called name as far as it bears on a repeat. The
// caller holds its lock.
func (v *Vault) earlier(name string) (attempt, error) {
	a, err := findAttempt(v.reader, name)
	if err != nil || a.id == nil {
		return a, err
	}
	over := (a.state == attemptDone || a.state == attemptHeard) && !v.now().Before(a.until)
	v.mu.Lock()
	heard := v.cache.heard[name]
	if heard && !over && spentOnce(name) {
		a.state = attemptHeard
		heard = false
	} else {
		delete(v.cache.heard, name) // what is begun now is for another to hear
	}
	v.mu.Unlock()
	if !heard && !over {
		return a, nil
	}
	return attempt{name: name}, v.end(name)
}
