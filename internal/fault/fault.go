// Package fault names every way a call can fail.
//
// A Fault has a code for machines, words for people and a cause for us. The
// words are our own: no text of a provider, no value of an argument and no
// secret is ever put in one, so a Fault may be shown to a model as it is.
package fault

import (
	"context"
	"errors"
	"time"
)

// Code is one of the closed list below. It is part of the users' contract.
type Code string

// The closed list of codes.
const (
	InvalidArgument     Code = "invalid_argument"     // the caller's arguments do not fit
	Unsupported         Code = "unsupported"          // the provider does not offer this
	NotConfigured       Code = "not_configured"       // the operator must set something
	CredentialsRejected Code = "credentials_rejected" // the provider refused the client id or secret
	Reauthorize         Code = "reauthorize"          // the grant is dead; a person must consent again
	ConsentRequired     Code = "consent_required"     // a person must open a URL first
	Conflict            Code = "conflict"             // it exists already
	RateLimited         Code = "rate_limited"         // the provider asks for patience
	Unavailable         Code = "unavailable"          // the provider did not serve; nothing changed there
	Uncertain           Code = "uncertain"            // the request was sent and no answer came
	VaultUnavailable    Code = "vault_unavailable"    // our own store cannot be used
	Busy                Code = "busy"                 // too many calls in flight here
	Internal            Code = "internal"             // a defect of ours
)

// Codes returns the closed list, in the order above.
func Codes() []Code {
	return []Code{InvalidArgument, Unsupported, NotConfigured, CredentialsRejected, Reauthorize, ConsentRequired,
		Conflict, RateLimited, Unavailable, Uncertain, VaultUnavailable, Busy, Internal}
}

// Retryable reports whether a call that failed with the code may succeed later
// without anybody changing anything, unless its Fault says otherwise.
func (c Code) Retryable() bool {
	switch c {
	case RateLimited, Unavailable, Uncertain, VaultUnavailable, Busy:
		return true
	}
	return false
}

// Fault is a failed call. Message says what happened, Hint the next step; both
// are ours and may be shown to anyone. Cause is for errors.Is only and is never
// printed.
type Fault struct {
	Code         Code
	Message      string
	Hint         string
	Provider     string        // "" when no provider is concerned
	ProviderCode string        // only a code that the provider documents
	RetryAfter   time.Duration // 0: the provider did not say
	Final        bool          // the same call fails until somebody changes something, whatever its code

	Again bool // the same call may succeed later, whatever its code

	// ConsentRequired: where a person consents, and the argument with which the
	// call is made again; "" where there is nothing to open.
	ConsentURL, ConsentRef string

	// For a program that wants to correct its call and try again.
	Required   []string       // arguments that are missing
	NotAllowed []string       // arguments that do not belong to this call
	Example    map[string]any // arguments of a call that works

	Cause error
}

// New returns a Fault with the given code, message and hint.
func New(code Code, message, hint string) *Fault {
	return &Fault{Code: code, Message: message, Hint: hint}
}

// Error returns the code and the message; never the cause.
func (f *Fault) Error() string { return string(f.Code) + ": " + f.Message }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Cause }

// Retryable reports whether the same call may succeed later without anybody
// changing anything.
func (f *Fault) Retryable() bool { return f.Again || f.Code.Retryable() && !f.Final }

// Because sets the cause and returns f.
func (f *Fault) Because(err error) *Fault {
	f.Cause = err
	return f
}

// From returns the Fault in err's chain; a cancelled or expired context is
// Unavailable, and whatever else is Internal. From(nil) is nil.
func From(err error) *Fault {
	if err == nil {
		return nil
	}
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return New(Unavailable, "the call was ended before an answer came", "call again").Because(err)
	}
	return New(Internal, "something went wrong inside bankauth", "call again; if it stays, report it with the correlation id").Because(err)
}
