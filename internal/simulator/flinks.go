package simulator

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// flinks speaks as Flinks' Open Banking API does.
type flinks struct {
	*Bank
	is     Flinks
	signer *signer
}

func newFlinks(b *Bank, o Options) (*flinks, error) {
	is := o.Switches.Flinks
	b.made("dc-" + b.random.hex(13))
	b.ledger = newLedger(o.Now, policy{Rotation: is.Rotation, refreshIdle: is.Idle, refreshing: "add",
		supersede: is.Login == "supersede", reuseCode: is.CodeReuse, codeLife: is.CodeLifetime, capacity: o.Switches.MaxTokens})
	signer, err := newSigner(is.Algorithm, b.random)
	return &flinks{Bank: b, is: is, signer: signer}, err
}

func (f *flinks) routes() map[string]func(*request) answer {
	return map[string]func(*request) answer{
		"GET /api/v1/authorize": f.authorizePage,
		"POST /api/v1/token":    f.token,
		"POST /api/v1/revoke":   f.revoke,
		"DELETE /api/v1/revoke": f.revoke,
		"GET /api/v1/accounts":  f.accounts,
	}
}

func (f *flinks) token(q *request) answer {
	params, err := q.parsed(mediaJSON)
	switch {
	case errors.Is(err, errMedia):
		return f.refuse("invalid_request", "The content type must be application/json")
	case err != nil || q.URL.RawQuery != "":
		return f.refuse("invalid_request", "The request cannot be read")
	case params["grant_type"] == "":
		return f.refuse("invalid_request", "The grant_type is missing")
	case !f.authentic(q, params, f.is.ClientAuth):
		return f.refuse("invalid_client", "The client is unknown or its secret is wrong")
	}
	switch params["grant_type"] {
	case "client_credentials":
		return f.clientToken(params)
	case "authorization_code":
		return f.codeToken(params)
	case "refresh_token":
		return f.refresh(params)
	}
	return f.refuse("unsupported_grant_type", "The grant_type is not supported")
}

func (f *flinks) clientToken(params map[string]string) answer {
	scope := params["scope"]
	if !wellFormed(scope) || f.is.Scopes == "known" && scope != "" && scope != "client:admin" {
		return f.refuse("invalid_scope", "The scope is not allowed")
	}
	subject := ""
	if f.is.ClientSubject {
		subject = f.client.ID
	}
	return f.issue(f.ledger.client(f.fresh(subject), scope, false), false)
}

func (f *flinks) codeToken(params map[string]string) answer {
	if params["code"] == "" || params["redirect_uri"] == "" {
		return f.refuse("invalid_request", "The code or the redirect_uri is missing")
	}
	p, ok := f.ledger.redeem(params["code"], f.fresh, func(c *code) bool { return c.redirectURI == params["redirect_uri"] })
	if !ok {
		return f.refuse("invalid_grant", "The code is invalid, expired or used, or the redirect_uri is another one")
	}
	return f.issue(p, true)
}

func (f *flinks) refresh(params map[string]string) answer {
	if params["refresh_token"] == "" {
		return f.refuse("invalid_request", "The refresh_token is missing")
	}
	subject := f.ledger.holder(params["refresh_token"])
	p, ok := f.ledger.renew(params["refresh_token"], f.fresh(subject))
	if !ok {
		return f.refuse("invalid_grant", "The refresh_token is invalid or expired")
	}
	return f.issue(p, p.rotated)
}

// fresh makes tokens for a user; "" makes a client's own.
func (f *flinks) fresh(subject string) fresh {
	end := f.ledger.now().Add(f.is.AccessLifetime)
	return fresh{life: f.is.AccessLifetime, refresh: f.random.hex(22),
		access: f.signer.sign(claims{ClientID: f.client.ID, Subject: subject, Expires: end.Unix(), ID: f.random.hex(8)})}
}

func (f *flinks) issue(p pair, refreshable bool) answer {
	told := issued{AccessToken: p.access, TokenType: "Bearer"}
	if refreshable {
		told.RefreshToken = p.refresh
	}
	left := int64(f.is.AccessLifetime / time.Second)
	switch f.is.ExpiresIn {
	case "seconds":
		told.ExpiresIn = &left
	case "zero":
		told.ExpiresIn = new(int64)
	}
	return inJSON(http.StatusOK, told)
}

// refuse answers an OAuth error; nearly all of them are 400 there.
func (f *flinks) refuse(code, description string) answer {
	status := http.StatusBadRequest
	switch code {
	case "server_error":
		status = http.StatusInternalServerError
	case "temporarily_unavailable":
		status = http.StatusServiceUnavailable
	case "invalid_client":
		status = f.is.InvalidClient
	}
	return inJSON(status, refused{Error: code, Description: description})
}

func (f *flinks) failure(q *request, status int, code string) answer {
	if q.URL.Path == "/api/v1/token" || q.URL.Path == "/api/v1/revoke" || q.URL.Path == "/api/v1/authorize" {
		return inJSON(status, refused{Error: code, Description: title(code)})
	}
	number := map[int]int{401: 602, 404: 601, 405: 501, 429: 1207}[status]
	if number == 0 {
		number = status
	}
	return f.data(status, number, title(code))
}

// data answers an error of the FDX endpoints, whose codes are numbers.
func (f *flinks) data(status, code int, message string) answer {
	return inJSON(status, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Debug   string `json:"debugMessage"`
	}{code, message, ""})
}

func (f *flinks) finish(q *request, a *answer) {
	if q.URL.Path == "/api/v1/accounts" || f.is.Correlation {
		a.set("ob-correlation-id", f.random.uuid())
		a.set("ob-trace-id", f.random.hex(16))
	}
}

func (f *flinks) scopeKnown(scope string) bool {
	if !wellFormed(scope) {
		return false
	}
	if f.is.Scopes == "any" {
		return true
	}
	asked := strings.Fields(scope)
	for _, s := range asked {
		if !slices.Contains([]string{"ACCOUNT_BASIC", "ACCOUNT_DETAILED", "ACCOUNT_PAYMENTS", "INVESTMENTS", "TRANSACTIONS",
			"STATEMENTS", "CUSTOMER_CONTACT", "CUSTOMER_PERSONAL"}, s) {
			return false
		}
	}
	return slices.Contains(asked, "ACCOUNT_BASIC")
}
