package tools

import (
	"context"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/token"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
)

// createAccessToken: check, look for what we hold, and let the vault decide
// whether the provider is asked.
func (s *Set) createAccessToken(ctx context.Context, r *request) (answer, error) {
	op, g, err := s.chosen(r)
	if err != nil {
		return nil, err
	}
	if g.Opens(r.args) {
		return s.consent(ctx, r, op, g)
	}
	call, force, err := s.planToken(ctx, r, op, g)
	if err != nil {
		return nil, err
	}
	rec, reused, more, err := s.obtain(ctx, r, call, force)
	if err != nil {
		return nil, err
	}
	return s.answerToken(ctx, r, r.bank, rec, reused, more), nil
}

// obtain has the vault decide whether the provider is asked. more is its
// answer, nil where it was not.
func (s *Set) obtain(ctx context.Context, r *request, call providers.Call, force bool) (rec vault.Record, reused bool, more *providers.Answer, err error) {
	v, err := s.vault(ctx)
	if err != nil {
		return rec, false, nil, err
	}
	var heard *providers.Answer
	mint := func(ctx context.Context, _ vault.Record) (token.Token, error) {
		a, err := r.bank.Client.Token(ctx, call)
		heard = &a
		return a.Token, err
	}
	p := r.bank.policy()
	p.Force = force
	if code, ok := call.Arguments["code"].(string); ok && call.Grant.Name == schema.GrantAuthorizationCode {
		p.Once = secret.New(code)
	} else if !call.Code.IsZero() {
		p.Once = call.Code
	}
	rec, reused, err = v.Obtain(ctx, s.identity(r, call), p, s.contained(r, mint))
	if err != nil || reused { // the mint may still be at it
		return rec, reused, nil, err
	}
	return rec, reused, heard, nil
}

// Held makes a call that hands out a token from memory, without asking the
// store, the provider or another call; its result is what Encode writes. false:
// the call is not of that kind, and nothing was done.
func (s *Set) Held(ctx context.Context, principal, tool string, args any) (result any, held bool) {
	if !s.holds(principal, tool, args) {
		return nil, false
	}
	return Encode(s.Call(ctx, principal, tool, args).mcp()), true
}

func (s *Set) holds(principal, tool string, given any) bool {
	if tool != schema.CreateAccessToken || !s.vaultMu.TryLock() {
		return false
	}
	v := s.opened
	s.vaultMu.Unlock()
	if v == nil {
		return false
	}
	args, f := read(given)
	if f != nil {
		return false
	}
	if force, f := args.flag("force"); f != nil || force {
		return false
	}
	r := &request{principal: principal, tool: tool, args: args}
	if r.bank, f = s.bank(tool, args); f != nil {
		return false
	}
	op, g, f := s.grant(r.bank, args)
	if f != nil || g.Name != schema.GrantClientCredentials {
		return false
	}
	call := s.newCall(r, op, g, args.without("provider", "grant_type", "force"))
	return v.Holds(s.identity(r, call), margin)
}

// planToken makes the provider's call of a create_access_token call, with what
// we hold.
func (s *Set) planToken(ctx context.Context, r *request, op *schema.Operation, g *schema.Grant) (call providers.Call, force bool, err error) {
	force, f := r.args.flag("force")
	if f != nil {
		return call, false, f
	}
	if call, err = s.planArguments(r, op, g); err != nil {
		return call, false, err
	}
	if f := s.configured(r.bank, call); f != nil {
		return call, false, f
	}
	if call.Grant.Name == schema.GrantPassword && call.Password.IsZero() && call.Operation.HeldField(schema.HeldPassword) != nil {
		call.Password, err = s.password(ctx, r, call)
	}
	return call, force, err
}

// chosen picks the bank, the operation and the grant that the call names.
func (s *Set) chosen(r *request) (*schema.Operation, *schema.Grant, error) {
	b, f := s.bank(r.tool, r.args)
	if f != nil {
		return nil, nil, f
	}
	r.bank = b
	op, g, f := s.grant(b, r.args)
	if f != nil {
		return nil, nil, f
	}
	if f := r.args.only(r.tool, b.Client.Provider().Example(op, g), s.argumentNames(r.tool)...); f != nil {
		return nil, nil, f
	}
	return op, g, nil
}

// planArguments checks the arguments against the exact operation and grant.
func (s *Set) planArguments(r *request, op *schema.Operation, g *schema.Grant) (providers.Call, error) {
	given := r.args.without("provider", "grant_type", "force")
	if f := r.bank.Client.Provider().Check(op, g, given, s.full()); f != nil {
		return providers.Call{}, f
	}
	return s.newCall(r, op, g, given), nil
}

// newCall takes the secrets out of the arguments, by what they hold.
func (s *Set) newCall(r *request, op *schema.Operation, g *schema.Grant, given map[string]any) providers.Call {
	call := providers.Call{Operation: op, Grant: g, Arguments: given, CorrelationID: r.correlation, Fields: s.full() || r.tool == schema.CreateUser}
	for held, into := range map[string]*secret.Value{
		schema.HeldClientID: &call.ClientID, schema.HeldClientSecret: &call.ClientSecret,
		schema.HeldPassword: &call.Password, schema.HeldRefreshToken: &call.RefreshToken,
		schema.HeldCodeVerifier: &call.CodeVerifier,
	} {
		if f := op.HeldField(held); f != nil {
			*into = r.args.secret(f.Argument)
			delete(given, f.Argument)
			delete(r.args, f.Argument)
		}
	}
	return call
}

// identity says which token a call is about: the same identity, the same
// token_ref.
func (s *Set) identity(r *request, call providers.Call) vault.Identity {
	id := vault.Identity{
		Principal: r.principal, Provider: r.bank.Client.Provider().Name, Environment: r.bank.Client.Environment(),
		Client: r.bank.Client.Fingerprint(), Grant: call.Grant.Name,
	}
	switch call.Grant.Name {
	case schema.GrantClientCredentials:
		id.Account = account(call.Arguments)
	case schema.GrantPassword:
		id.Account = userName(call)
	}
	if !call.ClientID.IsZero() {
		id.Client = s.fingerprint(call.ClientID, id.Client)
	}
	return id
}

// account is what tells two client_credentials tokens of one client apart:
// the arguments they were asked for with, the scope foremost.
func account(args map[string]any) string {
	if scope, ok := args["scope"].(string); ok && len(args) == 1 {
		return scope
	}
	if len(args) == 0 {
		return ""
	}
	return "?" + canonical(args)
}

// userName is the user of a password grant. Providers compare names without
// regard to case (finAPI says so), and so do we.
func userName(call providers.Call) string {
	name, _ := call.Arguments["username"].(string)
	return strings.ToLower(name)
}

// password returns the stored password of the user that the call names.
func (s *Set) password(ctx context.Context, r *request, call providers.Call) (secret.Value, error) {
	v, err := s.vault(ctx)
	if err != nil {
		return secret.Value{}, err
	}
	held, ok, err := v.Password(ctx, s.owner(r, userName(call)))
	if err != nil {
		return secret.Value{}, err
	}
	if !ok {
		return secret.Value{}, fault.New(fault.InvalidArgument, "no password is held for this username",
			"create the user with create_user, which stores its password; then call again with the id it returns")
	}
	return held, nil
}

// owner says whose password it is.
func (s *Set) owner(r *request, user string) vault.Account {
	return vault.Account{Principal: r.principal, Provider: r.bank.Client.Provider().Name, Environment: r.bank.Client.Environment(),
		Client: r.bank.Client.Fingerprint(), User: strings.ToLower(user)}
}
