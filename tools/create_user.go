package tools

import (
	"context"
	"encoding/base32"
	"errors"
	"io"
	"maps"
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
// answer that is lost costs nothing: whoever calls again gets the same user.
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
	m, err := s.begin(ctx, r, v, &call)
	if err != nil {
		return nil, err
	}
	// A client that hangs up must not cost the answer, nor an answer in the
	// last moment the password in it.
	ctx = context.WithoutCancel(ctx)
	made, err := s.makeUser(ctx, r, m, call)
	if err != nil {
		return nil, userFailed(ctx, m, made, err)
	}
	return s.answerUser(ctx, r, v, m, call, made)
}

// begin chooses the user's id and password, puts both on disk and into the
// call.
func (s *Set) begin(ctx context.Context, r *request, v *vault.Vault, call *providers.Call) (*vault.Making, error) {
	u := vault.NewUser{Call: "args " + canonical(call.Arguments), Password: call.Password, Given: !call.Password.IsZero()}
	id, named, err := s.nameUser(call)
	if err != nil {
		return nil, err
	}
	u.Account = s.owner(r, id)
	if u.Named = named; named {
		u.Call = "id " + u.User
	}
	if call.Operation.HeldField(schema.HeldPassword) != nil && !u.Given {
		text, err := s.random(26)
		if err != nil {
			return nil, err
		}
		u.Password = secret.New(text)
	}
	m, err := v.Make(ctx, u, r.bank.policy())
	if err != nil {
		return nil, err
	}
	if f := idField(call); f != nil && !named {
		call.Arguments[f.Argument] = m.Account().User
	}
	call.Password = m.Password
	return m, nil
}

// nameUser returns the user's id, made by us and put into the call where the
// caller gives none; "" where the provider names the user.
func (s *Set) nameUser(call *providers.Call) (id string, named bool, err error) {
	f := idField(call)
	if f == nil {
		return "", false, nil
	}
	if id, named = call.Arguments[f.Argument].(string); named {
		return id, true, nil
	}
	if id, err = s.random(26); err == nil {
		call.Arguments[f.Argument] = id
	}
	return id, false, err
}

// idField is the argument that names the user; nil where the provider does.
func idField(call *providers.Call) *schema.Field {
	name := strings.TrimPrefix(call.Operation.Answer.User, "/")
	i := slices.IndexFunc(call.Operation.Fields, func(f schema.Field) bool { return f.Name == name && f.Type == "string" })
	if i < 0 {
		return nil
	}
	return &call.Operation.Fields[i]
}

// makeUser sends the request, and once more where nobody knows what became of
// it. Where the user may be there already, because an answer was lost, the
// provider's "exists already" is put to the test: whoever can log in with the
// password that we made is ours.
func (s *Set) makeUser(ctx context.Context, r *request, m *vault.Making, call providers.Call) (providers.Answer, error) {
	if m.Made {
		return asked(call), nil
	}
	ctx, cancel := context.WithTimeout(ctx, makingDeadline)
	defer cancel()
	send := func() (providers.Answer, error) {
		ctx, cancel := context.WithTimeout(ctx, upstreamDeadline)
		defer cancel()
		return r.bank.Client.User(ctx, call)
	}
	made, err := send()
	lost := m.Again
	if err != nil && unclear(err) && made.Password.IsZero() && m.Account().User != "" {
		lost = true
		if again, failed := send(); failed == nil || fault.From(failed).Code != fault.Unavailable {
			made, err = again, failed
		}
	}
	if lost && err != nil && fault.From(err).Code == fault.Conflict && s.logsIn(ctx, r, call, m.Account().User) {
		return asked(call), nil
	}
	return made, err
}

// unclear reports that nobody knows whether the request was carried out.
func unclear(err error) bool {
	var f *fault.Fault
	return !errors.As(err, &f) || f.Code == fault.Uncertain || f.Code == fault.Internal
}

// logsIn reports whether the user is there and has the password of the call.
func (s *Set) logsIn(ctx context.Context, r *request, call providers.Call, user string) bool {
	op, g, ok := r.bank.Client.Provider().Operation(schema.CreateAccessToken, schema.GrantPassword)
	if !ok || call.Password.IsZero() {
		return false
	}
	_, err := r.bank.Client.Token(ctx, providers.Call{Operation: op, Grant: g, Arguments: map[string]any{"username": user},
		Password: call.Password, ClientID: call.ClientID, ClientSecret: call.ClientSecret, CorrelationID: r.correlation})
	return err == nil
}

// asked is the answer to a call whose user is there, and whose own answer was
// lost: what was asked for.
func asked(call providers.Call) providers.Answer {
	return providers.Answer{Fields: maps.Clone(call.Arguments)}
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
	rec, _, err := v.Obtain(ctx, s.identity(r, first), r.bank.policy(), s.contained(r, mint))
	return rec.Token.Access, err
}

// userFailed abandons the password of a user that was surely not made. After
// an uncertain answer it stays, or gives way to the one that came with it: the
// user may be there, and have it.
func userFailed(ctx context.Context, m *vault.Making, made providers.Answer, err error) error {
	var failed error
	if unclear(err) {
		failed = m.Unknown(ctx, made.Password)
	} else {
		failed = m.Failed(ctx)
	}
	if failed != nil {
		return failed
	}
	return err
}

// answerUser stores what the answer brought, then shapes it.
func (s *Set) answerUser(ctx context.Context, r *request, v *vault.Vault, m *vault.Making, call providers.Call, made providers.Answer) (answer, error) {
	if f := idField(&call); f != nil && made.User == "" {
		made.User, _ = call.Arguments[f.Argument].(string)
	}
	out := userAnswer{userResult: userResult{Provider: r.bank.Client.Provider().Name, Environment: r.bank.Client.Environment()}, fields: map[string]any{}}
	if !made.Password.IsZero() {
		call.Password = made.Password // the provider has the last word
	}
	if err := m.Done(s.owner(r, made.User).User, call.Password); err != nil {
		return nil, err
	}
	out.PasswordStored = !call.Password.IsZero()
	if !made.Token.Access.IsZero() {
		p := r.bank.policy()
		p.Force = true
		rec, _, err := v.Obtain(ctx, vault.Identity{Principal: r.principal, Provider: out.Provider, Environment: out.Environment,
			Client: r.bank.Client.Fingerprint(), Grant: schema.GrantAuthorizationCode}, p,
			func(context.Context, vault.Record) (token.Token, error) { return made.Token, nil })
		if err != nil {
			return nil, err
		}
		out.TokenRef = rec.Ref
	}
	m.Heard()
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
