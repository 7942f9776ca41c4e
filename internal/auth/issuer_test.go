package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"bankauth/internal/auth"
	"bankauth/internal/problem"
)

const public = "https://bank.example"

// authority is an issuer over the wire, whose keys the test holds, so that it
// can sign what no real one would. internal/clients has a real one.
type authority struct {
	*httptest.Server
	asked atomic.Int64 // for keys

	mu   sync.Mutex
	keys []jose.JSONWebKey
	down bool
}

func newAuthority(t *testing.T, keys ...jose.JSONWebKey) *authority {
	t.Helper()
	a := &authority{keys: keys}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": a.URL, "jwks_uri": a.URL + "/jwks", "authorization_endpoint": a.URL + "/auth", "token_endpoint": a.URL + "/token"})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		a.asked.Add(1)
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.down {
			http.Error(w, "down", http.StatusInternalServerError)
			return
		}
		published := []any{map[string]string{"kty": "AKP", "kid": "of-the-future"}}
		for _, k := range a.keys {
			published = append(published, k.Public())
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": published})
	})
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

func (a *authority) publish(keys ...jose.JSONWebKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = keys
}

func (a *authority) fail(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func rsaKey(t *testing.T, kid string, bits int) jose.JSONWebKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: k, KeyID: kid}
}

func ecKey(t *testing.T, kid string) jose.JSONWebKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: k, KeyID: kid, Algorithm: "ES256", Use: "sig"}
}

// sign makes a JWT; header may override what go-jose writes.
func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, claims any, header map[jose.HeaderKey]any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	for k, v := range header {
		o = o.WithHeader(k, v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func raw(header, claims any, signature []byte) string {
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	e := base64.RawURLEncoding
	return e.EncodeToString(h) + "." + e.EncodeToString(c) + "." + e.EncodeToString(signature)
}

// goodClaims are those of RFC 9068, with changes.
func goodClaims(issuer string, changes map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": issuer, "aud": public + "/mcp", "sub": "erika", "client_id": "agent-1", "jti": "1",
		"iat": now.Unix(), "nbf": now.Add(-time.Second).Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "openid tokens:create tokens:refresh",
	}
	for k, v := range changes {
		if v == nil {
			delete(c, k)
			continue
		}
		c[k] = v
	}
	return c
}

// clock is a time that the test moves.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

func serve(t *testing.T, g *auth.Gate) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(auth.MetadataPath, g.Metadata())
	mux.Handle(auth.MetadataPath+"/", g.Metadata())
	mux.Handle("/", g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, ok := auth.FromContext(r.Context())
		if !ok || r.Header.Get("Authorization") != "" {
			t.Error("there is no caller, or the token went on")
		}
		_ = json.NewEncoder(w).Encode(caller)
	})))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// ask sends a request with these Authorization headers.
func ask(t *testing.T, url string, authorization ...string) (*http.Response, map[string]any) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header["Authorization"] = authorization
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		t.Fatalf("%s: %v", res.Status, err)
	}
	return res, body
}

func TestJWT(t *testing.T) {
	rs, es := rsaKey(t, "rs", 2048), ecKey(t, "es")
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	edKey := jose.JSONWebKey{Key: ed, KeyID: "ed"}
	a := newAuthority(t, rs, es, edKey)
	server := serve(t, auth.New(auth.Options{Issuer: auth.NewIssuer(auth.IssuerOptions{URL: a.URL, Audiences: auth.Audiences(public)}), PublicURL: public}))
	at := map[jose.HeaderKey]any{"typ": "at+jwt"}
	both := []any{"tokens:create", "tokens:refresh"}
	for name, c := range map[string]struct {
		token     string
		principal string
		scopes    []any
	}{
		"RS256":                 {sign(t, jose.RS256, rs, goodClaims(a.URL, nil), at), " user erika", both},
		"PS512":                 {sign(t, jose.PS512, rs, goodClaims(a.URL, nil), at), " user erika", both},
		"ES256":                 {sign(t, jose.ES256, es, goodClaims(a.URL, nil), at), " user erika", both},
		"EdDSA":                 {sign(t, jose.EdDSA, edKey, goodClaims(a.URL, nil), at), " user erika", both},
		"typ JWT":               {sign(t, jose.ES256, es, goodClaims(a.URL, nil), map[jose.HeaderKey]any{"typ": "JWT"}), " user erika", both},
		"no typ":                {sign(t, jose.ES256, es, goodClaims(a.URL, nil), nil), " user erika", both},
		"no kid":                {sign(t, jose.ES256, es.Key, goodClaims(a.URL, nil), at), " user erika", both},
		"aud of the server":     {sign(t, jose.ES256, es, goodClaims(a.URL, map[string]any{"aud": []string{"other", public}}), at), " user erika", both},
		"a client of its own":   {sign(t, jose.ES256, es, goodClaims(a.URL, map[string]any{"sub": "agent-1"}), at), " client agent-1", both},
		"azp in client_id's":    {sign(t, jose.ES256, es, goodClaims(a.URL, map[string]any{"sub": "agent-1", "client_id": nil, "azp": "agent-1"}), at), " client agent-1", both},
		"scp is a list":         {sign(t, jose.ES256, es, goodClaims(a.URL, map[string]any{"scope": nil, "scp": []string{"users:create", "x"}}), at), " user erika", []any{"users:create"}},
		"no scope that we have": {sign(t, jose.ES256, es, goodClaims(a.URL, map[string]any{"scope": "openid"}), at), " user erika", []any{}},
		"a clock ahead":         {sign(t, jose.ES256, es, goodClaims(a.URL, map[string]any{"nbf": time.Now().Add(30 * time.Second).Unix()}), at), " user erika", both},
	} {
		res, body := ask(t, server.URL+"/mcp", "bearer "+c.token)
		want := map[string]any{"Principal": a.URL + c.principal, "Scopes": c.scopes}
		if diff := cmp.Diff(want, body); res.StatusCode != http.StatusOK || diff != "" {
			t.Errorf("%s: %s\n%s", name, res.Status, diff)
		}
	}
}

// TestKeeps: what a principal may do without a token in hand ends with the one
// of its tokens that lasts longest.
func TestKeeps(t *testing.T) {
	es := ecKey(t, "es")
	a := newAuthority(t, es)
	var c clock
	gate := auth.New(auth.Options{Issuer: auth.NewIssuer(auth.IssuerOptions{URL: a.URL, Audiences: auth.Audiences(public), Now: c.now}), PublicURL: public})
	server := serve(t, gate)
	erika := a.URL + " user erika"
	show := func(changes map[string]any) {
		t.Helper()
		if res, _ := ask(t, server.URL+"/mcp", "Bearer "+sign(t, jose.ES256, es, goodClaims(a.URL, changes), nil)); res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
	}
	keeps := func(when string, use, create bool) {
		t.Helper()
		if gate.Keeps(erika, auth.TokensUse) != use || gate.Keeps(erika, auth.TokensCreate) != create {
			t.Errorf("%s: use %t, create %t", when, !use, !create)
		}
	}
	keeps("unseen", false, false)
	show(map[string]any{"scope": "tokens:use"})
	keeps("with an hour's token", true, false)
	show(map[string]any{"scope": "tokens:create", "exp": c.now().Add(time.Minute).Unix()})
	keeps("with a shorter one, too", true, false)
	show(map[string]any{"scope": "tokens:create", "exp": c.now().Add(2 * time.Hour).Unix()})
	keeps("with a longer one, too", false, true)
	c.forward(2*time.Hour + time.Second)
	keeps("when it has expired", false, false)
	for n := range 5000 { // no crowd of names makes the server grow, or is admitted for good
		show(map[string]any{"sub": fmt.Sprint("erika", n), "exp": c.now().Add(time.Hour).Unix()})
	}
	if gate.Keeps(a.URL+" user erika0", auth.TokensCreate) || !gate.Keeps(a.URL+" user erika4999", auth.TokensCreate) {
		t.Error("5,000 principals are remembered, or not even the last one")
	}
}

// TestBadTokens: each is refused with 401 and a challenge; nothing of it is
// repeated.
func TestBadTokens(t *testing.T) {
	rs, es, other, weak := rsaKey(t, "rs", 2048), ecKey(t, "es"), ecKey(t, "es"), rsaKey(t, "weak", 1024)
	a := newAuthority(t, rs, es, weak)
	foreign := newAuthority(t, es)
	var log locked
	server := serve(t, auth.New(auth.Options{
		Issuer:  auth.NewIssuer(auth.IssuerOptions{URL: a.URL, Audiences: auth.Audiences(public)}),
		Clients: auth.NewClients(t.TempDir() + "/clients.json"), PublicURL: public, Log: zerolog.New(&log)}))
	at := map[jose.HeaderKey]any{"typ": "at+jwt"}
	with := func(changes map[string]any) string {
		return sign(t, jose.ES256, es, goodClaims(a.URL, changes), at)
	}
	ago, ahead := time.Now().Add(-time.Minute).Unix(), time.Now().Add(10*time.Minute).Unix()
	good := with(nil)
	parts := strings.Split(good, ".")
	der, err := x509.MarshalPKIXPublicKey(rs.Public().Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"no token":                       "",
		"empty":                          "Bearer ",
		"another scheme":                 "Basic " + good,
		"two tokens in one":              "Bearer " + good + " " + good,
		"a comma":                        "Bearer " + good + ",x",
		"a quote":                        `Bearer "` + good + `"`,
		"too long":                       "Bearer " + strings.Repeat("a", 9<<10),
		"no JWT":                         "Bearer canary",
		"no dots":                        "Bearer " + parts[0],
		"no signature":                   "Bearer " + parts[0] + "." + parts[1] + ".",
		"two parts":                      "Bearer " + parts[0] + "." + parts[1],
		"four parts":                     "Bearer " + good + ".x",
		"five parts, as encrypted":       "Bearer " + good + ".x.y",
		"changed claims":                 "Bearer " + parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"canary"}`)) + "." + parts[2],
		"changed signature":              "Bearer " + good[:len(good)-8] + "AAAAAAAA",
		"alg none":                       "Bearer " + raw(map[string]string{"alg": "none", "typ": "at+jwt"}, goodClaims(a.URL, nil), nil),
		"alg None":                       "Bearer " + raw(map[string]string{"alg": "None", "typ": "at+jwt"}, goodClaims(a.URL, nil), nil),
		"no alg":                         "Bearer " + raw(map[string]string{"typ": "at+jwt"}, goodClaims(a.URL, nil), []byte("x")),
		"HS256 with the public key":      "Bearer " + sign(t, jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), goodClaims(a.URL, nil), at),
		"RS256 said, ES256 made":         "Bearer " + raw(map[string]string{"alg": "RS256", "kid": "es", "typ": "at+jwt"}, goodClaims(a.URL, nil), []byte("x")),
		"a key of its own in the header": "Bearer " + sign(t, jose.ES256, other, goodClaims(a.URL, nil), map[jose.HeaderKey]any{"typ": "at+jwt", "jwk": other.Public()}),
		"a jku of its own":               "Bearer " + sign(t, jose.ES256, other, goodClaims(a.URL, nil), map[jose.HeaderKey]any{"typ": "at+jwt", "jku": foreign.URL + "/jwks"}),
		"an unknown crit":                "Bearer " + sign(t, jose.ES256, es, goodClaims(a.URL, nil), map[jose.HeaderKey]any{"typ": "at+jwt", "crit": []string{"canary"}}),
		"another key of the same kid":    "Bearer " + sign(t, jose.ES256, other, goodClaims(a.URL, nil), at),
		"an unknown kid":                 "Bearer " + sign(t, jose.ES256, jose.JSONWebKey{Key: es.Key, KeyID: "canary"}, goodClaims(a.URL, nil), at),
		"an RSA key that is too short":   "Bearer " + sign(t, jose.RS256, weak, goodClaims(a.URL, nil), at),
		"expired":                        "Bearer " + with(map[string]any{"exp": ago}),
		"no exp":                         "Bearer " + with(map[string]any{"exp": nil}),
		"exp is a text":                  "Bearer " + with(map[string]any{"exp": "canary"}),
		"not yet":                        "Bearer " + with(map[string]any{"nbf": time.Now().Add(2 * time.Minute).Unix()}),
		"not yet, far":                   "Bearer " + with(map[string]any{"nbf": ahead}),
		"issued in the future":           "Bearer " + with(map[string]any{"iat": ahead}),
		"another issuer":                 "Bearer " + with(map[string]any{"iss": foreign.URL}),
		"the issuer with a slash":        "Bearer " + with(map[string]any{"iss": a.URL + "/"}),
		"no issuer":                      "Bearer " + with(map[string]any{"iss": nil}),
		"another audience":               "Bearer " + with(map[string]any{"aud": "https://sibling.example/mcp"}),
		"an audience that begins so":     "Bearer " + with(map[string]any{"aud": "https://bank.example.evil.example"}),
		"a path beside ours":             "Bearer " + with(map[string]any{"aud": "https://bank.example/mcp2"}),
		"no audience":                    "Bearer " + with(map[string]any{"aud": nil}),
		"an ID token by its nonce":       "Bearer " + with(map[string]any{"nonce": "canary"}),
		"an ID token by its at_hash":     "Bearer " + with(map[string]any{"at_hash": "canary"}),
		"a logout token":                 "Bearer " + with(map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}),
		"typ logout+jwt":                 "Bearer " + sign(t, jose.ES256, es, goodClaims(a.URL, nil), map[jose.HeaderKey]any{"typ": "logout+jwt"}),
		"typ dpop+jwt":                   "Bearer " + sign(t, jose.ES256, es, goodClaims(a.URL, nil), map[jose.HeaderKey]any{"typ": "dpop+jwt"}),
		"bound to a key":                 "Bearer " + with(map[string]any{"cnf": map[string]string{"jkt": "canary"}}),
		"no subject":                     "Bearer " + with(map[string]any{"sub": nil}),
		"a subject with a line":          "Bearer " + with(map[string]any{"sub": "canary\nx"}),
		"claims that are no object":      "Bearer " + sign(t, jose.ES256, es, []string{"canary"}, at),
		"a static token that is unknown": "Bearer bka_" + strings.Repeat("a", 52),
	} {
		var given []string
		if token != "" {
			given = []string{token}
		}
		res, body := ask(t, server.URL+"/mcp", given...)
		challenge := res.Header.Get("WWW-Authenticate")
		if res.StatusCode != http.StatusUnauthorized || body["code"] != "credentials_rejected" || body["status"] != 401.0 || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s %v", name, res.Status, body)
		}
		if !strings.Contains(challenge, `resource_metadata="https://bank.example/.well-known/oauth-protected-resource/mcp"`) || !strings.Contains(challenge, `scope="tokens:create `) {
			t.Errorf("%s: the challenge is %s", name, challenge)
		}
		if (name == "no token") == strings.Contains(challenge, "invalid_token") {
			t.Errorf("%s: the challenge is %s", name, challenge)
		}
		said, _ := json.Marshal(body)
		if strings.Contains(challenge+string(said), "canary") {
			t.Errorf("%s: the answer repeats what was sent: %s %s", name, challenge, said)
		}
	}
	if said := log.String(); strings.Contains(said, "canary") || strings.Contains(said, parts[2]) || strings.Contains(said, parts[1]) || !strings.Contains(said, `"reason":"expired"`) {
		t.Errorf("the log repeats a token, or does not say why one was refused:\n%s", said)
	}
	if res, _ := ask(t, server.URL+"/mcp", "Bearer "+good, "Bearer "+good); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("two headers: %s", res.Status)
	}
	if res, _ := ask(t, server.URL+"/mcp?access_token="+good); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token in the query: %s", res.Status)
	}
	if res, _ := ask(t, server.URL+"/mcp", "Bearer "+good); res.StatusCode != http.StatusOK {
		t.Errorf("the good token: %s; without it the others prove nothing", res.Status)
	}
}

// TestReasons: the log and the caller are told what is wrong with a token that
// the issuer did sign.
func TestReasons(t *testing.T) {
	es := ecKey(t, "es")
	a := newAuthority(t, es)
	for name, c := range map[string]struct {
		changes      map[string]any
		reason, text string
	}{
		"expired":          {map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, "expired", "the token has expired"},
		"no exp":           {map[string]any{"exp": nil}, "claims", "the token does not say when it ends and when it was issued (exp, iat)"},
		"exp is null":      {map[string]any{"exp": json.RawMessage("null")}, "claims", "the token does not say when it ends and when it was issued (exp, iat)"},
		"exp is a text":    {map[string]any{"exp": fmt.Sprint(time.Now().Add(time.Hour).Unix())}, "claims", "the token's claims are not those of an access token"},
		"exp is an object": {map[string]any{"exp": map[string]any{}}, "claims", "the token's claims are not those of an access token"},
		"no iat":           {map[string]any{"iat": nil}, "claims", "the token does not say when it ends and when it was issued (exp, iat)"},
		"iat is a text":    {map[string]any{"iat": "1"}, "claims", "the token's claims are not those of an access token"},
		"not yet":          {map[string]any{"nbf": time.Now().Add(10 * time.Minute).Unix()}, "early", "the token is not valid yet"},
		"not yet, ever":    {map[string]any{"nbf": 1e300}, "early", "the token is not valid yet"},
		"issued later":     {map[string]any{"iat": time.Now().Add(10 * time.Minute).Unix()}, "early", "the token is not valid yet"},
		"aud is a number":  {map[string]any{"aud": 1}, "claims", "the token's claims are not those of an access token"},
		"another issuer":   {map[string]any{"iss": "x"}, "issuer", "the token is another issuer's"},
	} {
		var log locked
		server := serve(t, auth.New(auth.Options{Issuer: auth.NewIssuer(auth.IssuerOptions{URL: a.URL, Audiences: auth.Audiences(public)}), PublicURL: public, Log: zerolog.New(&log)}))
		res, body := ask(t, server.URL+"/mcp", "Bearer "+sign(t, jose.ES256, es, goodClaims(a.URL, c.changes), nil))
		if res.StatusCode != http.StatusUnauthorized || body["detail"] != c.text || !strings.Contains(log.String(), `"reason":"`+c.reason+`"`) {
			t.Errorf("%s: %s %v\n%s", name, res.Status, body["detail"], log.String())
		}
	}
}

// locked is a log that requests may write to at once.
type locked struct {
	mu sync.Mutex
	strings.Builder
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(b)
}

// TestRotation: a new key is found at once, a withdrawn one is good for five
// minutes, and bad tokens do not make us ask the issuer more often than every
// ten seconds.
func TestRotation(t *testing.T) {
	first, second := ecKey(t, "1"), ecKey(t, "2")
	a := newAuthority(t, first)
	var c clock
	server := serve(t, auth.New(auth.Options{Issuer: auth.NewIssuer(auth.IssuerOptions{URL: a.URL, Audiences: auth.Audiences(public), Now: c.now}), PublicURL: public}))
	get := func(key jose.JSONWebKey) int {
		t.Helper()
		res, _ := ask(t, server.URL, "Bearer "+sign(t, jose.ES256, key, goodClaims(a.URL, map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}), nil))
		return res.StatusCode
	}
	if got := get(first); got != http.StatusOK {
		t.Fatalf("the first key: %d", got)
	}
	a.publish(first, second)
	c.forward(11 * time.Second)
	if got := get(second); got != http.StatusOK {
		t.Errorf("a key that has come: %d", got)
	}
	asked := a.asked.Load()
	for range 50 {
		if got := get(ecKey(t, "made up")); got != http.StatusUnauthorized {
			t.Errorf("a key that was made up: %d", got)
		}
	}
	if more := a.asked.Load() - asked; more > 1 {
		t.Errorf("50 bad tokens made us ask the issuer %d times", more)
	}
	a.publish(second)
	c.forward(6 * time.Minute)
	if got := get(first); got != http.StatusUnauthorized {
		t.Errorf("a key that was withdrawn six minutes ago: %d", got)
	}
	a.fail(true)
	c.forward(30 * time.Minute)
	if got := get(second); got != http.StatusOK {
		t.Errorf("the issuer is down for half an hour: %d", got)
	}
	c.forward(time.Hour)
	if got := get(second); got != http.StatusServiceUnavailable {
		t.Errorf("the issuer is down for longer: %d; nobody can be judged", got)
	}
	a.fail(false)
	c.forward(11 * time.Second)
	if got := get(second); got != http.StatusOK {
		t.Errorf("the issuer is back: %d", got)
	}
}

// TestRereadKeys: an operator who withdraws a key need not wait for five
// minutes, and an issuer that is down takes nothing away.
func TestRereadKeys(t *testing.T) {
	first, second := ecKey(t, "1"), ecKey(t, "2")
	a := newAuthority(t, first)
	gate := auth.New(auth.Options{Issuer: auth.NewIssuer(auth.IssuerOptions{URL: a.URL, Audiences: auth.Audiences(public)}), PublicURL: public})
	server := serve(t, gate)
	get := func(key jose.JSONWebKey) int {
		t.Helper()
		res, _ := ask(t, server.URL, "Bearer "+sign(t, jose.ES256, key, goodClaims(a.URL, nil), nil))
		return res.StatusCode
	}
	if got := get(first); got != http.StatusOK {
		t.Fatalf("the first key: %d", got)
	}
	a.publish(second)
	a.fail(true)
	if err := gate.RereadKeys(t.Context()); err == nil {
		t.Error("an issuer that is down was read")
	}
	if got := get(first); got != http.StatusOK {
		t.Errorf("after an issuer that is down: %d", got)
	}
	a.fail(false)
	if err := gate.RereadKeys(t.Context()); err != nil {
		t.Error(err)
	}
	if got := []int{get(first), get(second)}; got[0] != http.StatusUnauthorized || got[1] != http.StatusOK {
		t.Errorf("the withdrawn key and the new one: %v", got)
	}
}

// TestIssuerThatIsDown: the server can start before its issuer.
func TestIssuerThatIsDown(t *testing.T) {
	key := ecKey(t, "1")
	a := newAuthority(t, key)
	a.fail(true)
	var c clock
	server := serve(t, auth.New(auth.Options{Issuer: auth.NewIssuer(auth.IssuerOptions{URL: a.URL, Audiences: auth.Audiences(public), Now: c.now}), PublicURL: public}))
	token := "Bearer " + sign(t, jose.ES256, key, goodClaims(a.URL, nil), nil)
	res, body := ask(t, server.URL, token)
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "5" || body["retryable"] != true || res.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%s %v %v", res.Status, res.Header, body)
	}
	a.fail(false)
	c.forward(11 * time.Second)
	if res, _ := ask(t, server.URL, token); res.StatusCode != http.StatusOK {
		t.Errorf("once it is there: %s", res.Status)
	}
}

// TestNoPublicURL: without one, no audience is ours, the empty one least of all.
func TestNoPublicURL(t *testing.T) {
	key := ecKey(t, "1")
	a := newAuthority(t, key)
	server := serve(t, auth.New(auth.Options{Issuer: auth.NewIssuer(auth.IssuerOptions{URL: a.URL, Audiences: auth.Audiences("")})}))
	for _, aud := range []any{"", "/", "/mcp", []string{""}, []string{}} {
		if res, _ := ask(t, server.URL, "Bearer "+sign(t, jose.ES256, key, goodClaims(a.URL, map[string]any{"aud": aud}), nil)); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("aud %q: %s", aud, res.Status)
		}
	}
}

func TestMetadata(t *testing.T) {
	a := newAuthority(t, ecKey(t, "1"))
	server := serve(t, auth.New(auth.Options{Issuer: auth.NewIssuer(auth.IssuerOptions{URL: a.URL}), PublicURL: public}))
	for path, resource := range map[string]string{"": public, "/mcp": public + "/mcp", "/sse": public + "/sse"} {
		res, body := ask(t, server.URL+auth.MetadataPath+path)
		want := map[string]any{
			"resource": resource, "authorization_servers": []any{a.URL}, "bearer_methods_supported": []any{"header"}, "resource_name": "bankauth",
			"resource_documentation": public + "/docs/", "scopes_supported": []any{"tokens:create", "tokens:refresh", "users:create", "tokens:use"},
		}
		if diff := cmp.Diff(want, body); res.StatusCode != http.StatusOK || diff != "" {
			t.Errorf("%q: %s\n%s", path, res.Status, diff)
		}
	}
	if a.asked.Load() != 0 {
		t.Error("the metadata needs nothing of the issuer")
	}
	for _, path := range []string{"/other", "/mcp/x", "x"} {
		res, err := http.Get(server.URL + auth.MetadataPath + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if path != "x" && (res.StatusCode != http.StatusNotFound || res.Header.Get("Content-Type") != problem.ContentType) {
			t.Errorf("%s: %s %v", path, res.Status, res.Header)
		}
	}
}
