package rest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/problem"
	"bankauth/internal/simulator"
	"bankauth/tools"
)

const (
	create  = "/v1/create_access_token"
	refresh = "/v1/refresh_token"
	user    = "/v1/create_user"
	client  = `{"provider":"flinks","grant_type":"client_credentials"}`
)

func TestJourneys(t *testing.T) {
	for _, exposure := range []tools.Exposure{tools.Handle, tools.Token, tools.Full} {
		t.Run(string(exposure), func(t *testing.T) {
			w := open(t, exposure)
			first := w.ok("POST", create, `{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS"}`)
			if (first.body["access_token"] != nil) != (exposure != tools.Handle) {
				t.Errorf("got %s", first.text)
			}
			if again := w.ok("POST", create, `{"provider":"fintecture","grant_type":"client_credentials","scope":"PIS"}`); again.body["reused"] != true {
				t.Errorf("got %s", again.text)
			}
			made := w.ok("POST", user, `{"provider":"finapi"}`)
			acting := w.ok("POST", create, fmt.Sprintf(`{"provider":"finapi","grant_type":"password","username":%q}`, made.body["id"]))
			w.ok("POST", refresh, fmt.Sprintf(`{"token_ref":%q,"force":true}`, acting.body["token_ref"]))
			code, err := w.sim.Bank("flinks").Code(t.Context(), "https://app.example/callback", "ACCOUNT_BASIC")
			if err != nil {
				t.Fatal(err)
			}
			w.ok("POST", create, fmt.Sprintf(`{"provider":"flinks","grant_type":"authorization_code","code":%q,"redirect_uri":"https://app.example/callback"}`, code))
			listed := w.ok("GET", "/v1/tokens", "")
			if n := len(listed.body["tokens"].([]any)); n < 4 {
				t.Errorf("%d tokens are listed: %s", n, listed.text)
			}
			if strings.Contains(listed.text, "access_token") || strings.Contains(listed.text, "refresh_token\"") {
				t.Errorf("a list shows secrets in no exposure: %s", listed.text)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	w := open(t, tools.Handle)
	var refs []string
	for _, scope := range []string{"PIS", "customers", "AIS"} {
		g := w.ok("POST", create, `{"provider":"fintecture","grant_type":"client_credentials","scope":"`+scope+`"}`)
		refs = append(refs, g.body["token_ref"].(string))
	}
	var paged []string
	for path := "/v1/tokens?limit=2"; path != ""; {
		g := w.ok("GET", path, "")
		for _, about := range g.body["tokens"].([]any) {
			paged = append(paged, about.(map[string]any)["token_ref"].(string))
		}
		path = ""
		if next, more := g.body["next"].(string); more {
			path = "/v1/tokens?limit=2&after=" + next
		}
	}
	// Two of one millisecond have no order that we know.
	if !slices.Equal(slices.Sorted(slices.Values(paged)), slices.Sorted(slices.Values(refs))) {
		t.Errorf("the pages have %v, want %v", paged, refs)
	}
	one := w.ok("GET", "/v1/tokens/"+refs[0], "")
	if one.body["token_ref"] != refs[0] || one.body["state"] != "live" || one.body["scope"] != "PIS" {
		t.Errorf("got %s", one.text)
	}
	w.refused(400, "invalid_argument", "DELETE", "/v1/tokens/"+refs[0]+"?force=perhaps", "")
	gone := w.ok("DELETE", "/v1/tokens/"+refs[0], "")
	if gone.body["token_ref"] != refs[0] || gone.body["outcome"] != "erased" { // Fintecture has no way to end one
		t.Errorf("got %s", gone.text)
	}
	w.refused(404, "invalid_argument", "GET", "/v1/tokens/"+refs[0], "")
	w.refused(404, "invalid_argument", "DELETE", "/v1/tokens/"+refs[0], "")
	w.refused(400, "invalid_argument", "POST", refresh, `{"token_ref":"`+refs[0]+`"}`)
	w.refused(404, "invalid_argument", "GET", "/v1/tokens/canary", "")
	for _, query := range []string{"limit=0", "limit=1001", "limit=canary", "limit=", "after=canary", "after=tok_" + strings.Repeat("a", 32)} {
		w.refused(400, "invalid_argument", "GET", "/v1/tokens?"+query, "")
	}
}

// TestBusy: without a place whatever may ask a provider is answered busy, and
// what needs none is served: lists, and answers that are given again.
func TestBusy(t *testing.T) {
	w := open(t, tools.Handle)
	made := w.ok("POST", create, client, "Idempotency-Key", "k")
	ref := made.body["token_ref"].(string)
	w.full.Store(true)
	for _, q := range []struct{ method, path, body string }{
		{"POST", create, client}, {"POST", refresh, `{"token_ref":"` + ref + `"}`}, {"POST", user, `{"provider":"finapi"}`}, {"DELETE", "/v1/tokens/" + ref, ""},
	} {
		if g := w.refused(503, "busy", q.method, q.path, q.body); g.Header.Get("Retry-After") != "1" || g.Header.Get("X-Correlation-Id") != g.body["correlation_id"] {
			t.Errorf("%s %s: %v", q.method, q.path, g.Header)
		}
	}
	w.refused(503, "busy", "POST", create, client, "Idempotency-Key", "other")
	if again := w.ok("POST", create, client, "Idempotency-Key", "k"); again.text != made.text {
		t.Errorf("got %s", again.text)
	}
	w.ok("GET", "/v1/tokens", "")
	w.full.Store(false)
	w.ok("POST", create, client, "Idempotency-Key", "other")
}

// TestPagesGoOn: a page is followed by the next though tokens have been revoked
// meanwhile.
func TestPagesGoOn(t *testing.T) {
	w := open(t, tools.Handle)
	var refs []string
	for _, scope := range []string{"PIS", "customers", "AIS"} {
		refs = append(refs, w.ok("POST", create, `{"provider":"fintecture","grant_type":"client_credentials","scope":"`+scope+`"}`).body["token_ref"].(string))
		time.Sleep(2 * time.Millisecond) // so that the order is theirs
	}
	next := w.ok("GET", "/v1/tokens?limit=2", "").body["next"].(string)
	rest := func() string { return w.ok("GET", "/v1/tokens?after="+next, "").text }
	if got := rest(); !strings.Contains(got, refs[2]) || strings.Contains(got, refs[1]) {
		t.Errorf("got %s", got)
	}
	w.ok("DELETE", "/v1/tokens/"+refs[1], "")
	if got := rest(); !strings.Contains(got, refs[2]) || strings.Contains(got, refs[0]) {
		t.Errorf("after the last of the page has gone: %s", got)
	}
	if got := w.ok("GET", "/v1/tokens?after="+refs[0], "").text; !strings.Contains(got, refs[2]) || strings.Contains(got, refs[0]) {
		t.Errorf("after a token_ref: %s", got)
	}
	w.ok("DELETE", "/v1/tokens/"+refs[2], "")
	if got := rest(); !strings.Contains(got, `"tokens":[]`) {
		t.Errorf("after all have gone: %s", got)
	}
	for _, cut := range []string{refs[0] + ".", refs[0] + ".canary!", "canary.1", ".1"} {
		w.refused(400, "invalid_argument", "GET", "/v1/tokens?after="+cut, "")
	}
}

func TestRefused(t *testing.T) {
	w := open(t, tools.Handle)
	for _, c := range []struct {
		status       int
		method, path string
		body         string
		headers      []string
	}{
		{404, "POST", "/v1/canary", client, nil},
		{404, "GET", "/v1/", "", nil},
		{404, "GET", "/docs/canary", "", nil},
		{404, "GET", "/docs/problems/canary", "", nil},
		{404, "GET", "/v1/tokens/a/b", "", nil},
		{405, "GET", create, "", nil},
		{405, "PUT", create, client, nil},
		{405, "POST", "/v1/tokens", client, nil},
		{405, "PATCH", "/v1/tokens/tok_x", client, nil},
		{415, "POST", create, client, []string{"Content-Type", "text/plain"}},
		{415, "POST", create, client, []string{"Content-Type", ""}},
		{415, "POST", create, client, []string{"Content-Type", "application/json; charset=latin1"}},
		{413, "POST", create, `{"provider":"` + strings.Repeat("a", 256<<10) + `"}`, nil},
		{400, "POST", create, "", nil},
		{400, "POST", create, "canary", nil},
		{400, "POST", create, client + client, nil},
		{400, "POST", create, "[]", nil},
		{400, "POST", create, "{\"provider\":\"\xff\"}", nil},
		{400, "POST", create, `{"provider":"canary","grant_type":"client_credentials"}`, nil},
		{400, "POST", create, `{"provider":"flinks","grant_type":"client_credentials","colour":"canary"}`, nil},
		{400, "POST", create, `{"provider":"flinks","grant_type":"client_credentials","client_secret":"canary"}`, nil},
		{400, "POST", create, client, []string{"Idempotency-Key", "canary canary"}},
		{400, "POST", create, client, []string{"Idempotency-Key", strings.Repeat("a", 256)}},
		{400, "POST", create, client, []string{"Idempotency-Key", `""`}},
	} {
		g := w.refused(c.status, "invalid_argument", c.method, c.path, c.body, c.headers...)
		if c.status == 405 && g.Header.Get("Allow") == "" {
			t.Errorf("%s %s: Allow is missing", c.method, c.path)
		}
	}
	w.refused(422, "unsupported", "POST", user, `{"provider":"flinks"}`)
	w.ok("POST", create, client, "Content-Type", "Application/JSON; charset=UTF-8")
}

// TestStatuses: what a provider does shows in the status.
func TestStatuses(t *testing.T) {
	w := open(t, tools.Handle)
	forced := `{"provider":"flinks","grant_type":"client_credentials","force":true}`
	for name, c := range map[string]struct {
		fault  simulator.Fault
		status int
		code   string
	}{
		"429":     {simulator.Fault{Status: 429, Headers: map[string]string{"Retry-After": "7"}}, 429, "rate_limited"},
		"503":     {simulator.Fault{Status: 503}, 503, "unavailable"},
		"dropped": {simulator.Fault{DropAfter: true}, 504, "uncertain"},
	} {
		c.fault.Times, c.fault.Tool = 1, "create_access_token"
		w.sim.Bank("flinks").SetFault(c.fault)
		g := w.refused(c.status, c.code, "POST", create, forced)
		if g.body["retryable"] != true || (name == "429") != (g.Header.Get("Retry-After") == "7") {
			t.Errorf("%s: %s %v", name, g.text, g.Header)
		}
	}
	w.ok("POST", user, `{"provider":"finapi","id":"erika"}`)
	w.refused(409, "conflict", "POST", user, `{"provider":"finapi","id":"erika"}`)
	w.refused(409, "reauthorize", "POST", create, `{"provider":"flinks","grant_type":"authorization_code","code":"spent","redirect_uri":"https://app.example/callback"}`)
}

// TestEveryCode: each code of the closed list has a status and a page.
func TestEveryCode(t *testing.T) {
	w := open(t, tools.Handle)
	for _, code := range fault.Codes() {
		p := problem.Of(fault.New(code, "m", "h"), "")
		res, err := http.Get(w.url + p.Type)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || p.Status < 400 || p.Title == "" {
			t.Errorf("%s: %s, %+v", code, res.Status, p)
		}
	}
}

// TestTwoClients: what one made, the other neither sees nor reaches, and is
// told the same as of what never was.
func TestTwoClients(t *testing.T) {
	w := open(t, tools.Handle)
	a, b := w.client("a"), w.client("b")
	w.describe() // now a token is needed
	mine := w.ok("POST", create, client, "Authorization", a)
	ref := mine.body["token_ref"].(string)
	never := "tok_" + strings.Repeat("a", 32)
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v1/tokens/REF", ""},
		{"DELETE", "/v1/tokens/REF", ""},
		{"POST", refresh, `{"token_ref":"REF"}`},
		{"POST", refresh, `{"token_ref":"REF","force":true}`},
		{"GET", "/v1/tokens?after=REF", ""},
	} {
		var said []string
		for _, r := range []string{ref, never} {
			g := w.send(c.method, strings.ReplaceAll(c.path, "REF", r), strings.ReplaceAll(c.body, "REF", r), "Authorization", b)
			delete(g.body, "correlation_id")
			said = append(said, fmt.Sprint(g.StatusCode, g.body))
		}
		if said[0] != said[1] || !strings.HasPrefix(said[0], "40") {
			t.Errorf("%s %s: another's token is answered\n%s\nand an unknown one\n%s", c.method, c.path, said[0], said[1])
		}
	}
	if other := w.ok("POST", create, client, "Authorization", b); other.body["token_ref"] == ref || other.body["reused"] != false {
		t.Errorf("b was handed a's token: %s", other.text)
	}
	if listed := w.ok("GET", "/v1/tokens", "", "Authorization", a); len(listed.body["tokens"].([]any)) != 1 || !strings.Contains(listed.text, ref) {
		t.Errorf("a's list: %s", listed.text)
	}
	made := w.ok("POST", user, `{"provider":"finapi"}`, "Authorization", a)
	w.refused(400, "invalid_argument", "POST", create, fmt.Sprintf(`{"provider":"finapi","grant_type":"password","username":%q}`, made.body["id"]), "Authorization", b)
	w.ok("GET", "/v1/tokens/"+ref, "", "Authorization", a)
}

func TestScopes(t *testing.T) {
	w := open(t, tools.Handle)
	w.client("somebody")
	w.describe()
	requests := map[string]struct{ method, path, body string }{
		"tokens:create":  {"POST", create, client},
		"tokens:refresh": {"POST", refresh, `{"token_ref":"tok_x"}`},
		"users:create":   {"POST", user, `{"provider":"finapi"}`},
		"tokens:use":     {"GET", "/v1/tokens", ""},
	}
	for held := range requests {
		token := w.client("only-"+strings.ReplaceAll(held, ":", "-"), held)
		for needed, q := range requests {
			g := w.send(q.method, q.path, q.body, "Authorization", token)
			challenge := g.Header.Get("WWW-Authenticate")
			if lacking := held != needed; lacking != (g.StatusCode == 403) || lacking != strings.Contains(challenge, "insufficient_scope") || lacking && !strings.Contains(challenge, needed) {
				t.Errorf("with %s, %s %s: %s %s", held, q.method, q.path, g.Status, challenge)
			}
		}
		if g := w.send("DELETE", "/v1/tokens/tok_x", "", "Authorization", token); (g.StatusCode == 403) != (held != "tokens:create") {
			t.Errorf("with %s, DELETE: %s", held, g.Status)
		}
	}
	w.refused(401, "credentials_rejected", "GET", "/v1/tokens", "")
	w.refused(401, "credentials_rejected", "POST", create, client, "Authorization", "Bearer canary")
	w.refused(401, "credentials_rejected", "POST", "/v1/canary", client)
}
