package simulator

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"
)

// finAPI speaks as finAPI Access does.
type finAPI struct {
	*Bank
	is     FinAPI
	people people
	now    func() time.Time
}

func newFinAPI(b *Bank, o Options) *finAPI {
	is := o.Switches.FinAPI
	b.made(b.random.uuid())
	b.ledger = newLedger(o.Now, policy{Rotation: is.Rotation, refreshLife: is.RefreshLifetime,
		refreshing: is.RefreshAccess, capacity: o.Switches.MaxTokens})
	return &finAPI{Bank: b, is: is, now: o.Now, people: people{byID: map[string]*person{}}}
}

func (f *finAPI) routes() map[string]func(*request) answer {
	routes := map[string]func(*request) answer{"POST /oauth/token": f.token, "POST /oauth/revoke": f.revoke,
		"POST /api/v2/oauth/token": f.token, "POST /api/v2/oauth/revoke": f.revoke}
	for _, version := range []string{"/api/v1", "/api/v2"} {
		routes["POST "+version+"/users"] = f.postUser
		routes["GET "+version+"/users"] = f.getUser
		routes["DELETE "+version+"/users"] = f.deleteUser
		routes["POST "+version+"/users/verify/{userId}"] = f.verifyUser
		routes["GET "+version+"/accounts"] = f.accounts
	}
	for pattern, h := range routes {
		routes[pattern] = f.bound(h)
	}
	return routes
}

// bound refuses what every path refuses: another API version, and a request
// id that is too long.
func (f *finAPI) bound(h func(*request) answer) func(*request) answer {
	return func(q *request) answer {
		path := q.URL.Path
		v2 := strings.HasPrefix(path, "/api/v2/")
		plain := path == "/oauth/token" && f.is.PlainToken == "serve"
		switch {
		case v2 != (f.is.Version == "v2") && !plain:
			return f.error(q, http.StatusForbidden, "FORBIDDEN", "API version mismatch: the client is limited to scope /api/"+f.is.Version)
		case len(q.Header.Get("X-Request-Id")) > 255:
			return f.error(q, http.StatusBadRequest, "BAD_REQUEST", "X-Request-Id is longer than 255 characters")
		}
		return h(q)
	}
}

func (f *finAPI) token(q *request) answer {
	params, err := f.params(q)
	switch {
	case err != nil:
		return f.poor(q, "invalid_request", "The request cannot be read: "+err.Error())
	case params["grant_type"] == "":
		return f.poor(q, "invalid_request", "Missing grant type")
	case !f.authentic(q, params, f.is.ClientAuth):
		return inJSON(http.StatusUnauthorized, refused{Error: "invalid_client", Description: "Bad client credentials"})
	}
	switch params["grant_type"] {
	case "client_credentials":
		return f.issue(f.ledger.client(f.fresh(f.is.ClientLifetime), "all", true))
	case "password":
		return f.login(q, params)
	case "refresh_token":
		return f.refresh(q, params)
	}
	return f.poor(q, "unsupported_grant_type", "Unsupported grant type")
}

// params reads a form. V1 takes the query too, which it discourages.
func (f *finAPI) params(q *request) (map[string]string, error) {
	if q.URL.RawQuery == "" {
		return q.parsed(mediaForm)
	}
	if f.is.Version != "v1" {
		return nil, errors.New("parameters belong in the body")
	}
	params, err := form(q.URL.RawQuery)
	if err != nil || len(q.body) == 0 {
		return params, err
	}
	more, err := q.parsed(mediaForm)
	for name, value := range more {
		params[name] = value
	}
	return params, err
}

func (f *finAPI) login(q *request, params map[string]string) answer {
	if f.is.Role == "admin" {
		return f.denied(q)
	}
	if params["username"] == "" || params["password"] == "" {
		return f.missing(q, "username and password are required")
	}
	u, verdict := f.people.admit(params["username"], params["password"], f.is.MaxLogins)
	switch verdict {
	case locked:
		f.ledger.endUser(u)
		return f.error(q, http.StatusLocked, "LOCKED", "The user is locked")
	case unverified:
		return f.error(q, http.StatusForbidden, "USER_NOT_VERIFIED", "The user is not verified")
	case wrong:
		return f.poor(q, "invalid_grant", "Bad user credentials")
	}
	return f.issue(f.ledger.again("password", u, "all", f.fresh(f.is.UserLifetime)))
}

func (f *finAPI) refresh(q *request, params map[string]string) answer {
	if params["refresh_token"] == "" {
		return f.missing(q, "refresh_token is required")
	}
	p, ok := f.ledger.renew(params["refresh_token"], f.fresh(f.is.UserLifetime))
	if !ok {
		return f.poor(q, "invalid_grant", "Invalid refresh token")
	}
	if !p.rotated && !f.is.RefreshEcho {
		p.refresh = ""
	}
	return f.issue(p)
}

func (f *finAPI) revoke(q *request) answer {
	if bad := f.asClient(q); bad != nil {
		return *bad
	}
	params, err := f.params(q)
	hint := params["token_type_hint"]
	switch {
	case err != nil:
		return f.poor(q, "invalid_request", "The request cannot be read: "+err.Error())
	case params["token"] == "":
		return f.missing(q, "token is required")
	case hint != "" && hint != "access_token" && hint != "refresh_token":
		return f.poor(q, "unsupported_token_type", "Unknown token_type_hint")
	}
	f.ledger.end(params["token"], hint == "access_token")
	return answer{status: http.StatusOK} // for an unknown token as well
}

// asClient refuses whoever does not come with a client's own token.
func (f *finAPI) asClient(q *request) *answer {
	subject, _, ok := f.ledger.look(q.bearer())
	var a answer
	switch {
	case !ok:
		a = f.unknownToken(q)
	case subject != "":
		a = f.denied(q)
	default:
		return nil
	}
	return &a
}

// asUser returns the user whose token it is.
func (f *finAPI) asUser(q *request) (string, *answer) {
	subject, _, ok := f.ledger.look(q.bearer())
	var a answer
	switch {
	case !ok:
		a = f.unknownToken(q)
	case subject == "":
		a = f.denied(q)
	default:
		return subject, nil
	}
	return "", &a
}

func (f *finAPI) accounts(q *request) answer {
	u, bad := f.asUser(q)
	if bad != nil {
		return *bad
	}
	return inJSON(http.StatusOK, map[string]any{"accounts": []any{map[string]any{
		"id": 1, "accountName": "Girokonto", "accountHolderName": u, "accountCurrency": "EUR", "balance": 1250.42}}})
}

func (f *finAPI) fresh(life time.Duration) fresh {
	if f.is.NeverExpires {
		life = 0
	}
	n := f.is.TokenLength
	text := base64.RawURLEncoding.EncodeToString(f.random.bytes(n*3/4 + 3))
	return fresh{access: text[:n], refresh: f.random.hex(32), life: life}
}

func (f *finAPI) issue(p pair) answer {
	left := int64(0)
	if !p.expires.IsZero() {
		left = int64(p.expires.Sub(f.now()) / time.Second)
	}
	return inJSON(http.StatusOK, issued{AccessToken: p.access, TokenType: "bearer", ExpiresIn: &left,
		RefreshToken: p.refresh, Scope: "all"})
}

func (f *finAPI) authorize(context.Context, visit) (string, error) {
	return "", errors.New(`opening a consent page of "finapi": it has no authorization codes; log in with the password grant`)
}
