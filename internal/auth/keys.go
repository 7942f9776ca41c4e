package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"bankauth/internal/config"
)

// How the issuer's keys are kept. go-oidc's own set asks the issuer once for
// every bad signature, and never forgets a key that the issuer withdrew.
const (
	keysFresh  = 5 * time.Minute  // a key that the issuer withdrew is good for so long
	keysStale  = time.Hour        // what an issuer that does not answer leaves us with
	keysPause  = 10 * time.Second // between two requests for keys, whatever callers send
	keysWait   = 5 * time.Second  // for the issuer
	mostKeys   = 1 << 20          // bytes of an answer
	fewestBits = 2048             // of an RSA modulus; NIST SP 800-131A
)

// errKeys says that the issuer's keys could not be had: no token can be judged.
var errKeys = errors.New("the issuer's keys cannot be had")

// errSignature says that no key of the issuer's made the signature.
var errSignature = errors.New("no key of the issuer's made the signature")

// keySet is the issuer's keys.
type keySet struct {
	issuer string
	client *http.Client
	now    func() time.Time
	flight singleflight.Group

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // when keys were had
	tried   time.Time // when they were last asked for
	failed  error     // why that brought none
}

// VerifySignature returns the payload of a JWT that one of the keys signed.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSigned(token, algorithms())
	if err != nil || len(signed.Signatures) != 1 {
		return nil, errSignature
	}
	keys, err := k.current(ctx)
	if err != nil {
		return nil, err
	}
	header := signed.Signatures[0].Header
	matching := match(keys, header)
	if len(matching) == 0 { // the issuer may have rotated its keys
		if keys, err = k.again(ctx, keysPause); err != nil {
			return nil, err
		}
		matching = match(keys, header)
	}
	for i := range matching {
		if payload, err := signed.Verify(&matching[i]); err == nil {
			return payload, nil
		}
	}
	return nil, errSignature
}

// match returns the keys that may have made a signature with this header.
func match(keys []jose.JSONWebKey, header jose.Header) []jose.JSONWebKey {
	var all []jose.JSONWebKey
	for _, k := range keys {
		if (header.KeyID == "" || k.KeyID == header.KeyID) && (k.Algorithm == "" || k.Algorithm == header.Algorithm) {
			all = append(all, k)
		}
	}
	return all
}

// current returns the keys, asked for again when they are no longer fresh.
func (k *keySet) current(ctx context.Context) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	keys, age := k.keys, k.now().Sub(k.fetched)
	k.mu.Unlock()
	if keys != nil && age < keysFresh {
		return keys, nil
	}
	return k.again(ctx, keysPause)
}

// again asks the issuer for its keys, unless it was asked less than pause ago.
// Callers who arrive meanwhile share the answer.
func (k *keySet) again(ctx context.Context, pause time.Duration) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	recent := !k.tried.IsZero() && k.now().Sub(k.tried) < pause
	k.mu.Unlock()
	if !recent {
		done := k.flight.DoChan("", func() (any, error) {
			k.fetch()
			return nil, nil
		})
		select {
		case <-done:
		case <-ctx.Done():
			return nil, errors.Join(errKeys, ctx.Err())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil || k.now().Sub(k.fetched) > keysStale {
		return nil, errors.Join(errKeys, k.failed)
	}
	return k.keys, nil
}

// reread asks for the keys now. Where the issuer does not give them, those at
// hand are kept for as long as they would have been.
func (k *keySet) reread(ctx context.Context) error {
	if _, err := k.again(ctx, 0); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// fetch outlives the request that started it, so that one who hangs up does
// not leave the others without keys.
func (k *keySet) fetch() {
	ctx, cancel := context.WithTimeout(context.Background(), keysWait)
	defer cancel()
	asked := k.now()
	keys, err := k.ask(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried, k.failed = asked, err
	if err == nil {
		k.keys, k.fetched = keys, asked
	}
}

// ask reads the issuer's metadata and then its keys: both may move.
func (k *keySet) ask(ctx context.Context) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, k.client), k.issuer)
	var unreachable *url.Error
	switch {
	case errors.As(err, &unreachable):
		return nil, fmt.Errorf("discovering the issuer: %w", err)
	case err != nil: // go-oidc's text has the whole answer in it
		return nil, errors.New("discovering the issuer: its metadata is not there, or is another issuer's")
	}
	var metadata struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return nil, fmt.Errorf("reading the issuer's metadata: %w", err)
	}
	address, _, _ := strings.Cut(metadata.JWKS, "?") // some issuers have a query there
	if err := config.CheckURL(address); err != nil {
		return nil, fmt.Errorf("reading the issuer's jwks_uri: %w", err)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, metadata.JWKS, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for the issuer's keys: %w", err)
	}
	answer, err := k.client.Do(q)
	if err != nil {
		return nil, fmt.Errorf("asking for the issuer's keys: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking for the issuer's keys: status %d", answer.StatusCode)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("reading the issuer's keys: %w", err)
	}
	return usable(set.Keys)
}

// usable returns the keys that may sign tokens. A key of a kind that we do not
// know must not keep the others from use.
func usable(raw []json.RawMessage) ([]jose.JSONWebKey, error) {
	var keys []jose.JSONWebKey
	for _, b := range raw {
		var key jose.JSONWebKey
		if json.Unmarshal(b, &key) == nil && key.IsPublic() && key.Valid() && (key.Use == "" || key.Use == "sig") && strong(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the issuer publishes no key that can be used")
	}
	return keys, nil
}

// newIssuerClient returns the HTTP client for the issuer alone: no redirect,
// no cookies, bounded answers.
func newIssuerClient() *http.Client {
	return &http.Client{
		Transport:     bounded{&http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 2, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: keysWait}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       keysWait,
	}
}

// bounded cuts answers short: go-oidc reads them whole.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(q *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(q)
	if err == nil {
		body := answer.Body
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(body, mostKeys), body}
	}
	return answer, err
}

// algorithms are what a token may be signed with: nothing symmetric, and not
// none.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}
}
