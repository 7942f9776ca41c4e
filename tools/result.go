package tools

import (
	"context"
	"encoding/json"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
)

// Result is what a call answers: one JSON object.
type Result struct {
	JSON    json.RawMessage
	IsError bool
	Code    fault.Code // "" unless IsError

	Fault         *fault.Fault // nil unless IsError: what JSON says of it
	CorrelationID string       // ties the answer to the log

	consent *pending // a consent that waits for a person; nil otherwise
}

// Consent returns the address at which a person is to consent, and the
// consent_ref with which the call is then made again; "" where nobody is asked.
func (r Result) Consent() (url, ref string) {
	if r.consent == nil {
		return "", ""
	}
	return r.consent.url, r.consent.ref
}

// pending is a consent that a person is to be asked for.
type pending struct {
	ref, url, provider string
	again              bool // it was opened by an earlier call
}

// tokenResult is what create_access_token and refresh_token answer.
type tokenResult struct {
	TokenRef    string `json:"token_ref" jsonschema_description:"The token's handle, no secret."`
	Provider    string `json:"provider"`
	Environment string `json:"environment" jsonschema_description:"sandbox, production or simulated."`
	GrantType   string `json:"grant_type"`
	TokenType   string `json:"token_type"`
	Scope       string `json:"scope,omitempty" jsonschema_description:"As granted, if told."`
	ExpiresIn   *int64 `json:"expires_in,omitempty" jsonschema_description:"Seconds left, if known."`
	ExpiresAt   string `json:"expires_at,omitempty" jsonschema_description:"RFC 3339."`
	Refreshable bool   `json:"refreshable" jsonschema_description:"A refresh token is held."`
	Reused      bool   `json:"reused" jsonschema_description:"A stored token, still fresh."`
	Subject     string `json:"subject,omitempty" jsonschema_description:"The user, if told."`
}

// added are the fields that exposures beyond Handle add, and a proxy.
type added struct {
	EgressURL    string `json:"egress_url,omitempty"`
	AccessToken  string `json:"access_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

// tokenAnswer is a tokenResult with what the exposure lets through and, in
// full exposure, the document's further response fields.
type tokenAnswer struct {
	tokenResult
	added
	further map[string]any
}

// encode writes one flat object.
func (a tokenAnswer) encode() ([]byte, error) {
	type flat struct {
		tokenResult
		added
	}
	return mergeJSON(flat{a.tokenResult, a.added}, a.further)
}

// egressURL is where principal calls the provider's API with a token_ref; ""
// where there is no proxy for them.
func (s *Set) egressURL(ctx context.Context, principal, provider string) string {
	if s.o.Egress == nil {
		return ""
	}
	base := s.o.Egress(ctx, principal)
	if base == "" {
		return ""
	}
	return base + "/" + provider
}

// answerToken shapes a record of r's principal. It is the only place where an access token may
// leave, and only beyond Handle exposure.
func (s *Set) answerToken(ctx context.Context, r *request, b *Bank, rec vault.Record, reused bool, more *providers.Answer) tokenAnswer {
	now := s.o.Now()
	t := rec.Token
	a := tokenAnswer{tokenResult: tokenResult{
		TokenRef: rec.Ref, Provider: rec.Identity.Provider, Environment: rec.Identity.Environment, GrantType: rec.Identity.Grant,
		TokenType: t.Type, Scope: t.Scope, Refreshable: refreshable(b, rec), Reused: reused, Subject: t.Subject,
	}}
	a.EgressURL = s.egressURL(ctx, r.principal, rec.Identity.Provider)
	if left, known := t.ExpiresIn(now); known {
		a.ExpiresIn = &left
		a.ExpiresAt = t.ExpiresAt.UTC().Format(time.RFC3339)
	}
	if s.o.Exposure == Token || s.o.Exposure == Full {
		a.AccessToken = t.Access.Reveal()
	}
	if s.o.Exposure == Full {
		a.RefreshToken = t.Refresh.Reveal()
		if more != nil {
			a.further = map[string]any{}
			for name, v := range more.Fields {
				a.further[name] = v
			}
		}
	}
	return a
}

// expose adds the documented secret fields of an answer, in full exposure
// alone.
func (s *Set) expose(fields map[string]any, secrets map[string]secret.Value) {
	if !s.full() {
		return
	}
	for name, v := range secrets {
		fields[name] = v.Reveal()
	}
}

// refreshable reports whether a refresh token is held and the provider takes
// it. refresh_token renews a client_credentials token too, by asking again.
func refreshable(b *Bank, rec vault.Record) bool {
	_, _, ok := b.Client.Provider().Operation(schema.RefreshToken, schema.GrantRefreshToken)
	return ok && rec.State != vault.Reauthorize && !rec.Token.Refresh.IsZero()
}

// mergeJSON writes v, an object, with further fields that v does not have.
func mergeJSON(v any, further map[string]any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil || len(further) == 0 {
		return b, err
	}
	var have map[string]json.RawMessage
	if err := json.Unmarshal(b, &have); err != nil {
		return nil, err
	}
	rest := map[string]any{}
	for name, value := range further {
		if _, taken := have[name]; !taken {
			rest[name] = value
		}
	}
	if len(rest) == 0 {
		return b, nil
	}
	more, err := json.Marshal(rest)
	if err != nil {
		return nil, err
	}
	return append(append(b[:len(b)-1], ','), more[1:]...), nil
}

// userResult is the part of create_user's answer that is ours; the rest is
// the document's response.
type userResult struct {
	Provider       string `json:"provider"`
	Environment    string `json:"environment"`
	PasswordStored bool   `json:"password_stored"`
	TokenRef       string `json:"token_ref,omitempty"` // the user's token, where one came along
}

type userAnswer struct {
	userResult
	fields map[string]any
}

// encode writes one flat object.
func (a userAnswer) encode() ([]byte, error) { return mergeJSON(a.userResult, a.fields) }

// errorResult is the one shape of every error.
type errorResult struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Code              fault.Code     `json:"code"`
	Message           string         `json:"message"`
	Hint              string         `json:"hint"`
	Provider          string         `json:"provider,omitempty"`
	ProviderCode      string         `json:"provider_code,omitempty"`
	Retryable         bool           `json:"retryable"`
	RetryAfterSeconds int64          `json:"retry_after_seconds,omitempty"`
	ConsentURL        string         `json:"consent_url,omitempty"`
	ConsentRef        string         `json:"consent_ref,omitempty"`
	CorrelationID     string         `json:"correlation_id"`
	Required          []string       `json:"required,omitempty"`
	NotAllowed        []string       `json:"not_allowed,omitempty"`
	Example           map[string]any `json:"example,omitempty"`
}

// answer is what a tool returns. It is no json.Marshaler: encoding/json would
// read through the bytes of one a second time.
type answer interface{ encode() ([]byte, error) }

func (s *Set) succeed(r *request, a answer) Result {
	b, err := a.encode()
	if err != nil {
		return s.fail(r, fault.From(err))
	}
	return Result{JSON: b, CorrelationID: r.correlation}
}

func (s *Set) fail(r *request, f *fault.Fault) Result {
	if f.Provider == "" && r.bank != nil {
		of := *f // it may be shared with other calls
		of.Provider, f = r.bank.Client.Provider().Name, &of
	}
	body := errorBody{
		Code: f.Code, Message: f.Message, Hint: f.Hint, Provider: f.Provider, ProviderCode: f.ProviderCode,
		Retryable: f.Retryable(), RetryAfterSeconds: int64((f.RetryAfter + time.Second - 1) / time.Second),
		CorrelationID: r.correlation, ConsentURL: f.ConsentURL, ConsentRef: f.ConsentRef, Required: f.Required, NotAllowed: f.NotAllowed, Example: f.Example,
	}
	b, err := json.Marshal(errorResult{body})
	if err != nil { // only an Example could bring this about
		body.Example = nil
		b, _ = json.Marshal(errorResult{body})
	}
	result := Result{JSON: b, IsError: true, Code: f.Code, Fault: f, CorrelationID: r.correlation}
	if f.ConsentURL != "" && r.bank != nil {
		result.consent = &pending{f.ConsentRef, f.ConsentURL, r.bank.Client.Provider().Title, f.Again}
	}
	return result
}

// margin is how long a stored token must still live to be handed out again.
const margin = 120 * time.Second
