package rest

import (
	"context"
	"net/http"
	"strconv"

	"bankauth/internal/auth"
	"bankauth/internal/problem"
	"bankauth/tools"
)

// How many tokens a page has.
const (
	defaultLimit = 100
	mostLimit    = 1000
)

// tokens is GET /v1/tokens.
func (a *api) tokens(w http.ResponseWriter, r *http.Request) {
	if !problem.Takes(w, r, http.MethodGet) || !a.gate.Require(w, r, auth.TokensUse) {
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
	if !problem.Takes(w, r, http.MethodGet, http.MethodDelete) {
		return
	}
	if r.Method == http.MethodDelete {
		a.revoke(w, r)
		return
	}
	if !a.gate.Require(w, r, auth.TokensUse) {
		return
	}
	caller, _ := auth.FromContext(r.Context())
	of(a.tools.Token(r.Context(), caller.Principal, r.PathValue("ref")), http.StatusNotFound).write(w)
}

func (a *api) revoke(w http.ResponseWriter, r *http.Request) {
	if !a.gate.Require(w, r, auth.TokensCreate) {
		return
	}
	force, query := false, r.URL.Query()
	if query.Has("force") {
		var err error
		if force, err = strconv.ParseBool(query.Get("force")); err != nil {
			refuse(w, http.StatusBadRequest, "force does not fit", "give true or false, or leave it out")
			return
		}
	}
	caller, _ := auth.FromContext(r.Context())
	of(a.placed(r.Context(), caller.Principal, "", func(ctx context.Context) tools.Result {
		return a.tools.RevokeToken(ctx, caller.Principal, r.PathValue("ref"), force)
	}), http.StatusNotFound).write(w)
}
