package auth

import (
	"context"
	"crypto/sha256"
	"strings"

	"bankauth/internal/secret"
)

// static reports whether a token looks like one that Clients made.
func static(token secret.Value) bool { return strings.HasPrefix(token.Reveal(), TokenPrefix) }

// digest is what is kept of a static token.
func digest(token secret.Value) [sha256.Size]byte { return sha256.Sum256([]byte(token.Reveal())) }

// judge has the issuer's keys say whose token it is.
func (i *Issuer) judge(ctx context.Context, token secret.Value) (Caller, error) {
	return i.caller(ctx, token.Reveal())
}
