// Package providers speaks HTTP to a provider and brings back a token, a user
// or a fault.
//
// There is one path for all of them. What differs between two providers is
// read from their schema.Provider; no code here knows any of them by name.
//
// The path keeps these promises. A request is sent once: no redirect is
// followed, and only a request of which not one byte left us is sent again,
// once. A secret goes into a header or a body, never into a URL. No text of a
// provider goes into a fault. A refresh token that arrived is handed over even
// when the rest of the answer cannot be used.
package providers

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
	"bankauth/schema"
)

// Simulated is an environment that every provider has beside its own. Its
// address is whatever Options.BaseURL says.
const Simulated = "simulated"

// Options says how a provider is to be reached.
type Options struct {
	Environment  string // "": the document's first
	BaseURL      string // "": the environment's own
	ClientID     secret.Value
	ClientSecret secret.Value
	// PrivateKey returns the key with which requests are signed, where the
	// overlay asks for it: PEM, or the base64 of its DER. nil: there is none.
	PrivateKey func() secret.Value

	// Transport is shared by all clients; nil: one of NewTransport's own. It
	// must neither follow redirects nor repeat requests.
	Transport http.RoundTripper
	Now       func() time.Time // nil: time.Now
	Rand      io.Reader        // for request ids; nil: crypto/rand
	UserAgent string           // "": bankauth

	// Observe is told of every exchange: the status of the answer, 0 where
	// none came, and the time until it was read. nil: nobody is.
	Observe func(ctx context.Context, status int, took time.Duration)
}

// Client calls one provider in one environment. It may be used by many
// goroutines at once.
type Client struct {
	provider     *schema.Provider
	environment  string
	base         address
	clientID     secret.Value
	clientSecret secret.Value
	privateKey   func() secret.Value
	agent        string
	transport    http.RoundTripper
	fresh        func() http.RoundTripper // dials for every request; made when one is first sent so
	now          func() time.Time
	rand         io.Reader
	observe      func(ctx context.Context, status int, took time.Duration)
	plans        map[*schema.Operation]*plan
	codes        [][]string // the places of schema.Errors.Codes
}

// New returns a client for p. It sends nothing and needs no credentials:
// calls of a client that lacks one answer not_configured. Its errors
// are faults: not_configured for an option that cannot be used, internal for
// a provider that was not compiled by package schema.
func New(p *schema.Provider, o Options) (*Client, error) {
	c := &Client{provider: p, clientID: o.ClientID, clientSecret: o.ClientSecret, privateKey: o.PrivateKey,
		transport: o.Transport, now: o.Now, rand: o.Rand, observe: o.Observe}
	if c.transport == nil {
		c.transport = NewTransport()
	}
	c.fresh = sync.OnceValue(func() http.RoundTripper { return withoutReuse(c.transport) })
	if c.now == nil {
		c.now = time.Now
	}
	if c.rand == nil {
		c.rand = rand.Reader
	}
	if o.UserAgent == "" {
		o.UserAgent = "bankauth"
	}
	c.agent = o.UserAgent
	var err error
	if c.environment, c.base, err = locate(p, o.Environment, o.BaseURL); err != nil {
		return nil, err
	}
	if err := c.checkCredentials(); err != nil {
		return nil, err
	}
	if c.codes, err = places(p.Errors.Codes); err != nil {
		return nil, err
	}
	c.plans = make(map[*schema.Operation]*plan, len(p.Operations))
	for _, op := range p.Operations {
		if c.plans[op], err = newPlan(p, op, c.base, o.UserAgent); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Provider returns what the client was made from.
func (c *Client) Provider() *schema.Provider { return c.provider }

// Environment returns the name of the environment that is called.
func (c *Client) Environment() string { return c.environment }

// BaseURL returns the address that is called, without a trailing slash.
func (c *Client) BaseURL() string { return c.base.text }

// Fingerprint tells clients apart: the same text for the same client id at the
// same address. The client secret has no part in it, so that a secret may be
// changed without losing what was stored under the fingerprint.
func (c *Client) Fingerprint() string {
	sum := sha256.Sum256([]byte(c.base.text + "\x00" + reveal(c.clientID)))
	return hex.EncodeToString(sum[:8])
}

// variable returns the name of one of the provider's settings.
func variable(p *schema.Provider, suffix string) string {
	return strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")) + "_" + suffix
}

// checkCredentials refuses what a copied credential brings along by mistake.
func (c *Client) checkCredentials() error {
	for _, held := range []struct {
		suffix string
		value  secret.Value
	}{{"CLIENT_ID", c.clientID}, {"CLIENT_SECRET", c.clientSecret}} {
		if !printable(held.value) {
			name := variable(c.provider, held.suffix)
			f := fault.New(fault.NotConfigured, name+" holds a line break or another control character",
				"set "+name+" again, without anything before or after the value")
			f.Provider = c.provider.Name
			return f
		}
	}
	return nil
}
