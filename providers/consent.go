package providers

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/schema"
)

// Consent is a consent that is to be opened. The Call's Grant has one.
type Consent struct {
	Call        *Call
	RedirectURI string
	State       secret.Value
	Challenge   string // of PKCE; "" without
	Scope       string // "": the overlay's
	Institution string // "": the overlay's
}

// maxAddress is the longest address that a browser is sent to, in bytes.
const maxAddress = 8 << 10

// Open returns the address at which a person consents. Where the overlay says
// so, it is asked for with a call of its own, which may be signed. The address
// holds the state, so it is for the person's browser alone.
func (c *Client) Open(ctx context.Context, q Consent) (secret.Value, error) {
	if id, key := c.credentials(q.Call); id.IsZero() || key.IsZero() {
		return secret.Value{}, notConfigured(c.provider)
	}
	m, err := c.composeConsent(&q, false)
	if err != nil {
		return secret.Value{}, err
	}
	if !q.Call.Grant.Consent.Call {
		return secret.New(m.plan.request.URL.String()), nil
	}
	r, err := c.send(ctx, m)
	if err != nil {
		return secret.Value{}, c.unsent(err)
	}
	defer r.release()
	d := parse(r.body)
	if r.status/100 != 2 || r.cut != nil {
		return secret.Value{}, c.judge(q.Call, &r, d)
	}
	place, _ := parsePointer(q.Call.Grant.Consent.URL) // the overlay's check has read it
	value, ambiguous := d.find(place)
	address, ok := text(value)
	if !ok || ambiguous || !c.mayOpen(address, q.Call.Grant.Consent.Hosts) {
		return secret.Value{}, &fault.Fault{Code: fault.Unavailable, Provider: c.provider.Name, Final: true,
			Message: c.provider.Title + " gave no address that a browser may be sent to",
			Hint:    "check " + variable(c.provider, "BASE_URL") + " and " + variable(c.provider, "ENVIRONMENT") + ", then call again"}
	}
	return secret.New(address), nil
}

// MayConsent returns nil where everything is set that opening a consent of g
// needs beside the client's id and secret, or the fault that Open would answer.
func (c *Client) MayConsent(g *schema.Grant) error {
	if g.Consent == nil || g.Consent.Sign == "" {
		return nil
	}
	_, err := c.signingKey()
	return err
}

// mayOpen reports whether a browser may be sent to an address that the
// provider gave: to its own host, or over https to one that the overlay lists.
func (c *Client) mayOpen(address string, hosts []string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Opaque != "" || len(address) > maxAddress || !plain(address) {
		return false
	}
	if u.Scheme == c.base.url.Scheme && strings.EqualFold(u.Host, c.base.url.Host) {
		return true
	}
	return u.Scheme == "https" && u.Port() == "" && slices.Contains(hosts, strings.ToLower(u.Hostname()))
}

// ExplainConsent returns what opens a consent, for a person to read: the call
// as a curl line, or the address that a browser opens. Nothing is sent.
func (c *Client) ExplainConsent(q Consent) (string, error) {
	m, err := c.composeConsent(&q, true)
	if err != nil {
		return "", err
	}
	if q.Call.Grant.Consent.Call {
		return m.explain(), nil
	}
	return "a browser opens " + quote(m.plan.request.URL.String()), nil
}

// composeConsent makes the request that opens a consent.
func (c *Client) composeConsent(q *Consent, masked bool) (message, error) {
	how := q.Call.Grant.Consent
	if how == nil {
		return message{}, broken(c.provider, "a grant without a consent was to be opened")
	}
	id, _ := c.credentials(q.Call)
	institution := q.Institution
	if institution == "" {
		institution = how.Institution[c.documented()]
	}
	if institution == "" && how.Institution != nil {
		return message{}, &fault.Fault{Code: fault.InvalidArgument, Provider: c.provider.Name, Message: "the argument institution is missing",
			Hint: "give the number under which " + c.provider.Title + " lists the user's bank", Required: []string{"institution"}}
	}
	scope := q.Scope
	if scope == "" {
		scope = how.Scope
	}
	client, state := secret.Mask, secret.Mask
	if !masked {
		client, state = reveal(id), reveal(q.State)
	}
	fill := map[string]string{schema.FillClientID: client, schema.FillRedirectURI: q.RedirectURI, schema.FillState: state, schema.FillScope: scope,
		schema.FillInstitution: institution, schema.FillCorrelation: c.requestID(""), schema.FillChallenge: q.Challenge}
	target := *c.base.url
	target.Path += how.Path
	query := url.Values{}
	for name, text := range how.Query {
		if v, ok := filled(text, fill); ok {
			query.Set(name, v)
		}
	}
	target.RawQuery = query.Encode()
	m := message{masked: masked, header: http.Header{"Accept": {"application/json"}, "User-Agent": {c.agent}}}
	m.plan = &plan{request: &http.Request{Method: http.MethodGet, URL: &target, Host: target.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}}
	for name, text := range how.Headers {
		if v, ok := filled(text, fill); ok && plainHeader(v) {
			m.header.Set(name, v)
		}
	}
	if how.Sign == schema.SignHTTP {
		return m, c.signHTTP(&m, client, q.Call.CorrelationID)
	}
	return m, nil
}

// filled puts the values into a text; false where one of them is missing.
func filled(text string, values map[string]string) (string, bool) {
	complete := true
	out := schema.Placeholder().ReplaceAllStringFunc(text, func(p string) string {
		v := values[p[1:len(p)-1]]
		complete = complete && v != ""
		return v
	})
	return out, complete
}

// documented is the environment as the overlay knows it: what is simulated is
// its first one.
func (c *Client) documented() string {
	if _, ok := c.provider.Environment(c.environment); ok {
		return c.environment
	}
	return c.provider.Environments[0].Name
}

// Answered judges what a browser brought back from a consent. iss is the
// parameter of RFC 9207, "" where there was none; code is the error, "" where
// the person consented.
func (c *Client) Answered(call *Call, iss, code string) error {
	want, declared := call.Grant.Consent.Issuer[c.environment]
	if !declared && iss != "" && iss != c.base.url.Scheme+"://"+c.base.url.Host && strings.TrimRight(iss, "/") != c.base.text {
		declared = true // whoever answered says that it is another
	}
	if declared && iss != want {
		f := fault.New(fault.Reauthorize, "the answer to the consent is not from "+c.provider.Title, "call create_access_token again, and let the user consent anew")
		f.Provider = c.provider.Name
		return f
	}
	if code == "" {
		return nil
	}
	f := fault.New(fault.Reauthorize, c.provider.Title+" did not give its consent", "ask the user whether to try again; then call create_access_token again")
	if code == "access_denied" {
		f.Message = "the user refused, or the bank did"
	}
	f.Provider = c.provider.Name
	for i := range c.provider.Errors.Rules {
		if c.provider.Errors.Rules[i].Code == code {
			f.ProviderCode = code
			break
		}
	}
	if rule := c.rule(call, http.StatusBadRequest, code); rule != nil {
		f.Code, f.Message, f.Hint = rule.Fault, rule.Say, rule.Hint
	}
	return f
}
