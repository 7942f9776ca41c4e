package simulator_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"bankauth/internal/secret"
	"bankauth/internal/simulator"
)

func finapi(t *testing.T, is simulator.FinAPI) *caller {
	t.Helper()
	return start(t, simulator.NameFinAPI, simulator.Switches{FinAPI: is})
}

const inForm = "client_id=" + clientID + "&client_secret=" + clientSecret

func (c *caller) apitoken(params string) reply {
	c.Helper()
	return c.send("POST /api/v2/oauth/token", inForm+"&"+params, "Content-Type", asForm)
}

func (c *caller) asClient() string {
	c.Helper()
	return "Bearer " + c.want(c.apitoken("grant_type=client_credentials"), 200).text("access_token")
}

func (c *caller) postUser(body string) reply {
	c.Helper()
	return c.send("POST /api/v2/users", body, "Content-Type", asJSON, "Authorization", c.asClient())
}

// user creates alice and logs her in.
func (c *caller) user() reply {
	c.Helper()
	c.want(c.postUser(`{"id":"alice","password":"secret-1"}`), 201)
	return c.want(c.login("secret-1"), 200)
}

func (c *caller) login(password string) reply {
	c.Helper()
	return c.apitoken("grant_type=password&username=alice&password=" + password)
}

func (c *caller) apirefresh(token string) reply {
	c.Helper()
	return c.apitoken("grant_type=refresh_token&refresh_token=" + token)
}

func TestFinAPIRequests(t *testing.T) {
	client := "grant_type=client_credentials"
	for _, x := range []struct {
		name, path, body, media, auth string
		is                            simulator.FinAPI
		status                        int
		part                          string
	}{
		{name: "client", body: inForm + "&" + client, status: 200, part: `"token_type":"bearer"`},
		{name: "Basic", body: client, auth: basic(clientID, clientSecret), status: 401, part: "invalid_client"},
		{name: "Basic accepted", body: client, auth: basic(clientID, clientSecret), is: simulator.FinAPI{ClientAuth: "both"}, status: 200},
		{name: "wrong secret", body: client + "&client_id=" + clientID + "&client_secret=x", status: 401, part: `"error":"invalid_client"`},
		{name: "JSON", body: "{}", media: asJSON, status: 400, part: `"code":"BAD_REQUEST"`},
		{name: "in the query", path: "/api/v2/oauth/token?" + inForm + "&" + client, status: 400},
		{name: "unknown grant", body: inForm + "&grant_type=authorization_code", status: 400, part: `"errors":[`},
		{name: "unknown grant, OAuth", body: inForm + "&grant_type=authorization_code", is: simulator.FinAPI{Errors400: "oauth"},
			status: 400, part: `"error":"unsupported_grant_type"`},
		{name: "no password", body: inForm + "&grant_type=password&username=x", status: 400, part: "MISSING_FIELD"},
		{name: "no password, 422", body: inForm + "&grant_type=password&username=x", is: simulator.FinAPI{MissingField: 422}, status: 422},
		{name: "unknown user", body: inForm + "&grant_type=password&username=x&password=y", status: 400, part: "Bad user credentials"},
		{name: "unknown refresh token", body: inForm + "&grant_type=refresh_token&refresh_token=x", status: 400, part: "Invalid refresh token"},
		{name: "an administrator's client", body: inForm + "&grant_type=password&username=x&password=y",
			is: simulator.FinAPI{Role: "admin"}, status: 403, part: "UNAUTHORIZED_ACCESS"},
		{name: "V1 path", path: "/oauth/token", body: inForm + "&" + client, status: 403, part: "API version mismatch"},
		{name: "plain path, served", path: "/oauth/token", body: inForm + "&" + client, is: simulator.FinAPI{PlainToken: "serve"}, status: 200},
		{name: "V1 client", path: "/oauth/token", body: inForm + "&" + client, is: simulator.FinAPI{Version: "v1"}, status: 200},
		{name: "V1 client, query", path: "/oauth/token?" + inForm + "&" + client, is: simulator.FinAPI{Version: "v1"}, status: 200},
		{name: "V2 path, V1 client", body: inForm + "&" + client, is: simulator.FinAPI{Version: "v1"}, status: 403},
		{name: "never", body: inForm + "&" + client, is: simulator.FinAPI{NeverExpires: true}, status: 200, part: `"expires_in":0`},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := finapi(t, x.is)
			headers := []string{"Content-Type", asForm}
			if x.media != "" {
				headers[1] = x.media
			}
			if x.auth != "" {
				headers = append(headers, "Authorization", x.auth)
			}
			path := "/api/v2/oauth/token"
			if x.path != "" {
				path = x.path
			}
			c.want(c.send("POST "+path, x.body, headers...), x.status, x.part)
		})
	}
}

func TestFinAPIUsers(t *testing.T) {
	for _, x := range []struct {
		name, body string
		is         simulator.FinAPI
		status     int
		part       string
	}{
		{name: "empty", body: `{}`, status: 201, part: `"password":"`},
		{name: "nothing at all", body: ``, status: 400, part: "BAD_REQUEST"},
		{name: "not an object", body: `[]`, status: 400},
		{name: "all", body: `{"id":"a.B-9_+@x","password":"123456","email":"e@x","phone":"+49 1","isAutoUpdateEnabled":true}`, status: 201, part: `"email":"e@x"`},
		{name: "id of 36", body: `{"id":"` + strings.Repeat("a", 36) + `"}`, status: 201},
		{name: "id of 37", body: `{"id":"` + strings.Repeat("a", 37) + `"}`, status: 400, part: "BAD_REQUEST"},
		{name: "id with a space", body: `{"id":"a b"}`, status: 400},
		{name: "no id in it", body: `{"id":""}`, status: 400},
		{name: "password of 5", body: `{"password":"12345"}`, status: 400},
		{name: "password of 129", body: `{"password":"` + strings.Repeat("a", 129) + `"}`, status: 400},
		{name: "email of 321", body: `{"email":"` + strings.Repeat("a", 321) + `"}`, status: 400},
		{name: "phone of 51", body: `{"phone":"` + strings.Repeat("1", 51) + `"}`, status: 400},
		{name: "id of a number", body: `{"id":1}`, status: 400},
		{name: "updates disabled", body: `{"isAutoUpdateEnabled":true}`, is: simulator.FinAPI{AutoUpdate: "disabled"}, status: 422, part: "ILLEGAL_ENTITY_STATE"},
		{name: "administrator", body: `{}`, is: simulator.FinAPI{Role: "admin"}, status: 403},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := finapi(t, x.is)
			c.want(c.postUser(x.body), x.status, x.part)
		})
	}
}

func TestFinAPIBodies(t *testing.T) {
	c := finapi(t, simulator.FinAPI{})
	own := c.apitoken("grant_type=client_credentials")
	token := own.text("access_token")
	if want := `{"access_token":"` + token + `","token_type":"bearer","expires_in":3600,"scope":"all"}`; own.body != want || len(token) != 128 {
		t.Errorf("got  %s\nwant %s", own.body, want)
	}
	made := c.postUser(`{"id":"alice","password":"secret-1","email":"a@b"}`)
	if want := `{"email":"a@b","id":"alice","isAutoUpdateEnabled":false,"password":"secret-1"}`; made.body != want {
		t.Errorf("got  %s\nwant %s", made.body, want)
	}
	again := c.send("POST /api/v2/users", `{"id":"ALICE"}`, "Content-Type", asJSON, "Authorization", c.asClient(), "X-Request-Id", "mine")
	want := `{"errors":[{"message":"A user with this id already exists","code":"ENTITY_EXISTS","type":"TECHNICAL"}],` +
		`"date":"2026-03-01T12:00:00.000+00:00","requestId":"mine","endpoint":"POST /api/v2/users","authContext":"1/21","bank":null}`
	if again.body != want || again.status != 422 {
		t.Errorf("got  %d %s\nwant 422 %s", again.status, again.body, want)
	}
	shown := c.send("GET /api/v2/users", "", "Authorization", "Bearer "+c.login("secret-1").text("access_token"))
	if want := `{"email":"a@b","id":"alice","isAutoUpdateEnabled":false,"password":"XXXXX"}`; shown.body != want {
		t.Errorf("got  %s\nwant %s", shown.body, want)
	}
	dead := c.send("GET /api/v2/users", "", "Authorization", "Bearer nonsense")
	if want := `{"error":"invalid_token","error_description":"Invalid access token: nonsense"}`; dead.body != want || dead.status != 401 {
		t.Errorf("got  %d %s\nwant 401 %s", dead.status, dead.body, want)
	}
}

func TestFinAPIRequestID(t *testing.T) {
	c := finapi(t, simulator.FinAPI{})
	for sent, want := range map[string]string{"mine": "^mine$", "": "^selfgen-[0-9a-f-]{36}$", strings.Repeat("x", 255): "^x{255}$"} {
		for _, path := range []string{"GET /api/v2/accounts", "GET /nowhere", "POST /api/v2/oauth/token"} {
			if got := c.send(path, "", "X-Request-Id", sent).header.Get("X-Request-Id"); !regexp.MustCompile(want).MatchString(got) {
				t.Errorf("%s: sent %q, got %q", path, sent, got)
			}
		}
	}
	long := c.want(c.send("GET /api/v2/accounts", "", "X-Request-Id", strings.Repeat("x", 256)), 400, "BAD_REQUEST")
	if !strings.HasPrefix(long.header.Get("X-Request-Id"), "selfgen-") {
		t.Errorf("a refused id must not be echoed: %q", long.header.Get("X-Request-Id"))
	}
}

func TestFinAPISameLiveToken(t *testing.T) {
	c := finapi(t, simulator.FinAPI{})
	first := c.user()
	own := c.asClient()
	c.clock.pass(10 * time.Minute)
	again := c.want(c.login("secret-1"), 200, `"expires_in":3000`)
	if again.text("access_token") != first.text("access_token") || again.text("refresh_token") != first.text("refresh_token") {
		t.Error("the same credentials get the same live token")
	}
	if c.asClient() != own {
		t.Error("a client gets its live token again")
	}
	c.clock.pass(time.Hour)
	later := c.want(c.login("secret-1"), 200, `"expires_in":3600`)
	if later.text("access_token") == first.text("access_token") || c.asClient() == own {
		t.Error("a dead token must not be handed out again")
	}
}

func TestFinAPIRefresh(t *testing.T) {
	for mode, x := range map[string]struct{ same, alive bool }{"replace": {}, "add": {alive: true}, "same": {same: true, alive: true}} {
		c := finapi(t, simulator.FinAPI{RefreshAccess: mode})
		first := c.user()
		next := c.want(c.apirefresh(first.text("refresh_token")), 200)
		if same := next.text("access_token") == first.text("access_token"); same != x.same {
			t.Errorf("%s: same token %v", mode, same)
		}
		if alive := c.bank.Alive(first.text("access_token")); alive != x.alive {
			t.Errorf("%s: earlier token alive %v", mode, alive)
		}
		if _, there := next.json["refresh_token"]; there {
			t.Errorf("%s: a refresh token in the answer", mode)
		}
	}
	echo := finapi(t, simulator.FinAPI{RefreshEcho: true})
	token := echo.user().text("refresh_token")
	echo.want(echo.apirefresh(token), 200, token)
}

func TestFinAPIRoles(t *testing.T) {
	c := finapi(t, simulator.FinAPI{})
	user, client := "Bearer "+c.user().text("access_token"), c.asClient()
	c.want(c.send("POST /api/v2/users", "{}", "Content-Type", asJSON, "Authorization", user), 403, `"message":"Access is denied","code":"UNAUTHORIZED_ACCESS"`)
	c.want(c.send("POST /api/v2/users", "{}", "Content-Type", asJSON), 401, `"error":`)
	c.want(c.send("GET /api/v2/accounts", "", "Authorization", client), 403)
	c.want(c.send("GET /api/v2/accounts", "", "Authorization", user), 200, "Girokonto")
	c.want(c.send("DELETE /api/v2/users", "", "Authorization", user), 200)
	c.want(c.send("GET /api/v2/accounts", "", "Authorization", user), 401)
	c.want(c.login("secret-1"), 400)
}

func TestFinAPILock(t *testing.T) {
	c := finapi(t, simulator.FinAPI{MaxLogins: 3})
	live := c.user()
	c.want(c.login("wrong"), 400)
	c.want(c.login("wrong"), 400)
	c.want(c.login("secret-1"), 200)
	c.want(c.login("wrong"), 400)
	c.want(c.login("wrong"), 400)
	c.want(c.login("wrong"), 423, `"code":"LOCKED"`)
	c.want(c.login("secret-1"), 423)
	if c.bank.Alive(live.text("access_token")) || c.bank.Alive(live.text("refresh_token")) {
		t.Error("a locked user's tokens must be dead")
	}
	if u := c.bank.Truth().Users; len(u) != 1 || !u[0].Locked {
		t.Errorf("users: %+v", u)
	}
	if !c.bank.ResetPassword("Alice", secret.New("secret-2")) || c.bank.ResetPassword("bob", secret.New("secret-2")) {
		t.Error("a password is reset for a user that is there, and no other")
	}
	live = c.want(c.login("secret-2"), 200)
	c.bank.ResetPassword("alice", secret.New("secret-3"))
	if c.bank.Alive(live.text("access_token")) {
		t.Error("a new password must end the user's tokens")
	}
}

func TestFinAPIVerification(t *testing.T) {
	c := finapi(t, simulator.FinAPI{ManualVerification: true})
	c.want(c.postUser(`{"id":"alice","password":"secret-1"}`), 201)
	c.want(c.login("secret-1"), 403, "USER_NOT_VERIFIED")
	verify := func(id string) reply {
		return c.send("POST /api/v2/users/verify/"+id, "", "Authorization", c.asClient())
	}
	c.want(verify("bob"), 404, "UNKNOWN_ENTITY")
	c.want(verify("alice"), 200)
	c.want(verify("alice"), 422, "USER_ALREADY_VERIFIED")
	c.want(c.login("secret-1"), 200)
}

func TestFinAPIRevoke(t *testing.T) {
	for hint, refreshAlive := range map[string]bool{"access_token": true, "refresh_token": false, "": false} {
		c := finapi(t, simulator.FinAPI{})
		u := c.user()
		revoke := func(token, hint string) reply {
			return c.send("POST /api/v2/oauth/revoke", "token="+token+"&token_type_hint="+hint, "Content-Type", asForm, "Authorization", c.asClient())
		}
		token := u.text("access_token")
		if hint == "refresh_token" {
			token = u.text("refresh_token")
		}
		c.want(revoke(token, hint), 200)
		c.want(revoke("unknown", hint), 200)
		c.want(revoke(token, "id_token"), 400)
		if c.bank.Alive(u.text("access_token")) || c.bank.Alive(u.text("refresh_token")) != refreshAlive {
			t.Errorf("hint %q: access alive %v, refresh alive %v", hint, c.bank.Alive(u.text("access_token")), c.bank.Alive(u.text("refresh_token")))
		}
	}
}

func TestFinAPIHasNoCodes(t *testing.T) {
	c := finapi(t, simulator.FinAPI{})
	if _, err := c.bank.Code(c.Context(), callback, ""); err == nil || !strings.Contains(err.Error(), "password grant") {
		t.Errorf("err = %v", err)
	}
}
