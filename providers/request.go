package providers

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/schema"
)

// Call is one call of an operation.
type Call struct {
	Operation *schema.Operation
	Grant     *schema.Grant

	// Arguments by argument name, already checked against the operation:
	// string, bool, float64 or json.Number.
	Arguments map[string]any

	// What is set here is sent where the operation has a field for it: set
	// only what the grant needs.
	Password     secret.Value // for the field that holds a user's password
	RefreshToken secret.Value // for the field that holds a refresh token
	Code         secret.Value // for the argument code, of a consent that we opened
	CodeVerifier secret.Value // for the field that holds PKCE's verifier
	Subject      string       // whose data the token opens, as a consent's answer said; it is not sent
	Bearer       secret.Value // for an operation that is called with a token
	Token        secret.Value // the one that is to be revoked

	// ClientID and ClientSecret stand in for the configured ones; the zero
	// Value leaves them as they are.
	ClientID     secret.Value
	ClientSecret secret.Value

	// Fields asks for the Answer's Fields and Secrets.
	Fields bool

	// CorrelationID is sent as the request id where the provider has a header
	// for it. One that is empty, longer than 255 characters or not plain
	// ASCII is replaced by a random one.
	CorrelationID string
}

// message is a request before it is sent, or shown.
type message struct {
	plan   *plan
	header http.Header
	body   []byte
	masked bool // secrets stand as secret.Mask: the message is for a person
}

// compose makes the message of a call. With masked it is the same message
// with every secret covered, whether or not it is held.
func (c *Client) compose(call *Call, masked bool) (message, error) {
	if call.Operation == nil || call.Grant == nil {
		return message{}, broken(c.provider, "a call names no operation or no grant")
	}
	pl := c.plans[call.Operation]
	if pl == nil || pl.grants[call.Grant.Name] == nil {
		return message{}, broken(c.provider, "a call names an operation or a grant of another provider")
	}
	m := message{plan: pl, masked: masked}
	id, key := c.credentials(call)
	if !masked {
		if err := c.checkHeld(call, id, key); err != nil {
			return message{}, err
		}
	}
	m.head(call, id, key)
	if pl.requestID != "" {
		m.header[pl.requestID] = []string{c.requestID(call.CorrelationID)}
	}
	return m, m.fill(c, call, id, key)
}

func (c *Client) credentials(call *Call) (id, key secret.Value) {
	id, key = c.clientID, c.clientSecret
	if !call.ClientID.IsZero() {
		id = call.ClientID
	}
	if !call.ClientSecret.IsZero() {
		key = call.ClientSecret
	}
	return id, key
}

// checkHeld refuses a call for which a credential is missing.
func (c *Client) checkHeld(call *Call, id, key secret.Value) error {
	switch call.Operation.Auth.Style {
	case schema.AuthNone:
		return nil
	case schema.AuthBearer, schema.AuthToken:
		if bearer := call.bearer(); bearer.IsZero() || !printable(bearer) {
			return broken(c.provider, "operation "+call.Operation.ID+" was called without the token that it needs")
		}
		return nil
	}
	if id.IsZero() || key.IsZero() {
		return notConfigured(c.provider)
	}
	if !printable(call.ClientID) || !printable(call.ClientSecret) {
		f := fault.New(fault.InvalidArgument, "client_id or client_secret holds a line break or another control character",
			"give both without anything before or after the value")
		f.Provider = c.provider.Name
		return f
	}
	return nil
}

// notConfigured is the fault of a provider whose credentials are not set. It
// names the variables.
func notConfigured(p *schema.Provider) *fault.Fault {
	f := fault.New(fault.NotConfigured, p.Title+" is not configured: its credentials are not set",
		"set "+variable(p, "CLIENT_ID")+words(p.Credentials.ClientID)+" and "+
			variable(p, "CLIENT_SECRET")+words(p.Credentials.ClientSecret)+help(p))
	f.Provider = p.Name
	return f
}

// bearer is the token that the call is authorized with.
func (call *Call) bearer() secret.Value {
	if call.Operation.Auth.Style == schema.AuthToken {
		return call.Token
	}
	return call.Bearer
}

func words(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func help(p *schema.Provider) string {
	if p.Credentials.Help == "" {
		return ""
	}
	return "; " + p.Credentials.Help
}

// head sets the headers. The map is the call's own; its value slices are
// shared where they are the same for all calls.
func (m *message) head(call *Call, id, key secret.Value) {
	m.header = make(http.Header, len(m.plan.header)+3)
	for name, values := range m.plan.header {
		m.header[name] = values
	}
	auth := m.plan.op.Auth
	switch auth.Style {
	case schema.AuthBasic:
		// RFC 6749 §2.3.1 has both parts form-encoded before base64; the
		// providers' own libraries send them as they are, and so do we. The
		// two differ only for credentials with characters beyond letters,
		// digits and "-._~".
		m.set("Authorization", "Basic ", func() string {
			return base64.StdEncoding.EncodeToString([]byte(reveal(id) + ":" + reveal(key)))
		})
	case schema.AuthBearer, schema.AuthToken:
		m.set("Authorization", "Bearer ", func() string { return reveal(call.bearer()) })
	case schema.AuthHeader:
		m.set(http.CanonicalHeaderKey(auth.ClientID), "", func() string { return reveal(id) })
		m.set(http.CanonicalHeaderKey(auth.ClientSecret), "", func() string { return reveal(key) })
	}
}

// set sets a header to a plain prefix and a secret.
func (m *message) set(name, prefix string, open func() string) {
	if m.masked {
		m.header[name] = []string{prefix + secret.Mask}
		return
	}
	m.header[name] = []string{prefix + open()}
}

// requestID returns id, or a random one where id cannot be sent.
func (c *Client) requestID(id string) string {
	if id != "" && len(id) <= 255 && plain(id) {
		return id
	}
	var b [16]byte
	// A request id is for finding a call again; one that is not random is
	// still better than no call.
	_, _ = io.ReadFull(c.rand, b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
