package simulator

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fintecture speaks as Fintecture does.
type fintecture struct {
	*Bank
	is Fintecture
}

func newFintecture(b *Bank, o Options) *fintecture {
	is := o.Switches.Fintecture
	b.made(b.random.uuid())
	b.ledger = newLedger(o.Now, policy{Rotation: is.Rotation, refreshLife: is.RefreshLifetime, refreshing: "replace",
		reuseCode: is.CodeReuse, codeLife: is.CodeLifetime, capacity: o.Switches.MaxTokens})
	return &fintecture{Bank: b, is: is}
}

func (f *fintecture) routes() map[string]func(*request) answer {
	routes := map[string]func(*request) answer{
		"POST /oauth/accesstoken":                     f.token,
		"POST /oauth/secure/accesstoken":              f.signedToken,
		"POST /oauth/refreshtoken":                    f.refresh,
		"GET /oauth/token/authorize":                  f.authorizePage,
		"GET /ais/v2/connect":                         f.connect,
		"GET /ais/v1/customer/{customer_id}/accounts": f.accounts,
		"DELETE /ais/v1/customer/{customer_id}":       f.forgetCustomer,
	}
	if f.is.RefreshAlias {
		routes["POST /oauth/refresh_token"] = f.refresh
	}
	return routes
}

// signedToken is the undocumented path on which one SDK checks its key.
func (f *fintecture) signedToken(q *request) answer {
	if !signed(q) {
		return f.refuse(q, http.StatusUnauthorized, "invalid_signature")
	}
	return f.token(q)
}

func (f *fintecture) token(q *request) answer {
	params, bad := f.opened(q)
	if bad != nil {
		return *bad
	}
	if !wellFormed(params["scope"]) || !f.scopeKnown(params["scope"]) {
		return f.refuse(q, http.StatusUnauthorized, "invalid_scopes")
	}
	switch params["grant_type"] {
	case "client_credentials":
		return f.clientToken(q, params)
	case "authorization_code":
		return f.codeToken(q, params)
	case "":
		return f.refuse(q, http.StatusBadRequest, "mandatory_field_missing")
	case "refresh_token":
		return f.refuse(q, http.StatusNotFound, "not_found") // it has a path of its own
	}
	return f.refuse(q, http.StatusBadRequest, "invalid_field")
}

func (f *fintecture) clientToken(q *request, params map[string]string) answer {
	scope := params["scope"]
	organisation := strings.Contains(scope, ":")
	switch {
	case scope == "" && f.is.Scope == "required":
		return f.refuse(q, http.StatusBadRequest, "mandatory_field_missing")
	case params["app_id"] == "" && f.is.AppID == "required" && !organisation:
		return f.refuse(q, http.StatusBadRequest, "mandatory_field_missing")
	case params["app_id"] != "" && params["app_id"] != f.client.ID:
		return f.refuse(q, http.StatusUnauthorized, "invalid_app_id")
	}
	scope = cmp.Or(scope, "PIS")
	if !organisation {
		return f.issue(f.ledger.client(f.fresh(), scope, false), "")
	}
	// An organisation's token can be refreshed, unlike other clients' own.
	p := f.ledger.begin("client_credentials", "", scope, f.fresh())
	return f.issue(p, "oac_token")
}

func (f *fintecture) codeToken(q *request, params map[string]string) answer {
	if params["code"] == "" {
		return f.refuse(q, http.StatusBadRequest, "mandatory_field_missing")
	}
	p, ok := f.ledger.redeem(params["code"], func(string) fresh { return f.fresh() }, func(*code) bool { return true })
	if !ok {
		return f.refuse(q, http.StatusUnauthorized, "invalid_code")
	}
	p.scope = cmp.Or(params["scope"], "AIS")
	return f.issue(p, "")
}

func (f *fintecture) refresh(q *request) answer {
	params, bad := f.opened(q)
	if bad != nil {
		return *bad
	}
	switch params["grant_type"] {
	case "refresh_token":
	case "":
		return f.refuse(q, http.StatusBadRequest, "mandatory_field_missing")
	default:
		return f.refuse(q, http.StatusNotFound, "not_found")
	}
	if params["refresh_token"] == "" {
		return f.refuse(q, http.StatusBadRequest, "mandatory_field_missing")
	}
	p, ok := f.ledger.renew(params["refresh_token"], f.fresh())
	if !ok {
		return f.refuse(q, http.StatusUnauthorized, "invalid_token")
	}
	if !p.rotated && !f.is.RefreshEcho {
		p.refresh = ""
	}
	return f.issue(p, "")
}

// opened returns the parameters of a token request whose client is proven.
func (f *fintecture) opened(q *request) (map[string]string, *answer) {
	params, err := q.parsed(mediaForm)
	var a answer
	switch {
	case err != nil || q.URL.RawQuery != "":
		a = f.refuse(q, http.StatusBadRequest, "bad_request")
	case f.is.SignedTokens && !signed(q):
		a = f.refuse(q, http.StatusUnauthorized, "invalid_signature")
	case !f.authentic(q, params, f.is.ClientAuth):
		a = f.refuse(q, http.StatusUnauthorized, "invalid_app_id")
	default:
		return params, nil
	}
	return nil, &a
}

func (f *fintecture) scopeKnown(scope string) bool {
	if f.is.Scopes == "any" {
		return true
	}
	for _, s := range strings.Fields(scope) {
		if f.is.ScopeCase == "insensitive" {
			s = strings.ToUpper(s)
		}
		if !slices.Contains([]string{"PIS", "AIS", "CUSTOMERS", "E-MANDATES"}, s) && !organisationScope(s) {
			return false
		}
	}
	return true
}

func organisationScope(s string) bool {
	resource, action, _ := strings.Cut(strings.ToLower(s), ":")
	return slices.Contains([]string{"organisations", "companies", "users", "applications"}, resource) &&
		(action == "read" || action == "write")
}

// signed reports whether the signature headers are there; they are not verified.
func signed(q *request) bool {
	h := q.Header
	return h.Get("Signature") != "" && h.Get("Digest") != "" && h.Get("Date") != "" && h.Get("X-Request-Id") != ""
}

func (f *fintecture) fresh() fresh {
	return fresh{access: base64.RawURLEncoding.EncodeToString(f.random.bytes(48)), refresh: f.random.hex(32), life: f.is.AccessLifetime}
}

func (f *fintecture) issue(p pair, kind string) answer {
	left := int64(f.is.AccessLifetime / time.Second)
	return inJSON(http.StatusOK, issued{AccessToken: p.access, TokenType: "Bearer", ExpiresIn: &left,
		RefreshToken: p.refresh, Scope: p.scope, Type: kind})
}

func (f *fintecture) finish(q *request, a *answer) {
	a.set("X-Request-Id", cmp.Or(printable(q.Header.Get("X-Request-Id")), f.random.uuid()))
}

// trouble is one error of Fintecture's envelope.
type trouble struct {
	Code    string `json:"code"`
	Title   string `json:"title"`
	Message string `json:"message,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// refuse answers an OAuth path's error.
func (f *fintecture) refuse(q *request, status int, code string) answer {
	if f.is.Errors == "oauth" {
		return f.oauth(status, code)
	}
	return f.failure(q, status, code)
}

func (f *fintecture) oauth(status int, code string) answer {
	name := map[string]string{"invalid_app_id": "invalid_client", "invalid_code": "invalid_grant", "invalid_token": "invalid_grant",
		"invalid_scopes": "invalid_scope", "not_found": "unsupported_grant_type", "invalid_field": "unsupported_grant_type"}[code]
	if status == http.StatusUnauthorized && name != "invalid_client" || status == http.StatusNotFound {
		status = http.StatusBadRequest
	}
	return inJSON(status, refused{Error: cmp.Or(name, "invalid_request"), Description: saying[code]})
}

func (f *fintecture) failure(_ *request, status int, code string) answer {
	group := map[int]string{400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 429: "too_many_requests",
		500: "internal_server_error", 503: "service_unavailable"}[status]
	t := trouble{Code: code, Title: title(code), Message: cmp.Or(saying[code], "The request was not served.")}
	if f.is.ErrorText == "detail" {
		t.Message, t.Detail = "", t.Message
	}
	return inJSON(status, struct {
		Status string    `json:"status"`
		Code   string    `json:"code"`
		LogID  string    `json:"log_id"`
		Errors []trouble `json:"errors"`
	}{strconv.Itoa(status), cmp.Or(group, code), f.random.uuid(), []trouble{t}})
}

var saying = map[string]string{
	"invalid_token":           "The token is either invalid or expired.",
	"invalid_code":            "The code is either wrong or expired.",
	"invalid_app_id":          "The application is unknown or its secret is wrong.",
	"invalid_scopes":          "The scope is not allowed.",
	"mandatory_field_missing": "A mandatory field is missing.",
	"invalid_field":           "A field is invalid.",
	"invalid_signature":       "The signature is missing or wrong.",
	"customer_unknown":        "The customer is unknown.",
	"bad_request":             "The request cannot be read.",
	"not_found":               "There is nothing here.",
}

// title returns a code in words: "Invalid Token".
func title(code string) string {
	words := strings.Split(code, "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

// printable returns s where it may be sent back in a header, else "".
func printable(s string) string {
	for _, c := range []byte(s) {
		if c < 0x20 || c > 0x7e {
			return ""
		}
	}
	return s
}

func customer(user string) string { return hex.EncodeToString(subject(NameFintecture, user)) }
