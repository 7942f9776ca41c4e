//go:build unix

package vault_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bankauth/internal/auth"
	"bankauth/internal/consent"
	"bankauth/internal/rest"
	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

// proxied is three replicas of what `bankauth serve` mounts, each with a vault
// of its own on one store, behind a proxy that sends every request to the next.
type proxied struct {
	t    *testing.T
	url  string
	bank *simulator.Bank
	hits [3]atomic.Int64
}

func startProxied(t *testing.T) *proxied {
	t.Helper()
	sim, err := simulator.Start(t.Context(), simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxied{t: t, bank: sim.Bank("flinks")}
	var replicas [3]http.Handler
	var turn atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := (turn.Add(1) - 1) % 3
		p.hits[n].Add(1)
		replicas[n].ServeHTTP(w, r)
	}))
	p.url = proxy.URL
	dir := folder(t)
	for i := range replicas {
		replicas[i] = p.replica(dir)
	}
	t.Cleanup(func() { // before the vaults
		proxy.Close()
		_ = sim.Close()
	})
	return p
}

func (p *proxied) replica(dir string) http.Handler {
	p.t.Helper()
	v := open(p.t, withKey(dir))
	opened := func(context.Context) (*vault.Vault, error) { return v, nil }
	all, err := schema.Bundled()
	if err != nil {
		p.t.Fatal(err)
	}
	consents := consent.New(consent.Options{Vault: opened})
	consents.ServedAt(p.url, nil)
	o := tools.Options{Vault: opened, Consents: consents}
	transport := providers.NewTransport()
	p.t.Cleanup(transport.CloseIdleConnections)
	for _, d := range all {
		if d.Name == "flinks" {
			c, err := providers.New(d, providers.Options{Environment: providers.Simulated, BaseURL: p.bank.URL(), ClientID: secret.New(p.bank.ClientID()),
				ClientSecret: p.bank.ClientSecret(), Transport: transport})
			if err != nil {
				p.t.Fatal(err)
			}
			o.Banks = append(o.Banks, tools.Bank{Client: c, Simulated: true})
		}
	}
	set, err := tools.New(o)
	if err != nil {
		p.t.Fatal(err)
	}
	gate := auth.New(auth.Options{})
	behind, _, err := rest.Routes(rest.Options{Tools: set, Vault: opened, Gate: gate, Version: "1"})
	if err != nil {
		p.t.Fatal(err)
	}
	mux := http.NewServeMux()
	for pattern, h := range behind {
		mux.Handle(pattern, gate.Handler(h))
	}
	mux.Handle(consent.Path, consents)
	return mux
}

// call makes a create_access_token call for Flinks with the further arguments.
func (p *proxied) call(further, key string) (said map[string]any, header http.Header) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+"/v1/create_access_token",
		strings.NewReader(`{"provider":"flinks","grant_type":"authorization_code"`+further+`}`))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil {
		err = json.Unmarshal(b, &said)
	}
	if err != nil {
		p.t.Fatalf("%v: %s", err, b)
	}
	return said, res.Header
}

// TestAnyReplica: a consent is opened at one replica, its page shown by the
// next, the browser comes back to the third, and who waits does so anywhere.
// An answer to an Idempotency-Key is given again by any.
func TestAnyReplica(t *testing.T) {
	p := startProxied(t)
	for round := range 4 { // each replica has each part
		said, _ := p.call("", "")
		address, ref := said["consent_url"].(string), said["consent_ref"].(string)
		var waiting sync.WaitGroup
		refs := make([]any, 3)
		if round == 3 { // they wait while the person is at it
			for i := range refs {
				waiting.Go(func() {
					said, _ := p.call(`,"consent_ref":"`+ref+`"`, "")
					refs[i] = said["token_ref"]
				})
			}
		}
		v, err := simulator.Consent(t.Context(), address, true)
		if err != nil || v.Status != http.StatusOK || !strings.Contains(v.Body, "Done") {
			t.Fatalf("round %d: %v %d %s", round, err, v.Status, v.Body)
		}
		waiting.Wait()
		said, _ = p.call(`,"consent_ref":"`+ref+`"`, "")
		if token, _ := said["token_ref"].(string); !strings.HasPrefix(token, "tok_") {
			t.Fatalf("round %d: %v", round, said)
		}
		for _, other := range refs {
			if round == 3 && other != said["token_ref"] {
				t.Errorf("one who waited has %v, another %v", other, said["token_ref"])
			}
		}
		if begun := p.bank.Truth().Begun; begun != round+1 {
			t.Errorf("%d grants after round %d", begun, round)
		}
	}
	for i := range p.hits {
		if p.hits[i].Load() < 5 {
			t.Errorf("replica %d had %d requests: this test could not fail", i, p.hits[i].Load())
		}
	}
	code, err := p.bank.Code(t.Context(), "https://app.example/callback", "ACCOUNT_BASIC")
	if err != nil {
		t.Fatal(err)
	}
	body := `,"redirect_uri":"https://app.example/callback","code":"` + code + `"`
	first, _ := p.call(body, "key")
	for range 3 {
		if again, h := p.call(body, "key"); again["token_ref"] != first["token_ref"] || first["token_ref"] == nil || h.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%v after %v", again, first)
		}
		if other, _ := p.call("", "key"); other["status"] != 422.0 {
			t.Errorf("another request under the key: %v", other)
		}
	}
}
