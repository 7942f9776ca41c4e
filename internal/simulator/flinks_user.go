package simulator

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

func (f *flinks) authorizePage(q *request) answer {
	query := q.URL.Query()
	to, state := query.Get("redirect_uri"), query.Get("state")
	if query.Get("client_id") != f.client.ID || !f.redirectable(to) {
		// Nobody is sent to an address that is not the client's.
		return f.refuse("invalid_request", "The client_id or the redirect_uri is wrong")
	}
	switch {
	case query.Get("response_type") != "code":
		return redirect(to, state, mishap("unsupported_response_type", "The response_type must be code"))
	case !f.scopeKnown(query.Get("scope")):
		return redirect(to, state, mishap("invalid_scope", "The scope is not allowed"))
	}
	c := &consent{session: f.random.hex(16), redirectURI: to, state: state, scope: query.Get("scope"),
		user: "user-" + f.random.hex(4), denied: mishap("access_denied", "The user denied the access")}
	c.granted = func(user string) url.Values {
		id := subject(NameFlinks, user)
		written := &code{text: f.random.hex(16), redirectURI: to, scope: c.scope,
			subject: fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])}
		f.ledger.write(written)
		return url.Values{"code": {written.text}}
	}
	f.consents.ask(c)
	return f.ask(c)
}

func mishap(code, description string) url.Values {
	return url.Values{"error": {code}, "error_description": {description}}
}

// revoke ends the grant of the bearer token. Its answer has no body.
func (f *flinks) revoke(q *request) answer {
	subject, _, ok := f.ledger.look(q.bearer())
	if !ok || subject == "" {
		return f.refuse("invalid_request", "The access token is invalid or expired")
	}
	f.ledger.end(q.bearer(), false)
	return answer{status: http.StatusOK}
}

func (f *flinks) accounts(q *request) answer {
	subject, _, ok := f.ledger.look(q.bearer())
	switch {
	case !ok:
		return f.data(http.StatusUnauthorized, 602, "Customer not authorized")
	case subject == "":
		return f.data(http.StatusForbidden, 403, "Forbidden")
	}
	return inJSON(http.StatusOK, map[string]any{"accounts": []any{map[string]any{"depositAccount": map[string]any{
		"accountId": subject, "nickname": "Chequing", "currency": map[string]any{"currencyCode": "CAD"}, "currentBalance": 1250.42,
	}}}})
}

func (f *flinks) authorize(_ context.Context, v visit) (string, error) {
	query := url.Values{"client_id": {f.client.ID}, "redirect_uri": {v.redirectURI}, "response_type": {"code"},
		"state": {v.state}, "provider_id": {"1000"}}
	query.Set("scope", v.scope)
	if v.scope == "" {
		query.Set("scope", "ACCOUNT_BASIC")
	}
	return f.URL() + "/api/v1/authorize?" + query.Encode(), nil
}
