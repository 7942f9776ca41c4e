// Package problem writes a fault as problem details (RFC 9457), the one shape
// of every error over HTTP outside MCP.
package problem

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"bankauth/internal/fault"
)

// ContentType is the media type of a Problem.
const ContentType = "application/problem+json"

// HeaderCorrelation names an answer in the log too.
const HeaderCorrelation = "X-Correlation-Id"

// TypePath is where the types are explained: a Problem's type is this path
// with its code after it.
const TypePath = "/docs/problems/"

// Problem is the body of an error: the members of RFC 9457, and those that a
// tool's error has.
type Problem struct {
	Type              string         `json:"type"`
	Title             string         `json:"title"`
	Status            int            `json:"status"`
	Detail            string         `json:"detail"`
	Code              fault.Code     `json:"code"`
	Hint              string         `json:"hint"`
	Provider          string         `json:"provider,omitempty"`
	ProviderCode      string         `json:"provider_code,omitempty"`
	Retryable         bool           `json:"retryable"`
	RetryAfterSeconds int64          `json:"retry_after_seconds,omitempty"`
	CorrelationID     string         `json:"correlation_id"`
	ConsentURL        string         `json:"consent_url,omitempty"`
	ConsentRef        string         `json:"consent_ref,omitempty"`
	Required          []string       `json:"required,omitempty"`
	NotAllowed        []string       `json:"not_allowed,omitempty"`
	Example           map[string]any `json:"example,omitempty"`
}

// Of returns f as a Problem whose status is its code's. correlation is the id
// that the log has too; "" draws a new one.
func Of(f *fault.Fault, correlation string) Problem {
	if correlation == "" {
		correlation = newCorrelation()
	}
	k := kinds[f.Code]
	return Problem{
		Type: TypePath + string(f.Code), Title: k.title, Status: k.status, Detail: f.Message, Code: f.Code, Hint: f.Hint,
		Provider: f.Provider, ProviderCode: f.ProviderCode, Retryable: f.Retryable(),
		RetryAfterSeconds: Seconds(f.RetryAfter), CorrelationID: correlation,
		ConsentURL: f.ConsentURL, ConsentRef: f.ConsentRef, Required: f.Required, NotAllowed: f.NotAllowed, Example: f.Example,
	}
}

// Seconds rounds up, so that nobody comes too early.
func Seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// With returns p with another status, where the way of the request says more
// than the code.
func (p Problem) With(status int) Problem {
	p.Status = status
	return p
}

// Body returns p as JSON.
func (p Problem) Body() []byte {
	b, err := json.Marshal(p)
	if err != nil { // only an Example could bring this about
		p.Example = nil
		b, _ = json.Marshal(p)
	}
	return b
}

// Write answers with p, which no cache may keep.
func (p Problem) Write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(HeaderCorrelation, p.CorrelationID)
	if p.RetryAfterSeconds > 0 {
		h.Set("Retry-After", strconv.FormatInt(p.RetryAfterSeconds, 10))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.Body()) // it fails only where nobody reads any more
}

// Refuse answers with a fault of the way a request was made.
func Refuse(w http.ResponseWriter, status int, message, hint string) {
	Of(fault.New(fault.InvalidArgument, message, hint), "").With(status).Write(w)
}

// Takes reports whether a path that takes the methods takes the request, and
// answers with 405 where not. GET stands for HEAD too.
func Takes(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	var allowed []string
	for _, m := range methods {
		if allowed = append(allowed, m); m == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	if slices.Contains(allowed, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	Refuse(w, http.StatusMethodNotAllowed, "the path does not take this method", "it takes "+strings.Join(allowed, ", "))
	return false
}

// kind is what a code means over HTTP.
type kind struct {
	status int
	title  string
	about  string
}

var kinds = map[fault.Code]kind{
	fault.InvalidArgument:     {http.StatusBadRequest, "The request does not fit", "Change the request as detail and hint say; the same one fails again."},
	fault.Unsupported:         {http.StatusUnprocessableEntity, "The provider does not offer this", "Choose another provider or another grant."},
	fault.NotConfigured:       {http.StatusNotImplemented, "The server lacks a setting", "The operator must set what detail names."},
	fault.CredentialsRejected: {http.StatusBadGateway, "Credentials were refused", "As 502: the provider refused the server's client id or secret. As 401 and 403: this server refused the caller's bearer token, or it lacks a scope."},
	fault.Reauthorize:         {http.StatusConflict, "The grant has ended", "A person must consent again at the bank."},
	fault.ConsentRequired:     {http.StatusConflict, "A person must consent first", "Have the person open the URL, then call again."},
	fault.Conflict:            {http.StatusConflict, "It exists already", "Use what exists, or another id."},
	fault.RateLimited:         {http.StatusTooManyRequests, "The provider asks for patience", "Call again after Retry-After."},
	fault.Unavailable:         {http.StatusServiceUnavailable, "The provider did not serve", "Nothing has changed there; call again later."},
	fault.Uncertain:           {http.StatusGatewayTimeout, "The outcome is not known", "The request was sent and no answer came; the hint says how to find out."},
	fault.VaultUnavailable:    {http.StatusServiceUnavailable, "The vault cannot be used", "Call again later, or have the operator run bankauth doctor."},
	fault.Busy:                {http.StatusServiceUnavailable, "Too many calls are at work", "Call again in a moment."},
	fault.Internal:            {http.StatusInternalServerError, "Something went wrong inside bankauth", "Report it with the correlation id if it stays."},
}

// About explains a code in one paragraph; ok is false for what is no code.
func About(code fault.Code) (text string, ok bool) {
	k, ok := kinds[code]
	if !ok {
		return "", false
	}
	return k.title + ". " + k.about, true
}

// Statuses returns the statuses that the codes have of their own, each once.
func Statuses() []int {
	var all []int
	seen := map[int]bool{}
	for _, code := range fault.Codes() {
		if s := kinds[code].status; !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	return all
}

func newCorrelation() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
