package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"bankauth/internal/simulator"
)

// Three servers on one vault behind a proxy that sends each request to the
// next: a consent is opened, shown, answered and asked for at different ones.
// All are killed after each step, and nothing of it is lost.
func TestServeReplicas(t *testing.T) {
	bank, env := simulation(t)
	var targets [3]atomic.Pointer[httputil.ReverseProxy]
	var turn atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		targets[turn.Add(1)%3].Load().ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	env = append(env, "BANKAUTH_PUBLIC_URL="+proxy.URL)
	var running [3]*program
	anew := func() {
		for i := range running {
			if running[i] != nil {
				_ = running[i].cmd.Process.Kill()
				_ = running[i].cmd.Wait()
			}
			running[i] = start(t, env, "serve", "--listen", "127.0.0.1:0")
			target, err := url.Parse(where(t, running[i]))
			if err != nil {
				t.Fatal(err)
			}
			if said := running[i].hear(t); said != "clients reach it at "+proxy.URL+"/mcp" {
				t.Errorf("the server says %q", said)
			}
			p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: &http.Transport{DisableKeepAlives: true}}
			targets[i].Store(p)
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(further string) (said map[string]any, again string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, proxy.URL+"/v1/create_access_token",
			strings.NewReader(`{"provider":"flinks","grant_type":"authorization_code"`+further+`}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "key-"+strconv.Itoa(len(further)))
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err == nil {
			err = json.Unmarshal(b, &said)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		return said, res.Header.Get("Idempotency-Replayed")
	}
	anew()
	said, _ := ask("")
	address, _ := said["consent_url"].(string)
	if !strings.HasPrefix(address, proxy.URL) {
		t.Fatalf("%v", said)
	}
	anew()
	if v, err := simulator.Consent(t.Context(), address, true); err != nil || !strings.Contains(v.Body, "Done") {
		t.Fatalf("%v: %d %s", err, v.Status, v.Body)
	}
	anew()
	further := `,"consent_ref":"` + said["consent_ref"].(string) + `"`
	first, again := ask(further)
	if token, _ := first["token_ref"].(string); !strings.HasPrefix(token, "tok_") || again != "" {
		t.Fatalf("%v %q", first, again)
	}
	anew()
	for range 3 {
		if second, again := ask(further); second["token_ref"] != first["token_ref"] || again != "true" {
			t.Errorf("%v %q after %v", second, again, first)
		}
	}
	if n := bank.Truth().Begun; n != 1 {
		t.Errorf("%d grants", n)
	}
}
