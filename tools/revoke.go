package tools

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
)

// Outcome says what became of a token that was to be revoked. In every case
// the vault has erased it.
type Outcome string

// The outcomes of Revoke.
const (
	Revoked Outcome = "revoked" // the provider says that it has ended it
	Erased  Outcome = "erased"  // the provider has no way to end such a token: it lives there until its time is over
	Ended   Outcome = "ended"   // it was over at the provider already
	Forced  Outcome = "forced"  // the provider did not say that it has ended it, and the caller wanted it erased all the same
)

// Revocation is the answer of Revoke.
type Revocation struct {
	TokenRef string  `json:"token_ref"`
	Provider string  `json:"provider"`
	Outcome  Outcome `json:"outcome"`
	Note     string  `json:"note"` // the outcome in words
}

func (r Revocation) encode() ([]byte, error) { return json.Marshal(r) }

var notes = map[Outcome]string{
	Revoked: "the provider has ended the token and what it stands on; the vault has erased it",
	Erased:  "the provider has no way to end such a token, so it lives there until its time is over; the vault has erased it",
	Ended:   "the token was over at the provider already; the vault has erased it",
	Forced:  "the provider did not confirm that it has ended the token, so it may live there still; the vault has erased it",
}

// Revoke ends the token behind ref at its provider, in the way that the
// provider's overlay names, and then erases it here. Where the provider does
// not say that it has ended it nothing is erased, unless force. Its errors are
// faults; after one the token is what it was.
func (s *Set) Revoke(ctx context.Context, principal, ref string, force bool) (Revocation, error) {
	r := &request{principal: principal, tool: schema.Revoke, correlation: s.correlation()}
	start := s.o.Now()
	out, err := s.revoke(ctx, r, ref, force)
	s.logUse(ctx, r, err, s.o.Now().Sub(start))
	return out, err
}

// RevokeToken is Revoke with a Revocation, or its fault, as a Result.
func (s *Set) RevokeToken(ctx context.Context, principal, ref string, force bool) Result {
	return s.do(ctx, &request{principal: principal, tool: schema.Revoke}, func(r *request) (answer, error) {
		return s.revoke(ctx, r, ref, force)
	})
}

func (s *Set) revoke(ctx context.Context, r *request, ref string, force bool) (Revocation, error) {
	v, rec, err := s.find(ctx, r, ref)
	if rec.Ref == "" {
		return Revocation{}, err
	}
	// Whoever hangs up now must not leave a token that is revoked there and live here.
	ctx = context.WithoutCancel(ctx)
	out := Revocation{TokenRef: rec.Ref, Provider: rec.Identity.Provider}
	if err == nil {
		out.Outcome, err = s.end(ctx, r, v, rec)
	}
	if err != nil {
		if !force {
			return Revocation{}, unrevoked(err)
		}
		out.Outcome = Forced
	}
	out.Note = notes[out.Outcome]
	return out, v.Forget(ctx, r.principal, rec.Ref)
}

// unrevoked adds to a fault what else can be done.
func unrevoked(err error) error {
	f := *fault.From(err)
	f.Hint = strings.TrimSuffix(f.Hint+"; nothing was erased; with force it is erased here whatever the provider says", "; ")
	return &f
}

// end asks the provider to end rec's token.
func (s *Set) end(ctx context.Context, r *request, v *vault.Vault, rec vault.Record) (Outcome, error) {
	op, g, ok := r.bank.Client.Provider().Revocation(rec.Identity.Grant)
	if !ok {
		return Erased, nil
	}
	if f := s.configured(r.bank, providers.Call{}); f != nil {
		return "", f
	}
	if f := sameClient(r.bank, rec); f != nil {
		return "", f
	}
	call := providers.Call{Operation: op, Grant: g, CorrelationID: r.correlation}
	var err error
	if op.Auth.Style == schema.AuthToken {
		var over bool
		if call.Token, over, err = s.still(ctx, r, v, rec); over || err != nil {
			return Ended, err
		}
	} else {
		// RFC 7009 §2.1: with a refresh token everything of its grant ends.
		if call.Token = rec.Token.Refresh; call.Token.IsZero() {
			call.Token = rec.Token.Access
		}
	}
	if op.Auth.Style == schema.AuthBearer {
		if call.Bearer, err = s.clientToken(ctx, r, v, call); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, upstreamDeadline)
	defer cancel()
	return Revoked, r.bank.Client.Revoke(ctx, call)
}

// still returns rec's access token, live, for a provider that ends what it is
// called with; over says that there is nothing left to end.
func (s *Set) still(ctx context.Context, r *request, v *vault.Vault, rec vault.Record) (access secret.Value, over bool, err error) {
	fresh, _, _, err := s.freshen(ctx, r, v, rec.Ref, r.bank.policy())
	var f *fault.Fault
	switch {
	case err == nil:
		return fresh.Token.Access, false, nil
	case rec.Token.Fresh(s.o.Now(), lastMoment):
		return rec.Token.Access, false, nil
	case errors.As(err, &f) && f.Code == fault.Reauthorize:
		return secret.Value{}, true, nil
	}
	return secret.Value{}, false, err
}
