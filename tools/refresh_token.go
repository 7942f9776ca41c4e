package tools

import (
	"context"
	"errors"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/token"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
)

// refreshToken renews the token that token_ref names. The vault decides
// whether the provider is asked at all.
func (s *Set) refreshToken(ctx context.Context, r *request) (answer, error) {
	example := exampleRef()
	if f := r.args.only(r.tool, example, s.argumentNames(r.tool)...); f != nil {
		return nil, f
	}
	force, f := r.args.flag("force")
	if f != nil {
		return nil, f
	}
	if s.full() && r.args.has(schema.HeldRefreshToken) {
		if r.args.has("token_ref") {
			return nil, &fault.Fault{Code: fault.InvalidArgument, Message: "token_ref and refresh_token are two ways to name a token",
				Hint: "give one of them", NotAllowed: []string{schema.HeldRefreshToken}, Example: example}
		}
		return s.adopt(ctx, r)
	}
	ref, ok := r.args.text("token_ref")
	if !ok {
		return nil, s.unreadRef(r)
	}
	v, err := s.vault(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := v.Get(ctx, r.principal, strings.TrimSpace(ref))
	if err != nil {
		return nil, err
	}
	if r.bank, err = s.bankOf(rec); err != nil {
		return nil, err
	}
	p := r.bank.policy()
	p.Force = force
	rec, reused, more, err := s.freshen(ctx, r, v, rec.Ref, p)
	if err != nil {
		return nil, err
	}
	return s.answerToken(ctx, r, r.bank, rec, reused, more), nil
}

// freshen has the vault renew a token where the policy wants it. more is what
// the provider answered, nil where it was not asked by this call.
func (s *Set) freshen(ctx context.Context, r *request, v *vault.Vault, ref string, p vault.Policy) (rec vault.Record, reused bool, more *providers.Answer, err error) {
	mint := func(ctx context.Context, old vault.Record) (token.Token, error) {
		a, err := s.renew(ctx, r, v, old)
		more = &a
		return a.Token, err
	}
	rec, reused, err = v.Refresh(ctx, r.principal, ref, p, s.contained(r, mint))
	if err != nil || reused {
		more = nil
	}
	return rec, reused, more, err
}

func (s *Set) unreadRef(r *request) *fault.Fault {
	return s.unread(r.tool, "token_ref", r.args, "give the token_ref that create_access_token returned", exampleRef())
}

func noRefreshToken() *fault.Fault {
	return fault.New(fault.Reauthorize, "the provider gave no refresh token with this token", "call create_access_token again")
}

func noRefresh() *fault.Fault {
	return fault.New(fault.Unsupported, "this provider has no way to refresh a token", "call create_access_token again")
}

// bankOf returns the bank that issued a record, as it is set up now. A record
// of another environment or client would be refused there, or worse.
func (s *Set) bankOf(rec vault.Record) (*Bank, error) {
	id := rec.Identity
	b := s.banks[id.Provider]
	if b == nil {
		return nil, &fault.Fault{Code: fault.Unsupported, Provider: id.Provider, Message: "the provider of this token is not offered here",
			Hint: "add " + id.Provider + " to BANKAUTH_PROVIDERS and start again"}
	}
	if id.Environment != b.Client.Environment() {
		return nil, &fault.Fault{Code: fault.NotConfigured, Provider: id.Provider,
			Message: "this token belongs to the environment " + id.Environment + ", and the server now uses " + b.Client.Environment(),
			Hint:    "call create_access_token for a token of this environment, or start the server with the other one"}
	}
	return b, nil
}

// sameClient refuses a record that another client id or base URL made.
func sameClient(b *Bank, rec vault.Record) *fault.Fault {
	if rec.Identity.Client == b.Client.Fingerprint() {
		return nil
	}
	return &fault.Fault{Code: fault.NotConfigured, Provider: rec.Identity.Provider,
		Message: "this token was made with another client id or base URL than the server now uses",
		Hint:    "call create_access_token for a new token"}
}

// renew mints the successor of a record: with its refresh token where it has
// one, and in the way it was made where that needs no person.
func (s *Set) renew(ctx context.Context, r *request, v *vault.Vault, old vault.Record) (providers.Answer, error) {
	if f := s.configured(r.bank, providers.Call{}); f != nil {
		return providers.Answer{}, f
	}
	if f := sameClient(r.bank, old); f != nil {
		return providers.Answer{}, f
	}
	if old.Token.Refresh.IsZero() {
		again, can, err := s.repeat(ctx, r, v, old)
		if err != nil {
			return providers.Answer{}, err
		}
		if !can {
			return providers.Answer{}, noRefreshToken()
		}
		return r.bank.Client.Token(ctx, again)
	}
	op, g, ok := r.bank.Client.Provider().Operation(schema.RefreshToken, schema.GrantRefreshToken)
	if !ok {
		return providers.Answer{}, noRefresh()
	}
	a, err := r.bank.Client.Token(ctx, providers.Call{Operation: op, Grant: g, RefreshToken: old.Token.Refresh, CorrelationID: r.correlation, Fields: s.full()})
	var f *fault.Fault
	if !errors.As(err, &f) || f.Code != fault.Reauthorize {
		return a, err
	}
	// The refresh token is dead, but the user's password may be held.
	again, can, failed := s.repeat(ctx, r, v, old)
	switch {
	case failed != nil:
		return a, failed
	case !can:
		return a, err
	}
	return r.bank.Client.Token(ctx, again)
}

// repeat returns the call that made a record, where we can make it again by
// ourselves: client_credentials always, password where the password is held.
// A vault that cannot be asked for it is an error: that nothing is held would
// end the token.
func (s *Set) repeat(ctx context.Context, r *request, v *vault.Vault, old vault.Record) (call providers.Call, can bool, err error) {
	op, g, ok := r.bank.Client.Provider().Operation(schema.CreateAccessToken, old.Identity.Grant)
	if !ok {
		return call, false, nil
	}
	call = providers.Call{Operation: op, Grant: g, Arguments: map[string]any{}, CorrelationID: r.correlation, Fields: s.full()}
	switch old.Identity.Grant {
	case schema.GrantClientCredentials:
		can = restore(call.Arguments, old.Identity.Account)
	case schema.GrantPassword:
		call.Password, can, err = v.Password(ctx, s.owner(r, old.Identity.Account))
		call.Arguments["username"] = old.Identity.Account
	}
	return call, can, err
}

// adopt stores a refresh token that a program brings along (full exposure)
// and renews it at once. What it mints is a record of its own; where it mints
// nothing, the program still has what it brought.
func (s *Set) adopt(ctx context.Context, r *request) (answer, error) {
	b, f := s.bank(r.tool, r.args)
	if f != nil {
		return nil, f
	}
	r.bank = b
	op, g, ok := b.Client.Provider().Operation(schema.RefreshToken, schema.GrantRefreshToken)
	if !ok {
		return nil, noRefresh()
	}
	given := r.args.without("provider", "force", "token_ref", "grant_type")
	if f := b.Client.Provider().Check(op, g, given, true); f != nil {
		f.Example = exampleBrought(b.Client.Provider().Name)
		return nil, f
	}
	call := s.newCall(r, op, g, given)
	if f := s.configured(b, call); f != nil {
		return nil, f
	}
	v, err := s.vault(ctx)
	if err != nil {
		return nil, err
	}
	var more *providers.Answer
	mint := func(ctx context.Context, old vault.Record) (token.Token, error) {
		call := call
		if !old.Token.Refresh.IsZero() { // it came for the one that was brought, in an answer without a token
			call.RefreshToken = old.Token.Refresh
		}
		a, err := b.Client.Token(ctx, call)
		more = &a
		if err == nil && a.Token.Refresh.IsZero() {
			a.Token.Refresh = call.RefreshToken // RFC 6749 §6: no new one means that the old one stays
		}
		return a.Token, err
	}
	p := b.policy()
	p.Once = call.RefreshToken
	rec, reused, err := v.Obtain(ctx, s.identity(r, call), p, s.contained(r, mint))
	if err != nil {
		return nil, err
	}
	if reused {
		more = nil
	}
	return s.answerToken(ctx, r, b, rec, reused, more), nil
}
