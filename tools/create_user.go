package tools

import (
	"context"
	"encoding/base32"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/token"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
)

// createUser makes a user with an id and a password of our own where the
// caller names none. Both are stored before the request leaves, so that an
// answer that is lost costs nothing.
func (s *Set) createUser(ctx context.Context, r *request) (answer, error) {
	call, err := s.planUser(r)
	if err != nil {
		return nil, err
	}
	if f := s.configured(r.bank, call); f != nil {
		return nil, f
	}
	v, err := s.vault(ctx)
	if err != nil {
		return nil, err
	}
	if call.Operation.Auth.Style == schema.AuthBearer {
		if call.Bearer, err = s.clientToken(ctx, r, v, call); err != nil {
			return nil, err
		}
	}
	id, err := s.nameUser(&call)
	if err != nil {
		return nil, err
	}
	// Two at once with one id would each store a password, and only one of
	// them would be the user's.
	if _, busy := s.making.LoadOrStore(s.owner(r, id), true); busy && id != "" {
		return nil, fault.New(fault.Busy, "a user with this id is just being created", "wait for that call's result")
	}
	defer s.making.Delete(s.owner(r, id))
	keep, err := s.choosePassword(ctx, r, v, &call, id)
	if err != nil {
		return nil, err
	}
	// A client that hangs up must not cost the answer, nor an answer in the
	// last moment the password in it.
	ctx = context.WithoutCancel(ctx)
	send, cancel := context.WithTimeout(ctx, upstreamDeadline)
	defer cancel()
	made, err := r.bank.Client.User(send, call)
	if err != nil {
		return nil, s.userFailed(ctx, v, s.owner(r, id), keep, made, err)
	}
	return s.answerUser(ctx, r, v, call, id, keep, made)
}

// planUser checks a create_user call and makes the provider's of it.
func (s *Set) planUser(r *request) (providers.Call, error) {
	b, f := s.bank(r.tool, r.args)
	if f != nil {
		return providers.Call{}, f
	}
	r.bank = b
	op, g, _ := b.Client.Provider().Operation(schema.CreateUser, "")
	if f := r.args.only(r.tool, b.Client.Provider().Example(op, g), s.argumentNames(r.tool)...); f != nil {
		return providers.Call{}, f
	}
	given := r.args.without("provider")
	if f := b.Client.Provider().Check(op, g, given, s.full()); f != nil {
		return providers.Call{}, f
	}
	return s.newCall(r, op, g, given), nil
}

// clientToken obtains the token that must be had before the user can be made.
func (s *Set) clientToken(ctx context.Context, r *request, v *vault.Vault, call providers.Call) (secret.Value, error) {
	op, g, _ := r.bank.Client.Provider().Operation(schema.CreateAccessToken, call.Operation.Auth.Grant)
	first := providers.Call{Operation: op, Grant: g, Arguments: map[string]any{}, ClientID: call.ClientID, ClientSecret: call.ClientSecret, CorrelationID: r.correlation}
	mint := func(ctx context.Context, _ vault.Record) (token.Token, error) {
		a, err := r.bank.Client.Token(ctx, first)
		return a.Token, err
	}
	rec, _, err := v.Obtain(ctx, s.identity(r, first), vault.Policy{Margin: margin, Deadline: upstreamDeadline, Rotation: r.bank.Client.Provider().Rotation.Mode}, mint)
	return rec.Token.Access, err
}

// nameUser returns the user's id, made by us where the caller gives none and
// the provider lets us choose it.
func (s *Set) nameUser(call *providers.Call) (string, error) {
	name := strings.TrimPrefix(call.Operation.Answer.User, "/")
	i := slices.IndexFunc(call.Operation.Fields, func(f schema.Field) bool { return f.Name == name && f.Type == "string" })
	if i < 0 {
		return "", nil // the provider names it; its answer says how
	}
	f := call.Operation.Fields[i]
	if id, ok := call.Arguments[f.Argument].(string); ok {
		return id, nil
	}
	id, err := s.random(26)
	if err != nil {
		return "", err
	}
	call.Arguments[f.Argument] = id
	return id, nil
}

// choosePassword makes the user's password, unless the caller brings one, and
// stores it. It returns whose it is where it is on trial, and nil elsewhere.
func (s *Set) choosePassword(ctx context.Context, r *request, v *vault.Vault, call *providers.Call, id string) (*vault.Account, error) {
	if call.Operation.HeldField(schema.HeldPassword) == nil {
		return nil, nil
	}
	owner := s.owner(r, id)
	if call.Password.IsZero() {
		held, ok, err := v.Password(ctx, owner)
		if err != nil {
			return nil, err
		}
		if ok && id != "" {
			// An earlier call, perhaps one whose answer was lost: should the
			// user be there, this is the password.
			call.Password = held
			return nil, nil
		}
		text, err := s.random(26)
		if err != nil {
			return nil, err
		}
		call.Password = secret.New(text)
	}
	if id == "" {
		return nil, nil // stored under the id of the answer
	}
	// Pending: it does not push out the password of a user who is there.
	if err := v.KeepPassword(ctx, owner, call.Password); err != nil {
		return nil, err
	}
	return &owner, nil
}

// userFailed abandons the password of a user that was surely not made. After
// an uncertain answer it stays, or gives way to the one that came with it: the
// user may be there, and have it.
func (s *Set) userFailed(ctx context.Context, v *vault.Vault, owner vault.Account, keep *vault.Account, made providers.Answer, err error) error {
	var f *fault.Fault
	var failed error
	switch uncertain := !errors.As(err, &f) || f.Code == fault.Uncertain || f.Code == fault.Internal; {
	case uncertain && !made.Password.IsZero() && owner.User != "":
		failed = v.KeepPassword(ctx, owner, made.Password)
	case !uncertain && keep != nil:
		failed = v.AbandonPassword(ctx, *keep)
	}
	if failed != nil {
		return failed
	}
	return err
}

// answerUser stores what the answer brought, then shapes it.
func (s *Set) answerUser(ctx context.Context, r *request, v *vault.Vault, call providers.Call, id string, keep *vault.Account, made providers.Answer) (answer, error) {
	if made.User == "" {
		made.User = id
	}
	out := userAnswer{userResult: userResult{Provider: r.bank.Client.Provider().Name, Environment: r.bank.Client.Environment()}, fields: map[string]any{}}
	if call.Operation.HeldField(schema.HeldPassword) != nil {
		owner := s.owner(r, made.User)
		if !made.Password.IsZero() {
			call.Password = made.Password // the provider has the last word
		}
		if keep == nil || *keep != owner || !made.Password.IsZero() {
			if err := v.KeepPassword(ctx, owner, call.Password); err != nil {
				return nil, err
			}
		}
		if err := v.ConfirmPassword(ctx, owner); err != nil {
			return nil, err
		}
		out.PasswordStored = true
	}
	if !made.Token.Access.IsZero() {
		rec, _, err := v.Obtain(ctx, vault.Identity{Principal: r.principal, Provider: out.Provider, Environment: out.Environment,
			Client: r.bank.Client.Fingerprint(), Grant: schema.GrantAuthorizationCode}, vault.Policy{Force: true, Deadline: upstreamDeadline},
			func(context.Context, vault.Record) (token.Token, error) { return made.Token, nil })
		if err != nil {
			return nil, err
		}
		out.TokenRef = rec.Ref
	}
	for name, value := range made.Fields {
		if s.full() || brought(call, value) || wordless(value) {
			out.fields[name] = value
		}
	}
	if made.User != "" {
		out.fields["id"] = made.User
	}
	s.expose(out.fields, made.Secrets)
	return out, nil
}

// random returns n characters of lower-case base32: 5 bits each, legal in
// every provider's ids and passwords.
func (s *Set) random(n int) (string, error) {
	b := make([]byte, (n*5+7)/8)
	if _, err := io.ReadFull(s.o.Rand, b); err != nil {
		return "", err
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))[:n], nil
}

// brought reports whether a value is one of the caller's own.
func brought(call providers.Call, value any) bool {
	for _, given := range call.Arguments {
		if value == given {
			return true
		}
	}
	return false
}

// wordless reports whether a value is no text, or one that can hold neither a
// sentence nor mark-up: what a provider makes up is not for a model to read.
func wordless(value any) bool {
	text, ok := value.(string)
	return !ok || len(text) <= 128 && !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.~@+:|", r)
	})
}
