package egress

import (
	"net/http"

	"bankauth/internal/fault"
	"bankauth/internal/problem"
)

// ErrorHeader tells an answer of our own from the provider's; it holds the code.
const ErrorHeader = "Bankauth-Error"

// answerFault answers for us. A provider's own errors pass as they are.
func answerFault(w http.ResponseWriter, f *fault.Fault, status int) int {
	p := problem.Of(f, "").With(status)
	p.Type, p.Title = "about:blank", http.StatusText(status) // what the codes mean is explained elsewhere
	w.Header().Set(ErrorHeader, string(f.Code))
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	p.Write(w)
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
	case fault.CredentialsRejected, fault.Unavailable, fault.Uncertain:
		return http.StatusBadGateway
	case fault.NotConfigured, fault.VaultUnavailable, fault.Busy:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
