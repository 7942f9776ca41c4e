package schema

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Arguments of the authorization_code grant that have a meaning beyond their
// property: who opens a consent by itself gives neither.
const (
	argumentCode     = "code"
	argumentRedirect = "redirect_uri"
)

// Consent says how a person's consent is opened, of which the grant's code
// comes. Texts of Query and Headers hold placeholders; an entry with one that
// has no value is left out.
type Consent struct {
	Path    string            `json:"path"`              // below the environment's server
	Call    bool              `json:"call,omitempty"`    // true: we call Path, and the answer has the address to open; false: a browser opens Path
	Query   map[string]string `json:"query"`             // of the address
	Headers map[string]string `json:"headers,omitempty"` // Call only
	Sign    string            `json:"sign,omitempty"`    // Call only: SignHTTP, or "" for no signature
	URL     string            `json:"url,omitempty"`     // Call only: JSON Pointer to the address in the answer
	Hosts   []string          `json:"hosts,omitempty"`   // Call only: where that address may lead, beside the server's own host
	Scope   string            `json:"scope,omitempty"`   // asked for where the caller names none
	Scopes  []string          `json:"scopes,omitempty"`  // that there are, for a model to choose from
	PKCE    bool              `json:"pkce,omitempty"`    // RFC 7636, S256
	// Institution is the institution that is taken where the caller names
	// none, by environment; one that is not in it needs the argument. nil:
	// the argument is never needed.
	Institution map[string]string `json:"institution,omitempty"`
	// Issuer is what iss says (RFC 9207), by environment; where an
	// environment has one, an answer without it is refused.
	Issuer map[string]string `json:"issuer,omitempty"`
	// Subject names the parameter of the browser's answer that says whose data
	// the token opens; "" for none.
	Subject string `json:"subject,omitempty"`
}

// SignHTTP signs a request with an RSA key (draft-cavage-http-signatures, as
// Fintecture has it). It is a built-in: data cannot say how to sign.
const SignHTTP = "http-signature"

// Placeholders of Consent.Query and Consent.Headers.
const (
	FillClientID    = "client_id"
	FillRedirectURI = "redirect_uri"
	FillState       = "state"
	FillScope       = "scope"
	FillInstitution = "institution"
	FillCorrelation = "correlation_id" // a UUID
	FillChallenge   = "code_challenge"
)

var fillings = []string{FillClientID, FillRedirectURI, FillState, FillScope, FillInstitution, FillCorrelation, FillChallenge}

// Placeholder finds the placeholders of a text; its first group is the name.
var Placeholder = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{([^{}]*)\}`) })

// Arguments returns the arguments with which a consent may be opened.
func (c *Consent) Arguments() []string {
	var names []string
	for _, name := range []string{FillScope, FillInstitution} {
		if c.uses(name) {
			names = append(names, name)
		}
	}
	return names
}

func (c *Consent) uses(filling string) bool {
	for _, texts := range []map[string]string{c.Query, c.Headers} {
		for _, text := range texts {
			if strings.Contains(text, "{"+filling+"}") {
				return true
			}
		}
	}
	return false
}

// Opens reports whether the caller of a create_access_token call has the
// consent opened, rather than bringing its code along.
func (g *Grant) Opens(args map[string]any) bool {
	_, code := args[argumentCode]
	return g.Consent != nil && !code
}

// consentExtension is a grant's consent as the overlay says it.
type consentExtension struct {
	Open        string            `yaml:"open"`
	Path        string            `yaml:"path"`
	Query       map[string]string `yaml:"query"`
	Headers     map[string]string `yaml:"headers"`
	Sign        string            `yaml:"sign"`
	URL         string            `yaml:"url"`
	Hosts       []string          `yaml:"hosts"`
	Scope       string            `yaml:"scope"`
	Scopes      []string          `yaml:"scopes"`
	PKCE        string            `yaml:"pkce"`
	Institution map[string]string `yaml:"institution"`
	Issuer      map[string]string `yaml:"issuer"`
	Subject     string            `yaml:"subject"`
}

// consent compiles how the consent of g is opened, and refuses what could not
// come back to us.
func (r *reader) consent(at place, tool string, g *Grant, fields []*field, x *operationExtension, y *consentExtension) {
	if y == nil {
		return
	}
	wrong := func(format string, args []any, path ...string) {
		r.wrong.add(r.overlay.file, r.line(x, append([]string{"grants", g.Name, "consent"}, path...)...), "%s: consent: "+format, append([]any{at.text}, args...)...)
	}
	c := &Consent{Path: y.Path, Call: y.Open == "call", Query: y.Query, Headers: y.Headers, Sign: y.Sign, URL: y.URL, Hosts: y.Hosts,
		Scope: y.Scope, Scopes: y.Scopes, PKCE: y.PKCE != "", Institution: y.Institution, Issuer: y.Issuer, Subject: y.Subject}
	g.Consent = c
	if tool != CreateAccessToken || !slices.Contains(g.Arguments, argumentCode) {
		wrong("no property takes the code that comes of it; say which (x-bankauth-field: {argument: code})", nil)
	}
	switch {
	case c.Call && c.URL == "":
		wrong("open: call needs url, where the answer keeps the address to open", nil)
	case !c.Call && (c.URL != "" || c.Sign != "" || len(c.Headers) > 0 || len(c.Hosts) > 0):
		wrong("url, sign, headers and hosts are for open: call; a browser opens the address as it is", nil)
	}
	for key, texts := range map[string]map[string]string{"query": c.Query, "headers": c.Headers} {
		for _, name := range sortedKeys(texts) {
			for _, m := range Placeholder().FindAllStringSubmatch(texts[name], -1) {
				if !slices.Contains(fillings, m[1]) {
					wrong("nothing fills {%s}; there are {%s}", []any{m[1], strings.Join(fillings, "}, {")}, key, name)
				}
			}
		}
	}
	for _, needed := range []string{FillState, FillRedirectURI} {
		if !c.uses(needed) {
			wrong("nothing carries {%s}, so that no answer could be told from a forged one", []any{needed}, "query")
		}
	}
	holds := slices.ContainsFunc(fields, func(f *field) bool { return f.Held == HeldCodeVerifier && f.belongs(g.Name) })
	switch {
	case c.PKCE && (!holds || !c.uses(FillChallenge)):
		wrong("pkce needs {code_challenge} in the query and a property for the verifier (x-bankauth-field: {held: code_verifier})", nil, "pkce")
	case !c.PKCE && c.uses(FillChallenge):
		wrong("{code_challenge} needs pkce: S256", nil, "query")
	}
}
