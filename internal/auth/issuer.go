package auth

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// skew is how far the issuer's clock may be ahead of ours.
const skew = time.Minute

// mostToken bounds a bearer token, in bytes.
const mostToken = 8 << 10

// Issuer judges the JWTs of one issuer. Its metadata and keys are asked for
// when the first token comes, and again as they age.
type Issuer struct {
	url       string
	audiences []string
	keys      *keySet
	now       func() time.Time
	leaves    leaves
}

// IssuerOptions says whose tokens are admitted.
type IssuerOptions struct {
	URL       string   // as the iss of its tokens says it, to the letter
	Audiences []string // one of which a token's aud must name
	Client    *http.Client
	Now       func() time.Time
}

// NewIssuer asks for nothing yet.
func NewIssuer(o IssuerOptions) *Issuer {
	if o.Client == nil {
		o.Client = newIssuerClient()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Issuer{url: o.URL, audiences: o.Audiences, keys: &keySet{issuer: o.URL, client: o.Client, now: o.Now}, now: o.Now}
}

// URL returns the issuer's identifier.
func (i *Issuer) URL() string { return i.url }

// claims are what we read of a token. go-oidc's verifier would take any error
// for a bad signature, an exp that is a text, and a token without iat.
type claims struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	Audience  names           `json:"aud"`
	Expires   *seconds        `json:"exp"`
	ClientID  string          `json:"client_id"` // RFC 9068
	Party     string          `json:"azp"`       // what others name it
	Scope     json.RawMessage `json:"scope"`     // RFC 9068: names with spaces between
	Scp       json.RawMessage `json:"scp"`       // what others name it: the same, or a list
	NotBefore *seconds        `json:"nbf"`
	Issued    *seconds        `json:"iat"`
	Confirm   json.RawMessage `json:"cnf"`     // RFC 7800: whoever sends it must prove a key
	Nonce     string          `json:"nonce"`   // of ID tokens alone, like the next three
	AtHash    string          `json:"at_hash"` //
	CodeHash  string          `json:"c_hash"`  //
	Events    json.RawMessage `json:"events"`  // of logout and event tokens
}

// seconds is a NumericDate of RFC 7519.
type seconds float64

func (s seconds) after(t time.Time) bool { return float64(s) > float64(t.Unix()) }

func (s seconds) time() time.Time { return time.Unix(int64(min(float64(s), 1<<40)), 0) }

// names are a text or a list of texts.
type names []string

// UnmarshalJSON reads both.
func (n *names) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*n = names{""}
		return json.Unmarshal(b, &(*n)[0])
	}
	return json.Unmarshal(b, (*[]string)(n))
}

// caller judges a token. The error is a *refusal, or errKeys where no token
// can be judged now.
func (i *Issuer) caller(ctx context.Context, token string) (Caller, error) {
	if err := checkType(token); err != nil {
		return Caller{}, err
	}
	payload, err := i.keys.VerifySignature(ctx, token)
	switch {
	case errors.Is(err, errSignature):
		return Caller{}, refuse("signature", "the token is not one that the issuer signed with an algorithm that is allowed here")
	case err != nil:
		return Caller{}, err
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Caller{}, refuse("claims", "the token's claims are not those of an access token")
	}
	if err := i.check(c); err != nil {
		return Caller{}, err
	}
	admitted := Caller{Principal: c.principal(), Scopes: c.scopes()}
	i.leaves.note(admitted, c.Expires.time(), i.now())
	return admitted, nil
}

// checkType refuses what is a JWT of another kind: RFC 9068 says at+jwt, and
// many issuers say JWT, or nothing.
func checkType(token string) error {
	first, _, _ := strings.Cut(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(first)
	var header struct {
		Type string `json:"typ"`
	}
	if err != nil || json.Unmarshal(b, &header) != nil {
		return refuse("malformed", "the token is no JWT")
	}
	switch strings.ToLower(header.Type) {
	case "at+jwt", "application/at+jwt", "jwt", "":
		return nil
	}
	return refuse("type", "the token is no access token")
}

func (i *Issuer) check(c claims) error {
	now := i.now()
	switch {
	case c.Issuer != i.url:
		return refuse("issuer", "the token is another issuer's")
	case !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(i.audiences, a) }):
		return refuse("audience", "the token was issued for another server")
	case c.Nonce != "" || c.AtHash != "" || c.CodeHash != "" || present(c.Events):
		return refuse("type", "the token is no access token")
	case present(c.Confirm):
		return refuse("bound", "the token is bound to a key, and this server takes plain bearer tokens")
	case c.Expires == nil || c.Issued == nil: // RFC 9068 §2.2
		return refuse("claims", "the token does not say when it ends and when it was issued (exp, iat)")
	case !c.Expires.after(now):
		return refuse("expired", "the token has expired")
	case c.NotBefore != nil && c.NotBefore.after(now.Add(skew)), c.Issued.after(now.Add(skew)):
		return refuse("early", "the token is not valid yet")
	case c.Subject == "" || len(c.Subject) > 255 || strings.ContainsFunc(c.Subject, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return refuse("subject", "the token does not say whose it is")
	}
	return nil
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// principal keeps the issuers apart, and a client from a user of the same
// name: at many issuers a client may choose its own.
func (c claims) principal() string {
	kind := " user "
	if c.Subject == c.ClientID || c.Subject == c.Party {
		kind = " client "
	}
	return c.Issuer + kind + c.Subject
}

// scopes returns those of the token's scopes that mean something here.
func (c claims) scopes() []string {
	var given []string
	for _, raw := range []json.RawMessage{c.Scope, c.Scp} {
		var text string
		var list []string
		if json.Unmarshal(raw, &text) == nil {
			given = append(given, strings.Fields(text)...)
		} else if json.Unmarshal(raw, &list) == nil {
			given = append(given, list...)
		}
	}
	return slices.DeleteFunc(Scopes(), func(s string) bool { return !slices.Contains(given, s) })
}

// strong reports whether a key is long enough.
func strong(key jose.JSONWebKey) bool {
	k, ok := key.Key.(*rsa.PublicKey)
	return !ok || k.N.BitLen() >= fewestBits
}
