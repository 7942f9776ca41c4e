package providers

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"bankauth/internal/fault"
	"bankauth/schema"
)

// maxWait bounds what a provider may ask us to wait.
const maxWait = time.Hour

// judge makes the fault of an answer that is not a success.
//
//	429                          rate_limited, with Retry-After
//	503                          unavailable, with Retry-After
//	3xx                          unavailable: nothing is sent elsewhere
//	the first rule that fits     what it says; then RFC 6749 §5.2
//	401, 403                     credentials_rejected
//	408, 425                     uncertain
//	any other 4xx                unavailable: it was refused, nothing changed
//	any other 5xx, 2xx, 1xx      uncertain: it may have been processed
//
// A rule whose fault is final does not judge a 5xx unless it names the status:
// a server that is out of order cannot end a grant.
func (c *Client) judge(call *Call, r *reply, d document) *fault.Fault {
	f := c.byStatus(r.status)
	f.Provider = c.provider.Name
	code := c.code(d)
	for i := range c.provider.Errors.Rules {
		if rule := &c.provider.Errors.Rules[i]; rule.Code != "" && rule.Code == code {
			f.ProviderCode = rule.Code
			break
		}
	}
	if rule := c.rule(call, r.status, code); rule != nil {
		f.Code, f.Message, f.Hint = rule.Fault, rule.Say, rule.Hint
	}
	if f.Code.Retryable() {
		f.RetryAfter = retryAfter(r.header, c.now())
	}
	return f
}

func (c *Client) rule(call *Call, status int, code string) *schema.Rule {
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || status/100 == 3 {
		return nil
	}
	if r := fitting(c.provider.Errors.Rules, call, status, code); r != nil || code == "" {
		return r
	}
	return fitting(c.standard(), call, status, code)
}

// standard is what the codes of RFC 6749 §5.2 mean where no rule of the
// provider's says more.
func (c *Client) standard() []schema.Rule {
	return []schema.Rule{
		{Code: "invalid_client", Fault: fault.CredentialsRejected, Say: "the provider refused the client credentials", Hint: c.lookAtCredentials()},
		{Code: "unauthorized_client", Fault: fault.CredentialsRejected, Say: "the provider does not let this client use this grant", Hint: "use another grant_type, or have the provider allow it"},
		{Code: "invalid_grant", Tool: schema.RefreshToken, Fault: fault.Reauthorize, Say: "the refresh token is no longer valid", Hint: "call create_access_token again; the user has to consent anew"},
		{Code: "invalid_grant", Fault: fault.Reauthorize, Say: "the provider does not accept this grant: it is wrong, spent or expired", Hint: "get a new one, such as a new authorization code, and call again"},
		{Code: "invalid_scope", Fault: fault.InvalidArgument, Say: "the provider does not grant this scope", Hint: "leave scope out, or ask for one that the client has"},
		{Code: "invalid_request", Fault: fault.InvalidArgument, Say: "the provider found an argument missing or malformed", Hint: "check the arguments against resource bankauth://providers/{name}"},
		{Code: "unsupported_grant_type", Fault: fault.Unsupported, Say: "the provider does not offer this grant", Hint: "use another grant_type"},
	}
}

// fitting returns the first rule whose conditions all hold, or nil.
func fitting(rules []schema.Rule, call *Call, status int, code string) *schema.Rule {
	for i := range rules {
		r := &rules[i]
		switch {
		case r.Code != "" && r.Code != code,
			r.Status != 0 && r.Status != status,
			r.Tool != "" && r.Tool != call.Operation.Tool,
			r.Grant != "" && r.Grant != call.Grant.Name,
			status >= 500 && r.Status == 0 && !r.Fault.Retryable():
			continue
		}
		return r
	}
	return nil
}

// code returns the provider's own code, or "".
func (c *Client) code(d document) string {
	if !d.whole {
		return ""
	}
	for _, place := range c.codes {
		value, ambiguous := d.find(place)
		if s, ok := text(value); ok && !ambiguous && s != "" {
			return s
		}
	}
	return ""
}

// refused reports whether the body of a 2xx is an error after all: it has an
// error member that says something (RFC 6749 §5.2), or it is of no use and has
// a code that the rules know.
func (c *Client) refused(d document, usable bool) bool {
	if value, _ := d.find([]string{"error"}); !null(value) && string(value) != `""` && string(value) != "false" {
		return true
	}
	if usable {
		return false
	}
	code := c.code(d)
	for i := range c.provider.Errors.Rules {
		if r := &c.provider.Errors.Rules[i]; r.Code != "" && r.Code == code {
			return true
		}
	}
	return false
}

func (c *Client) byStatus(status int) *fault.Fault {
	p := c.provider
	settings := variable(p, "BASE_URL") + " and " + variable(p, "ENVIRONMENT")
	switch {
	case status == http.StatusTooManyRequests:
		return fault.New(fault.RateLimited, p.Title+" asks for patience: too many requests", "wait, then call again")
	case status == http.StatusServiceUnavailable:
		return fault.New(fault.Unavailable, p.Title+" is out of service for the moment", "wait, then call again")
	case status/100 == 3:
		return fault.New(fault.Unavailable, p.Title+" sends us to another address, where bankauth does not go",
			"check "+settings+"; the address must be the one that answers itself")
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.New(fault.CredentialsRejected, p.Title+" refused the credentials of the "+c.environment+" environment", c.lookAtCredentials())
	case status == http.StatusRequestTimeout || status == http.StatusTooEarly:
		return fault.New(fault.Uncertain, p.Title+" gave the request up before it was done", "call again")
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusUnsupportedMediaType:
		return fault.New(fault.Unavailable, "what answers at the address of "+p.Title+" does not know this operation", "check "+settings)
	case status/100 == 4:
		return fault.New(fault.Unavailable, p.Title+" refused the request (HTTP "+strconv.Itoa(status)+") for a reason that it does not document",
			"check the arguments, a code or a refresh token works only while it is valid; then "+settings)
	}
	if status/100 == 2 {
		return fault.New(fault.Uncertain, p.Title+" answered with an error that it does not document",
			"call again; it may or may not have been carried out")
	}
	return fault.New(fault.Uncertain, p.Title+" failed while it had the request (HTTP "+strconv.Itoa(status)+")",
		"call again; it may or may not have been carried out")
}

// lookAtCredentials is what there is to do where they are refused.
func (c *Client) lookAtCredentials() string {
	p := c.provider
	return "check " + variable(p, "CLIENT_ID") + words(p.Credentials.ClientID) + ", " + variable(p, "CLIENT_SECRET") +
		words(p.Credentials.ClientSecret) + " and that both belong to " + variable(p, "ENVIRONMENT") + help(p)
}

// unsent makes the fault of a request to which no answer came.
func (c *Client) unsent(err error) *fault.Fault {
	p := c.provider
	message, hint := p.Title+" could not be reached", "check the network and "+variable(p, "BASE_URL")+", then call again"
	code := fault.Unavailable
	var failed *sendError
	var secured *handshakeError
	var certificate *tls.CertificateVerificationError
	var name *net.DNSError
	switch {
	case errors.As(err, &failed) && failed.sent:
		code = fault.Uncertain
		message, hint = "the request was sent to "+p.Title+", but no answer came",
			"call again; it may or may not have been carried out"
	case errors.As(err, &certificate):
		message, hint = "the certificate of "+p.Title+" is not one to trust",
			"check "+variable(p, "BASE_URL")+", the clock of this machine, and whether something between here and there opens TLS"
	case errors.As(err, &secured):
		message = "no secure connection to " + p.Title + " came about"
	case errors.As(err, &name):
		message = "the host name of " + p.Title + " could not be resolved"
	case errors.Is(err, errNotLoopback):
		message, hint = "an http address is for this machine only", "set "+variable(p, "BASE_URL")+" to an https address"
	}
	f := fault.New(code, message, hint).Because(err)
	f.Provider = p.Name
	return f
}

// retryAfter reads RFC 9110 §10.2.3: seconds or a date. 0: not said, or not
// to be understood.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" || len(v) > 64 {
		return 0
	}
	if strings.Trim(v, "0123456789") == "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return maxWait
		}
		return min(time.Duration(min(n, 3600))*time.Second, maxWait)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxWait)
}
