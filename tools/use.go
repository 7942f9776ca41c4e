package tools

import (
	"context"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/token"
	"bankauth/internal/vault"
	"bankauth/providers"
)

// Need says what a token is wanted for. The zero Need wants one that lives
// another 120 s, of whatever provider.
type Need struct {
	// MinTTL is what the token should have to live; one with less is refreshed
	// first. A provider whose tokens live shorter gives what it gives.
	MinTTL time.Duration
	// Provider is where the token is to be sent: that provider, at the address
	// and with the client id that are set now. A token of another is refused.
	Provider string
	// Refused is the generation of a token that the provider has just refused;
	// a newer one is wanted, whatever the clock says. 0: none.
	Refused int
}

// Live is a token that may be sent to its provider now.
type Live struct {
	Provider   string
	Generation int // of the token; it grows with each refresh
	Access     secret.Value
	Client     *providers.Client // of the provider, as it is set up now
}

// lastMoment is what a token that cannot be refreshed must have to live to be
// handed out all the same.
const lastMoment = 5 * time.Second

// Use returns the access token behind ref for a program to send, refreshed
// first where it is due. Where that fails, because the provider is down or
// there is no refresh token, a token that still lives is handed out as it is,
// unless the provider has refused it. One that is in doubt is settled first, or
// not handed out. Its errors are faults.
func (s *Set) Use(ctx context.Context, principal, ref string, need Need) (Live, error) {
	r := &request{principal: principal, tool: use, correlation: s.correlation()}
	start := s.o.Now()
	live, err := s.use(ctx, r, ref, need)
	s.logUse(ctx, r, err, s.o.Now().Sub(start))
	return live, err
}

func (s *Set) use(ctx context.Context, r *request, ref string, need Need) (Live, error) {
	v, rec, err := s.find(ctx, r, ref)
	if err != nil {
		return Live{}, err
	}
	if err := s.belongs(r.bank, rec, need); err != nil {
		return Live{}, err
	}
	handed := func(rec vault.Record) Live {
		return Live{Provider: rec.Identity.Provider, Generation: rec.Generation, Access: rec.Token.Access, Client: r.bank.Client}
	}
	refused := need.Refused > 0 && rec.Generation <= need.Refused
	// A token of which nobody knows when it ends is good until it is refused.
	if !refused && rec.State == vault.Live && rec.Token.Expiry == token.Unknown && !rec.Token.Access.IsZero() {
		return handed(rec), nil
	}
	p := r.bank.policy()
	p.Force = refused
	if need.MinTTL > 0 {
		p.Margin = need.MinTTL
	}
	fresh, _, _, err := s.freshen(ctx, r, v, rec.Ref, p)
	if err == nil {
		return handed(fresh), nil
	}
	// Read again: the refresh that failed may have left the token in doubt.
	now, lost := v.Get(ctx, r.principal, rec.Ref)
	if lost == nil && now.State == vault.Live && now.Generation > need.Refused && now.Token.Fresh(s.o.Now(), lastMoment) {
		return handed(now), nil
	}
	return Live{}, err
}

// find returns principal's record called ref, and sets r.bank to the one that
// issued it.
func (s *Set) find(ctx context.Context, r *request, ref string) (*vault.Vault, vault.Record, error) {
	v, err := s.vault(ctx)
	if err != nil {
		return nil, vault.Record{}, err
	}
	rec, err := v.Get(ctx, r.principal, ref)
	if err != nil {
		return v, rec, err
	}
	r.bank, err = s.bankOf(rec)
	return v, rec, err
}

// belongs refuses to send a token to anybody but whoever issued it.
func (s *Set) belongs(b *Bank, rec vault.Record, need Need) error {
	switch {
	case need.Provider == "":
		return nil
	case rec.Identity.Provider != need.Provider:
		return &fault.Fault{Code: fault.InvalidArgument, Provider: need.Provider,
			Message: "this token was issued by another provider, and is sent to no other",
			Hint:    "use a token_ref of the provider that you call"}
	case b.Fault != nil:
		return b.Fault
	}
	if f := sameClient(b, rec); f != nil {
		return f
	}
	return nil
}
