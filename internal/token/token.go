// Package token says what a provider issues.
package token

import (
	"time"

	"bankauth/internal/secret"
)

// Expiry says how far ExpiresAt can be relied on.
type Expiry string

// What is known of a token's end.
const (
	ExpiresAt Expiry = "at"      // the provider named a time
	Never     Expiry = "never"   // the provider said that it does not expire
	Unknown   Expiry = "unknown" // the provider did not say
)

// Token is one answer of a token endpoint, in the words of RFC 6749 §5.1.
type Token struct {
	Access  secret.Value
	Refresh secret.Value // zero: the answer carried none
	Type    string       // "Bearer", whatever the provider's case; another type as it came
	Scope   string       // "" when the answer carried none
	Subject string       // the JWT's sub, where the overlay says that the token is one

	Expiry    Expiry
	ExpiresAt time.Time // zero unless Expiry is ExpiresAt
	IssuedAt  time.Time
}

// Fresh reports whether the access token has at least margin to live at now.
// A token whose end is unknown is never fresh; one that never ends always is.
func (t Token) Fresh(now time.Time, margin time.Duration) bool {
	if t.Access.IsZero() {
		return false
	}
	switch t.Expiry {
	case Never:
		return true
	case ExpiresAt:
		return !t.ExpiresAt.Before(now.Add(margin))
	}
	return false
}

// ExpiresIn returns the seconds left at now, never negative, and whether the
// end is known.
func (t Token) ExpiresIn(now time.Time) (int64, bool) {
	if t.Expiry != ExpiresAt {
		return 0, false
	}
	return max(0, int64(t.ExpiresAt.Sub(now)/time.Second)), true
}
