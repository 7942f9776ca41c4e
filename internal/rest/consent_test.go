package rest_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"bankauth/internal/simulator"
	"bankauth/tools"
)

// TestConsent: without a code the answer names the page for the person, and
// the same request with consent_ref has what came of it. send holds each
// answer against the description.
func TestConsent(t *testing.T) {
	w := open(t, tools.Handle)
	me, other := w.client("me"), w.client("other")
	ask := func(provider, ref string) string {
		args := map[string]string{"provider": provider, "grant_type": "authorization_code"}
		if ref != "" {
			args["consent_ref"] = ref
		}
		b, _ := json.Marshal(args)
		return string(b)
	}
	const path = "/v1/create_access_token"
	for _, c := range []struct {
		provider string
		grant    bool
	}{{"fintecture", true}, {"flinks", true}, {"fintecture", false}, {"flinks", false}} {
		asked := w.refused(http.StatusConflict, "consent_required", "POST", path, ask(c.provider, ""), "Authorization", me)
		url, _ := asked.body["consent_url"].(string)
		ref, _ := asked.body["consent_ref"].(string)
		if url != w.url+"/consent/"+ref || asked.body["retryable"] != false {
			t.Fatalf("%s: %s", c.provider, asked.text)
		}
		w.refused(http.StatusBadRequest, "invalid_argument", "POST", path, ask(c.provider, ref), "Authorization", other)
		for who, status := range map[string]int{"": http.StatusFound, me: http.StatusFound, other: http.StatusForbidden, "Bearer bka_nobody": http.StatusForbidden} {
			if got := w.page(url, who); got != status {
				t.Errorf("%s: the page answers %q with %d, want %d", c.provider, who, got, status)
			}
		}
		if _, err := simulator.Consent(t.Context(), url, c.grant); err != nil {
			t.Fatal(err)
		}
		if !c.grant {
			w.refused(http.StatusConflict, "reauthorize", "POST", path, ask(c.provider, ref), "Authorization", me)
			continue
		}
		made := w.ok("POST", path, ask(c.provider, ref), "Authorization", me)
		w.ok("GET", "/v1/tokens/"+made.body["token_ref"].(string), "", "Authorization", me)
	}
	for _, name := range []string{"consent_url", "consent_ref"} {
		if about := member(w.doc, "components", "schemas", "Problem", "properties", name, "description"); about == nil {
			t.Errorf("the description says nothing of %s", name)
		}
	}
}

// page asks for a consent's page as a browser of who would, and returns the
// status.
func (w *world) page(url, who string) int {
	w.t.Helper()
	q, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if who != "" {
		q.Header.Set("Authorization", who)
	}
	a, err := http.DefaultTransport.RoundTrip(q) // a redirect is the answer
	if err != nil {
		w.t.Fatal(err)
	}
	_ = a.Body.Close()
	return a.StatusCode
}
