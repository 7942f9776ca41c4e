// Package auth says who may call over HTTP, and what.
//
// A Gate stands before every route that needs a caller. It admits static
// bearer tokens (Clients) and JWTs of one issuer (Issuer), and tells an MCP
// client where to get a token (RFC 9728, RFC 6750).
package auth

import (
	"context"
	"slices"
)

// The scopes. Each lets its holder do one kind of thing with its own records.
const (
	TokensCreate  = "tokens:create"  // create_access_token; remove a token
	TokensRefresh = "tokens:refresh" // refresh_token
	UsersCreate   = "users:create"   // create_user
	TokensUse     = "tokens:use"     // look at tokens, and use one without seeing it
)

// Scopes returns all scopes.
func Scopes() []string { return []string{TokensCreate, TokensRefresh, UsersCreate, TokensUse} }

// Caller is who calls.
type Caller struct {
	// Principal owns what the caller stores. Equal principals are one caller.
	Principal string
	Scopes    []string
}

// Local returns the caller of a server on loopback that asks for no token: the
// principal of stdio and of the command line, with every scope.
func Local() Caller { return Caller{Principal: "local", Scopes: Scopes()} }

// May reports whether the caller has the scope.
func (c Caller) May(scope string) bool { return slices.Contains(c.Scopes, scope) }

type contextKey struct{}

// NewContext returns ctx with the caller in it.
func NewContext(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext returns the caller that the Gate put in; ok is false where none
// did, and then nobody may do anything.
func FromContext(ctx context.Context) (c Caller, ok bool) {
	c, ok = ctx.Value(contextKey{}).(Caller)
	return c, ok
}
