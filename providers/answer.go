package providers

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/token"
	"bankauth/schema"
)

// Answer is what a provider gave.
//
// It may hold something beside an error: a refresh token or a password that
// arrived in an answer of which the rest cannot be used. Neither can be got a
// second time, so whoever gets an error stores Token.Refresh and Password
// first, where they are set, and then looks at the error. Token.Access is set
// only when there is no error.
type Answer struct {
	Token token.Token // zero Access: the answer carried none

	User     string       // a created user's id
	Password secret.Value // a created user's password

	// Fields are the document's response properties that are no secrets, by
	// name: string, bool, int64 or float64, only where they have the
	// documented type. A string has at most 1024 printable characters. They
	// and Secrets are read only when the Call asks for Fields.
	Fields map[string]any
	// Secrets are the documented ones that are.
	Secrets map[string]secret.Value
}

// The longest texts that are taken from an answer, in bytes.
const (
	maxToken   = 8192
	maxText    = 1024
	maxScope   = 1024
	maxSubject = 128
	maxUser    = 128
)

// Token calls an operation that answers with a token.
//
// Its error is a *fault.Fault, and its Answer may then still hold a refresh
// token: see Answer. The faults are those of the table at judge.
func (c *Client) Token(ctx context.Context, call Call) (Answer, error) {
	return c.exchange(ctx, &call, c.readToken)
}

// User calls an operation that creates a user. What is said of Token's error
// holds here too; for the password.
func (c *Client) User(ctx context.Context, call Call) (Answer, error) {
	return c.exchange(ctx, &call, c.readUser)
}

// Revoke calls an operation that ends a token. It returns nil once the
// provider has said that it did; what the answer holds beside its status says
// nothing more (RFC 7009 §2.2). Its errors are those of Token.
func (c *Client) Revoke(ctx context.Context, call Call) error {
	m, err := c.compose(&call, false)
	if err != nil {
		return err
	}
	r, err := c.send(ctx, m)
	if err != nil {
		return c.unsent(err)
	}
	defer r.release()
	d := parse(r.body)
	if r.status < 200 || r.status > 299 || c.refused(d, true) {
		return c.judge(&call, &r, d)
	}
	return nil
}

type reader func(pl *plan, d document, asked time.Time) (Answer, bool)

func (c *Client) exchange(ctx context.Context, call *Call, read reader) (Answer, error) {
	m, err := c.compose(call, false)
	if err != nil {
		return Answer{}, err
	}
	asked := c.now()
	r, err := c.send(ctx, m)
	if err != nil {
		return Answer{}, c.unsent(err)
	}
	defer r.release()
	return c.answer(call, m.plan, &r, asked, read)
}

// answer reads a reply: the success that the document describes, or a fault.
func (c *Client) answer(call *Call, pl *plan, r *reply, asked time.Time, read reader) (Answer, error) {
	d := parse(r.body)
	if r.status < 200 || r.status > 299 {
		return Answer{}, c.judge(call, r, d)
	}
	a, usable := read(pl, d, asked)
	if a.Token.Subject == "" && isName(call.Subject, maxSubject) {
		a.Token.Subject = call.Subject
	}
	if c.refused(d, usable) {
		return salvage(a), c.judge(call, r, d)
	}
	if r.cut != nil || !d.whole || !usable {
		return salvage(a), c.unclear(r)
	}
	if call.Fields {
		a.Fields, a.Secrets = properties(pl, d)
	}
	if !c.withhold(call, &a) {
		return salvage(a), c.unclear(r)
	}
	return a, nil
}

// salvage keeps of an answer what must not be lost.
func salvage(a Answer) Answer {
	return Answer{Token: token.Token{Refresh: a.Token.Refresh}, Password: a.Password}
}

// readToken reads a token. It is usable when it has an access token and no
// place that was looked at is given twice.
func (c *Client) readToken(pl *plan, d document, asked time.Time) (Answer, bool) {
	var a Answer
	t := &a.Token
	refresh, doubt := d.find(pl.refresh)
	if s, ok := text(refresh); ok {
		t.Refresh = secret.New(s)
	}
	access, twice := d.find(pl.access)
	doubt = doubt || twice
	s, ok := text(access)
	if !ok || !visible(s) {
		return a, false
	}
	t.Access = secret.New(s)
	t.IssuedAt = asked
	if pl.op.Answer.Subject == "jwt" {
		t.Subject = subject(s)
	}
	kind, twice := d.find(pl.tokenType)
	doubt = doubt || twice
	t.Type = tokenType(kind)
	scope, twice := d.find(pl.scope)
	doubt = doubt || twice
	if s, ok := text(scope); ok && isScope(s) {
		t.Scope = s
	}
	life, twice := d.find(pl.lifetime)
	doubt = doubt || twice
	t.Expiry, t.ExpiresAt = expiry(pl.op.Answer.Lifetime, life, asked)
	return a, !doubt
}

// readUser reads a created user. Where the document names a place for the id,
// there is no user without one.
func (c *Client) readUser(pl *plan, d document, asked time.Time) (Answer, bool) {
	a, _ := c.readToken(pl, d, asked)
	password, doubt := d.find(pl.password)
	if s, ok := text(password); ok {
		a.Password = secret.New(s)
	}
	id, twice := d.find(pl.user)
	if s, ok := text(id); ok && isName(s, maxUser) {
		a.User = s
	}
	return a, !doubt && !twice && (pl.user == nil || a.User != "")
}

// properties reads the document's response properties. What carries a token
// or a password is a secret even if the document forgets to say so.
func properties(pl *plan, d document) (map[string]any, map[string]secret.Value) {
	fields, secrets := map[string]any(nil), map[string]secret.Value(nil)
	for i := range pl.op.Answer.Fields {
		f := &pl.op.Answer.Fields[i]
		value, ambiguous := d.find([]string{f.Name})
		if null(value) || ambiguous {
			continue
		}
		if f.Secret || f.Held != "" || pl.isSecret(f.Name) {
			if s, ok := text(value); ok {
				if secrets == nil {
					secrets = make(map[string]secret.Value, 2)
				}
				secrets[f.Name] = secret.New(s)
			}
			continue
		}
		if v, ok := property(f, value); ok {
			if fields == nil {
				fields = make(map[string]any, len(pl.op.Answer.Fields))
			}
			fields[f.Name] = v
		}
	}
	return fields, secrets
}

func (pl *plan) isSecret(name string) bool {
	for _, place := range [][]string{pl.access, pl.refresh, pl.password} {
		if len(place) > 0 && place[0] == name {
			return true
		}
	}
	return false
}

// property returns value as what the document says it is, or false.
func property(f *schema.Field, value []byte) (any, bool) {
	switch f.Type {
	case "string":
		s, ok := text(value)
		if !ok || len(s) > maxText || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return nil, false
		}
		return s, len(f.Enum) == 0 || slices.ContainsFunc(f.Enum, func(e string) bool { return strings.EqualFold(e, s) })
	case "boolean":
		return string(value) == "true", string(value) == "true" || string(value) == "false"
	case "integer":
		n, err := strconv.ParseInt(string(value), 10, 64)
		return n, err == nil
	case "number":
		var n float64
		return n, json.Unmarshal(value, &n) == nil
	}
	return nil, false
}

// unclear is the fault of an answer that says success but cannot be used.
func (c *Client) unclear(r *reply) *fault.Fault {
	f := fault.New(fault.Uncertain, c.provider.Title+" took the request, but its answer cannot be used",
		"call again; if it stays, check "+variable(c.provider, "BASE_URL")+" and "+variable(c.provider, "ENVIRONMENT"))
	f.Provider = c.provider.Name
	return f.Because(r.cut)
}
