package vault

import (
	"context"
	"encoding/base32"
	"fmt"
	"io"
	"strings"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/token"
)

// The grants whose records the vault treats in a way of their own; every
// other grant is kept like an authorization code's.
const (
	grantClient   = "client_credentials"
	grantPassword = "password"
	// grantRefresh is that of a refresh token which the caller brought along.
	grantRefresh = "refresh_token"
)

// Identity says whose token a record holds. Two calls with an equal Identity
// mean the same token, except with authorization_code, where every call is a
// consent of its own.
type Identity struct {
	Principal   string // who asked; only the same principal reaches the record
	Provider    string
	Environment string
	Client      string // fingerprint of client id and base URL, made by the caller
	Grant       string // grant_type
	// Account is the requested scope (client_credentials), the lower-cased
	// username (password), or "" (authorization_code, refresh_token).
	Account string
}

// State says what the vault believes of a record's grant.
type State string

// The states of a record.
const (
	Live        State = "live"        // as far as we know it works
	Uncertain   State = "uncertain"   // a refresh was sent and no answer came
	Suspect     State = "suspect"     // restored from a backup; not refreshed without a word from the operator
	Reauthorize State = "reauthorize" // the provider ended it; kept, never sent again
)

// Record is a token and what is known of it.
type Record struct {
	Ref        string // token_ref; never changes
	Identity   Identity
	Token      token.Token
	State      State
	Reason     string // why State is not Live, in our own words; else ""
	Generation int    // counts the mints, from 1
	Created    time.Time
	Updated    time.Time // of the last mint or change of state
}

// Policy says how a token is to be got.
type Policy struct {
	// Force asks the provider even where the stored token is fresh.
	Force bool
	// Margin is what a token must have to live to be handed out again;
	// 0 means DefaultMargin.
	Margin time.Duration
	// Deadline bounds the mint, not the wait for it; 0 means DefaultDeadline.
	Deadline time.Duration
	// Rotation is what the provider does with a spent refresh token: none,
	// grace, strict or unknown. It decides how often a request of which nobody
	// knows what became is sent again.
	Rotation string
	// Grace is how long a spent refresh token works with Rotation grace; 0: not known.
	Grace time.Duration
	// Once is what the mint spends and nobody can spend again, such as an
	// authorization code, or the refresh token that a caller brought along; zero
	// where there is no such thing.
	Once secret.Value
}

// What a zero Policy means.
const (
	DefaultMargin   = 120 * time.Second
	DefaultDeadline = 20 * time.Second
)

func (p Policy) filled() Policy {
	if p.Margin == 0 {
		p.Margin = DefaultMargin
	}
	if p.Deadline == 0 {
		p.Deadline = DefaultDeadline
	}
	return p
}

// Mint asks the provider for a token. old is the record that will hold it,
// zero where there is none yet. ctx is not the caller's: it outlives a caller
// who hangs up, and ends at the policy's deadline. An error that is not a
// *fault.Fault is taken as an exchange whose outcome nobody knows.
type Mint func(ctx context.Context, old Record) (token.Token, error)

const refPrefix = "tok_"

// base32 of RFC 4648 in lower case: safe in a URL, a file name and a shell.
var refEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newRef returns a token_ref of 160 random bits.
func newRef(r io.Reader) (string, error) {
	var b [20]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", fmt.Errorf("drawing a token_ref: %w", err)
	}
	return refPrefix + refEncoding.EncodeToString(b[:]), nil
}

// validRef reports whether ref could be one of ours; only such a text reaches
// a query or a file name.
func validRef(ref string) bool {
	if len(ref) != len(refPrefix)+32 || !strings.HasPrefix(ref, refPrefix) {
		return false
	}
	for _, c := range []byte(ref[len(refPrefix):]) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// unknownRef is the answer for a ref that never was and for another
// principal's alike, so that nobody learns which refs exist.
func unknownRef() *fault.Fault {
	return fault.New(fault.InvalidArgument, "no token has this token_ref",
		"call create_access_token and use the token_ref that it returns")
}

func setAside() *fault.Fault {
	return fault.New(fault.Reauthorize, "the vault's record of this token is damaged and has been set aside",
		"call create_access_token for a new one; `bankauth doctor` counts the damaged records")
}
