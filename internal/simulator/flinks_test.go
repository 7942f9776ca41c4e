package simulator_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"bankauth/internal/simulator"
)

func flinks(t *testing.T, is simulator.Flinks) *caller {
	t.Helper()
	return start(t, simulator.NameFlinks, simulator.Switches{Flinks: is})
}

const inBody = `"client_id":"` + clientID + `","client_secret":"` + clientSecret + `"`

func (c *caller) flitoken(members string) reply {
	c.Helper()
	return c.send("POST /api/v1/token", "{"+inBody+","+members+"}", "Content-Type", asJSON)
}

func (c *caller) flicode(code string) reply {
	c.Helper()
	return c.flitoken(`"grant_type":"authorization_code","code":"` + code + `","redirect_uri":"` + callback + `"`)
}

func (c *caller) flirefresh(token string) reply {
	c.Helper()
	return c.flitoken(`"grant_type":"refresh_token","refresh_token":"` + token + `"`)
}

func TestFlinksRequests(t *testing.T) {
	client := `"grant_type":"client_credentials"`
	for _, x := range []struct {
		name, body, media, auth string
		is                      simulator.Flinks
		status                  int
		part                    string
	}{
		{name: "body", body: "{" + inBody + "," + client + "}", status: 200, part: `"token_type":"Bearer"`},
		{name: "Basic", body: "{" + client + "}", auth: basic(clientID, clientSecret), status: 200},
		{name: "Basic refused", body: "{" + client + "}", auth: basic(clientID, clientSecret),
			is: simulator.Flinks{ClientAuth: "body"}, status: 400, part: "invalid_client"},
		{name: "wrong secret", body: "{" + client + "}", auth: basic(clientID, "x"), status: 400, part: `"error":"invalid_client"`},
		{name: "wrong secret, 401", body: "{" + client + "}", is: simulator.Flinks{InvalidClient: 401}, status: 401},
		{name: "form", body: "grant_type=client_credentials", media: asForm, status: 400, part: "invalid_request"},
		{name: "empty object", body: "{}", status: 400, part: "invalid_request"},
		{name: "not an object", body: "[]", status: 400, part: "invalid_request"},
		{name: "two objects", body: "{} {}", status: 400, part: "invalid_request"},
		{name: "a number", body: "{" + inBody + `,"grant_type":1}`, status: 400, part: "invalid_request"},
		{name: "twice", body: "{" + inBody + "," + client + "," + client + "}", status: 400, part: "invalid_request"},
		{name: "null", body: "{" + inBody + "," + client + `,"code":null}`, status: 200},
		{name: "unknown grant", body: "{" + inBody + `,"grant_type":"password"}`, status: 400, part: "unsupported_grant_type"},
		{name: "ill scope", body: "{" + inBody + "," + client + `,"scope":"a  b"}`, status: 400, part: "invalid_scope"},
		{name: "unknown scope", body: "{" + inBody + "," + client + `,"scope":"x"}`, is: simulator.Flinks{Scopes: "known"}, status: 400, part: "invalid_scope"},
		{name: "zero", body: "{" + inBody + "," + client + "}", is: simulator.Flinks{ExpiresIn: "zero"}, status: 200, part: `"expires_in":0`},
		{name: "unknown code", body: "{" + inBody + `,"grant_type":"authorization_code","code":"x","redirect_uri":"y"}`, status: 400, part: "invalid_grant"},
		{name: "no redirect_uri", body: "{" + inBody + `,"grant_type":"authorization_code","code":"x"}`, status: 400, part: "invalid_request"},
		{name: "unknown refresh token", body: "{" + inBody + `,"grant_type":"refresh_token","refresh_token":"x"}`, status: 400, part: "invalid_grant"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := flinks(t, x.is)
			headers := []string{"Content-Type", asJSON}
			if x.media != "" {
				headers[1] = x.media
			}
			if x.auth != "" {
				headers = append(headers, "Authorization", x.auth)
			}
			c.want(c.send("POST /api/v1/token", x.body, headers...), x.status, x.part)
		})
	}
}

func (c *caller) claims(token string) map[string]any {
	c.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		c.Fatalf("not a JWT: %q", token)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		c.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(b, &claims); err != nil {
		c.Fatal(err)
	}
	return claims
}

func TestFlinksBodies(t *testing.T) {
	c := flinks(t, simulator.Flinks{})
	r := c.flicode(c.codeFor("alice"))
	want := `{"access_token":"` + r.text("access_token") + `","token_type":"Bearer","refresh_token":"` + r.text("refresh_token") + `","expires_in":299}`
	if r.body != want {
		t.Errorf("got  %s\nwant %s", r.body, want)
	}
	claims := c.claims(r.text("access_token"))
	if claims["client_id"] != clientID || len(claims["sub"].(string)) != 36 || claims["exp"] != float64(c.clock.now().Unix()+299) {
		t.Errorf("claims: %v", claims)
	}
	own := c.claims(c.flitoken(`"grant_type":"client_credentials"`).text("access_token"))
	if _, there := own["sub"]; there {
		t.Error("a client's token must have no sub by default")
	}
	next := c.flirefresh(r.text("refresh_token"))
	if want := `{"access_token":"` + next.text("access_token") + `","token_type":"Bearer","expires_in":299}`; next.body != want {
		t.Errorf("got  %s\nwant %s", next.body, want)
	}
	if next.text("access_token") == r.text("access_token") || !c.bank.Alive(r.text("access_token")) {
		t.Error("a refresh gives another access token and leaves the earlier one alive")
	}
}

func TestFlinksClocks(t *testing.T) {
	c := flinks(t, simulator.Flinks{})
	r := c.flicode(c.code())
	for range 3 {
		c.clock.pass(29 * 24 * time.Hour)
		c.want(c.flirefresh(r.text("refresh_token")), 200)
	}
	c.clock.pass(30 * 24 * time.Hour)
	c.want(c.flirefresh(r.text("refresh_token")), 400, "invalid_grant")

	r = c.flicode(c.code())
	c.want(c.send("GET /api/v1/accounts", "", "Authorization", "Bearer "+r.text("access_token")), 200, "Chequing")
	c.clock.pass(299 * time.Second)
	late := c.want(c.send("GET /api/v1/accounts", "", "Authorization", "Bearer "+r.text("access_token")), 401, `"code":602`)
	if late.header.Get("ob-correlation-id") == "" {
		t.Error("data answers carry ob-correlation-id")
	}
}

func TestFlinksOneLoginSupersedesAnother(t *testing.T) {
	for login, status := range map[string]int{"supersede": 400, "keep": 200} {
		c := flinks(t, simulator.Flinks{Login: login})
		alice, bob := c.flicode(c.codeFor("alice")), c.flicode(c.codeFor("bob"))
		c.want(c.flicode(c.codeFor("alice")), 200)
		c.want(c.flirefresh(alice.text("refresh_token")), status)
		c.want(c.flirefresh(bob.text("refresh_token")), 200)
	}
}

func TestFlinksCodes(t *testing.T) {
	c := flinks(t, simulator.Flinks{CodeReuse: "revoke"})
	code := c.code()
	other := strings.Replace(callback, "callback", "other", 1)
	c.want(c.flitoken(`"grant_type":"authorization_code","code":"`+code+`","redirect_uri":"`+other+`"`), 400, "invalid_grant")
	r := c.want(c.flicode(code), 200)
	c.want(c.flicode(code), 400, "invalid_grant")
	if c.bank.Alive(r.text("refresh_token")) || c.bank.Alive(r.text("access_token")) {
		t.Error("with CodeReuse revoke the code's tokens must be dead")
	}
}

func TestFlinksRevoke(t *testing.T) {
	for _, method := range []string{"DELETE", "POST"} {
		c := flinks(t, simulator.Flinks{})
		r := c.flicode(c.code())
		bearer := "Bearer " + r.text("access_token")
		if got := c.want(c.send(method+" /api/v1/revoke", "", "Authorization", bearer), 200); got.body != "" {
			t.Errorf("revoke has no body: %q", got.body)
		}
		c.want(c.flirefresh(r.text("refresh_token")), 400, "invalid_grant")
		c.want(c.send(method+" /api/v1/revoke", "", "Authorization", bearer), 400, "invalid_request")
	}
}

func TestFlinksAuthorize(t *testing.T) {
	c := flinks(t, simulator.Flinks{Scopes: "known"})
	query := url.Values{"client_id": {clientID}, "redirect_uri": {callback}, "response_type": {"code"}, "state": {`<s>"`}, "scope": {"ACCOUNT_BASIC"}}
	page := c.want(c.send("GET /api/v1/authorize?"+query.Encode(), ""), 200, "<button", "ACCOUNT_BASIC")
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("the policy is not strict: %q", csp)
	}
	query.Set("scope", "x")
	back, err := url.Parse(c.send("GET /api/v1/authorize?"+query.Encode(), "").header.Get("Location"))
	if err != nil || back.Query().Get("error") != "invalid_scope" || back.Query().Get("state") != `<s>"` {
		t.Errorf("redirect: %v %v", back, err)
	}
	query.Set("redirect_uri", "javascript:alert(1)")
	c.want(c.send("GET /api/v1/authorize?"+query.Encode(), ""), 400, "invalid_request")
	query.Set("redirect_uri", callback)
	query.Set("client_id", "x")
	c.want(c.send("GET /api/v1/authorize?"+query.Encode(), ""), 400, "invalid_request")
}

func TestFlinksPageEscapes(t *testing.T) {
	c := flinks(t, simulator.Flinks{})
	query := url.Values{"client_id": {clientID}, "redirect_uri": {callback + "?a=<b>"}, "response_type": {"code"}, "scope": {"<script>&"}}
	page := c.want(c.send("GET /api/v1/authorize?"+query.Encode(), ""), 200, "&lt;script&gt;&amp;", "a=&lt;b&gt;")
	if strings.Contains(page.body, "<script>") || strings.Contains(page.body, "<b>") {
		t.Errorf("the page does not escape:\n%s", page.body)
	}
}
