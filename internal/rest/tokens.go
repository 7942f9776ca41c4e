package rest

import (
	"net/http"
	"strconv"

	"bankauth/internal/auth"
)

// How many tokens a page has.
const (
	defaultLimit = 100
	mostLimit    = 1000
)

// tokens is GET /v1/tokens.
func (a *api) tokens(w http.ResponseWriter, r *http.Request) {
	if !only(w, r, http.MethodGet) || !a.gate.Require(w, r, auth.TokensUse) {
		return
	}
	limit, query := defaultLimit, r.URL.Query()
	if query.Has("limit") {
		n, err := strconv.Atoi(query.Get("limit"))
		if err != nil || n < 1 || n > mostLimit {
			refuse(w, http.StatusBadRequest, "limit does not fit", "give a number from 1 to "+strconv.Itoa(mostLimit))
			return
		}
		limit = n
	}
	caller, _ := auth.FromContext(r.Context())
	of(a.tools.Tokens(r.Context(), caller.Principal, query.Get("after"), limit), http.StatusBadRequest).write(w)
}

// token is GET and DELETE /v1/tokens/{ref}.
func (a *api) token(w http.ResponseWriter, r *http.Request) {
	if !only(w, r, http.MethodGet, http.MethodDelete) {
		return
	}
	scope := auth.TokensUse
	if r.Method == http.MethodDelete {
		scope = auth.TokensCreate
	}
	if !a.gate.Require(w, r, scope) {
		return
	}
	caller, _ := auth.FromContext(r.Context())
	do := a.tools.Token
	if r.Method == http.MethodDelete {
		do = a.tools.Forget
	}
	of(do(r.Context(), caller.Principal, r.PathValue("ref")), http.StatusNotFound).write(w)
}
