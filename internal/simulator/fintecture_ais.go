package simulator

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
)

// authorizePage is the older way to a code, straight in the browser.
func (f *fintecture) authorizePage(q *request) answer {
	query := q.URL.Query()
	c, bad := f.question(q, query.Get("app_id"), query)
	if bad != nil {
		return *bad
	}
	if query.Get("response_type") != "code" {
		return f.failure(q, http.StatusBadRequest, "invalid_field")
	}
	return f.ask(c)
}

// connect answers with the address of the hosted page.
func (f *fintecture) connect(q *request) answer {
	query := q.URL.Query()
	if f.is.Connect == "signed" && !f.signedBy(q) {
		return f.failure(q, http.StatusUnauthorized, "invalid_signature")
	}
	if query.Get("state") == "" {
		return f.failure(q, http.StatusBadRequest, "mandatory_field_missing")
	}
	c, bad := f.question(q, q.Header.Get("app_id"), query)
	if bad != nil {
		return *bad
	}
	return inJSON(http.StatusOK, map[string]any{"meta": map[string]any{
		"session_id": c.session,
		"url":        f.URL() + "/_simulator/consent?session=" + c.session,
	}})
}

// question opens a consent for the given application.
func (f *fintecture) question(q *request, application string, query url.Values) (*consent, *answer) {
	var a answer
	switch {
	case application != f.client.ID:
		a = f.failure(q, http.StatusUnauthorized, "invalid_app_id")
	case query.Get("redirect_uri") == "":
		a = f.failure(q, http.StatusBadRequest, "mandatory_field_missing")
	case !f.redirectable(query.Get("redirect_uri")):
		a = f.failure(q, http.StatusUnauthorized, "invalid_app_url")
	case len(query.Get("state")) > 512 || !wellFormed(query.Get("scope")):
		a = f.failure(q, http.StatusBadRequest, "invalid_field")
	default:
		c := &consent{session: f.random.hex(16), redirectURI: query.Get("redirect_uri"), state: query.Get("state"),
			scope: cmp.Or(query.Get("scope"), "accounts,balances,transactions"), user: "user-" + f.random.hex(4),
			denied: url.Values{"error": {"access_denied"}}}
		c.granted = func(user string) url.Values {
			written := &code{text: f.random.hex(16), redirectURI: c.redirectURI, scope: "AIS", subject: customer(user)}
			f.ledger.write(written)
			return url.Values{"code": {written.text}, "customer_id": {written.subject}}
		}
		f.consents.ask(c)
		return c, nil
	}
	return nil, &a
}

// holder checks the bearer token against the customer in the path.
func (f *fintecture) holder(q *request) (string, *answer) {
	id := q.PathValue("customer_id")
	subject, _, ok := f.ledger.look(q.bearer())
	var a answer
	switch {
	case !ok:
		a = f.failure(q, http.StatusUnauthorized, "invalid_token")
	case subject == "":
		a = f.failure(q, http.StatusUnauthorized, "invalid_scopes")
	case subject != id:
		a = f.failure(q, http.StatusBadRequest, "customer_unknown")
	default:
		return id, nil
	}
	return "", &a
}

func (f *fintecture) accounts(q *request) answer {
	id, bad := f.holder(q)
	if bad != nil {
		return *bad
	}
	return inJSON(http.StatusOK, map[string]any{"meta": map[string]any{"customer_id": id}, "data": []any{map[string]any{
		"type": "accounts", "id": id[:16],
		"attributes": map[string]any{"account_name": "Current account", "currency": "EUR", "balance": 1250.42},
	}}})
}

// forgetCustomer deletes the bank connection, and its tokens with it.
func (f *fintecture) forgetCustomer(q *request) answer {
	id, bad := f.holder(q)
	if bad != nil {
		return *bad
	}
	f.ledger.endUser(id)
	return answer{status: http.StatusNoContent}
}

// authorize leads the browser to the older page: connect wants a signature.
func (f *fintecture) authorize(_ context.Context, v visit) (string, error) {
	query := url.Values{"response_type": {"code"}, "app_id": {f.client.ID}, "redirect_uri": {v.redirectURI}, "state": {v.state}}
	if v.scope != "" {
		query.Set("scope", v.scope)
	}
	return f.URL() + "/oauth/token/authorize?" + query.Encode(), nil
}
