package egress

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"bankauth/internal/fault"
)

// problem is an answer of our own (RFC 9457), with the members of a tool's
// error. A provider's own errors pass as they are.
type problem struct {
	Title     string     `json:"title"`
	Status    int        `json:"status"`
	Detail    string     `json:"detail"`
	Code      fault.Code `json:"code"`
	Hint      string     `json:"hint"`
	Provider  string     `json:"provider,omitempty"`
	Retryable bool       `json:"retryable"`
}

// ErrorHeader tells an answer of our own from the provider's; it holds the code.
const ErrorHeader = "Bankauth-Error"

func answerFault(w http.ResponseWriter, f *fault.Fault, status int) int {
	// The faults' fields are texts, numbers and truths; nothing can fail.
	b, _ := json.Marshal(problem{Title: http.StatusText(status), Status: status, Detail: f.Message, Code: f.Code, Hint: f.Hint,
		Provider: f.Provider, Retryable: f.Retryable()})
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set(ErrorHeader, string(f.Code))
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((f.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(status)
	_, _ = w.Write(b) // whoever has gone reads no answer
	return status
}

// statusOf is the status of a fault that came up on the way.
func statusOf(code fault.Code) int {
	switch code {
	case fault.InvalidArgument:
		return http.StatusBadRequest
	case fault.Unsupported:
		return http.StatusForbidden
	case fault.Reauthorize, fault.ConsentRequired:
		return http.StatusUnauthorized
	case fault.Conflict:
		return http.StatusConflict
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.CredentialsRejected, fault.Unavailable:
		return http.StatusBadGateway
	case fault.Uncertain:
		return http.StatusGatewayTimeout
	case fault.NotConfigured, fault.VaultUnavailable, fault.Busy:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
