package simulator_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"regexp"
	"testing"
	"time"

	"bankauth/internal/simulator"
)

func fintecture(t *testing.T, is simulator.Fintecture) *caller {
	t.Helper()
	return start(t, simulator.NameFintecture, simulator.Switches{Fintecture: is})
}

func (c *caller) fintoken(body string) reply {
	c.Helper()
	return c.send("POST /oauth/accesstoken", body, "Content-Type", asForm, "Authorization", basic(clientID, clientSecret))
}

func (c *caller) finrefresh(token string) reply {
	c.Helper()
	return c.send("POST /oauth/refreshtoken", "grant_type=refresh_token&refresh_token="+token,
		"Content-Type", asForm, "Authorization", basic(clientID, clientSecret))
}

const pis = "grant_type=client_credentials&app_id=" + clientID + "&scope=PIS"

func TestFintectureRequests(t *testing.T) {
	right := basic(clientID, clientSecret)
	bodily := "&client_id=" + clientID + "&client_secret=" + clientSecret
	for _, x := range []struct {
		name, path, body, media, auth string
		is                            simulator.Fintecture
		status                        int
		part                          string
	}{
		{name: "client", body: pis, status: 200, part: `"token_type":"Bearer"`},
		{name: "no credentials", body: pis, auth: "-", status: 401, part: `"status":"401"`},
		{name: "wrong secret", body: pis, auth: basic(clientID, "x"), status: 401, part: "invalid_app_id"},
		{name: "wrong id", body: pis, auth: basic("x", clientSecret), status: 401, part: "invalid_app_id"},
		{name: "encoded as RFC 6749 has it", body: pis, auth: basic("client%2D1", clientSecret), status: 200},
		{name: "body credentials only", body: pis + bodily, auth: "-", status: 401, part: "invalid_app_id"},
		{name: "body credentials, lenient", body: pis + bodily, auth: "-", is: simulator.Fintecture{ClientAuth: "both"}, status: 200},
		{name: "JSON", body: `{"grant_type":"client_credentials"}`, media: asJSON, status: 400, part: "bad_request"},
		{name: "no app_id", body: "grant_type=client_credentials", status: 400, part: "mandatory_field_missing"},
		{name: "no app_id, optional", body: "grant_type=client_credentials", is: simulator.Fintecture{AppID: "optional"}, status: 200},
		{name: "another app_id", body: "grant_type=client_credentials&app_id=x", status: 401, part: "invalid_app_id"},
		{name: "twice", body: pis + "&scope=AIS", status: 400, part: "bad_request"},
		{name: "in the query", path: "/oauth/accesstoken?scope=PIS", body: pis, status: 400},
		{name: "ill scope", body: "grant_type=client_credentials&app_id=" + clientID + "&scope=a%22b", status: 401, part: "invalid_scopes"},
		{name: "any scope", body: "grant_type=client_credentials&app_id=" + clientID + "&scope=anything", status: 200},
		{name: "unknown scope, strict", body: "grant_type=client_credentials&app_id=" + clientID + "&scope=anything",
			is: simulator.Fintecture{Scopes: "known"}, status: 401, part: "invalid_scopes"},
		{name: "scope's case", body: "grant_type=client_credentials&app_id=" + clientID + "&scope=pis",
			is: simulator.Fintecture{Scopes: "known", ScopeCase: "sensitive"}, status: 401},
		{name: "scope required", body: "grant_type=client_credentials&app_id=" + clientID, is: simulator.Fintecture{Scope: "required"}, status: 400},
		{name: "organisation", body: "grant_type=client_credentials&scope=users:read+users:write", status: 200, part: `"type":"oac_token"`},
		{name: "refresh on the token path", body: "grant_type=refresh_token&refresh_token=x", status: 404, part: "not_found"},
		{name: "client on the refresh path", path: "/oauth/refreshtoken", body: pis, status: 404},
		{name: "unknown refresh token", path: "/oauth/refreshtoken", body: "grant_type=refresh_token&refresh_token=x", status: 401, part: "invalid_token"},
		{name: "the PHP path", path: "/oauth/refresh_token", body: "grant_type=refresh_token&refresh_token=x", status: 404},
		{name: "the PHP path, served", path: "/oauth/refresh_token", body: "grant_type=refresh_token&refresh_token=x",
			is: simulator.Fintecture{RefreshAlias: true}, status: 401},
		{name: "wrong code", body: "grant_type=authorization_code&scope=AIS&code=x", status: 401, part: "invalid_code"},
		{name: "wrong code, OAuth errors", body: "grant_type=authorization_code&code=x", is: simulator.Fintecture{Errors: "oauth"},
			status: 400, part: `"error":"invalid_grant"`},
		{name: "detail", body: "grant_type=authorization_code&code=x", is: simulator.Fintecture{ErrorText: "detail"}, status: 401, part: `"detail":`},
		{name: "unsigned", body: pis, is: simulator.Fintecture{SignedTokens: true}, status: 401, part: "invalid_signature"},
		{name: "unsigned on the signed path", path: "/oauth/secure/accesstoken", body: pis, status: 401},
	} {
		t.Run(x.name, func(t *testing.T) {
			c := fintecture(t, x.is)
			headers := []string{"Content-Type", asForm, "Authorization", right}
			if x.media != "" {
				headers[1] = x.media
			}
			if x.auth != "" {
				headers[3] = x.auth
			}
			path := "/oauth/accesstoken"
			if x.path != "" {
				path = x.path
			}
			c.want(c.send("POST "+path, x.body, headers...), x.status, x.part)
		})
	}
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)

func TestFintectureBodies(t *testing.T) {
	c := fintecture(t, simulator.Fintecture{})
	got := c.fintoken(pis)
	token := got.text("access_token")
	if want := `{"access_token":"` + token + `","token_type":"Bearer","expires_in":3600,"scope":"PIS"}`; got.body != want {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
	if got.header.Get("X-Request-Id") == "" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers: %v", got.header)
	}
	bad := c.fintoken("grant_type=authorization_code&code=x")
	want := `{"status":"401","code":"unauthorized","log_id":"UUID",` +
		`"errors":[{"code":"invalid_code","title":"Invalid Code","message":"The code is either wrong or expired."}]}`
	if seen := uuid.ReplaceAllString(bad.body, "UUID"); seen != want {
		t.Errorf("got  %s\nwant %s", seen, want)
	}
}

func TestFintectureCodeAndRefresh(t *testing.T) {
	c := fintecture(t, simulator.Fintecture{})
	code := c.code()
	first := c.want(c.fintoken("grant_type=authorization_code&scope=AIS&code="+code), 200, `"refresh_token":`, `"scope":"AIS"`)
	c.want(c.fintoken("grant_type=authorization_code&scope=AIS&code="+code), 401, "invalid_code")

	customer := c.bank.Truth().Grants[0].Subject
	path := "GET /ais/v1/customer/" + customer + "/accounts"
	c.want(c.send(path, "", "Authorization", "Bearer "+first.text("access_token")), 200, "Current account")

	second := c.want(c.finrefresh(first.text("refresh_token")), 200)
	if _, there := second.json["refresh_token"]; there {
		t.Error("a kept refresh token must not be repeated by default")
	}
	c.want(c.send(path, "", "Authorization", "Bearer "+first.text("access_token")), 401, "invalid_token")
	c.want(c.send(path, "", "Authorization", "Bearer "+second.text("access_token")), 200)

	c.want(c.send("DELETE /ais/v1/customer/"+customer, "", "Authorization", "Bearer "+second.text("access_token")), 204)
	c.want(c.finrefresh(first.text("refresh_token")), 401, "invalid_token")
	if c.bank.Alive(second.text("access_token")) {
		t.Error("a deleted customer's token must be dead")
	}
}

func TestFintectureTime(t *testing.T) {
	c := fintecture(t, simulator.Fintecture{})
	late := c.code()
	c.clock.pass(10 * time.Minute)
	c.want(c.fintoken("grant_type=authorization_code&code="+late), 401, "invalid_code")

	r := c.fintoken("grant_type=authorization_code&code=" + c.code())
	c.clock.pass(time.Hour)
	if c.bank.Alive(r.text("access_token")) || !c.bank.Alive(r.text("refresh_token")) {
		t.Error("after an hour the access token is dead and the refresh token is not")
	}
	c.clock.pass(180 * 24 * time.Hour)
	c.want(c.finrefresh(r.text("refresh_token")), 401)
}

func TestFintectureSigned(t *testing.T) {
	c := fintecture(t, simulator.Fintecture{})
	der, err := base64.StdEncoding.DecodeString(c.bank.PrivateKey().Reveal())
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	const path = "/ais/v2/connect?state=s&redirect_uri=" + callback
	date := c.clock.now().UTC().Format(http.TimeFormat)
	sign := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		b, err := rsa.SignPKCS1v15(nil, key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return `keyId="` + clientID + `",algorithm="rsa-sha256",headers="(request-target) date x-request-id",signature="` + base64.StdEncoding.EncodeToString(b) + `"`
	}
	right := sign("(request-target): get " + path + "\ndate: " + date + "\nx-request-id: 1")
	c.want(c.send("GET "+path, "", "app_id", clientID, "Date", date, "X-Request-Id", "1", "Signature", right), 200, "/_simulator/consent?session=")
	for name, headers := range map[string][]string{
		"none":            {"Date", date, "X-Request-Id", "1"},
		"another request": {"Date", date, "X-Request-Id", "2", "Signature", right},
		"another date":    {"Date", c.clock.now().Add(time.Second).UTC().Format(http.TimeFormat), "X-Request-Id", "1", "Signature", right},
		"another path":    {"Date", date, "X-Request-Id", "1", "Signature", sign("(request-target): get /\ndate: " + date + "\nx-request-id: 1")},
		"nonsense":        {"Date", date, "X-Request-Id", "1", "Signature", "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			c.want(c.send("GET "+path, "", append([]string{"app_id", clientID}, headers...)...), 401, "invalid_signature")
		})
	}
	c.clock.pass(6 * time.Minute)
	c.want(c.send("GET "+path, "", "app_id", clientID, "Date", date, "X-Request-Id", "1", "Signature", right), 401, "invalid_signature")
}

func TestFintectureDenied(t *testing.T) {
	c := fintecture(t, simulator.Fintecture{Connect: "any"})
	c.want(c.send("GET /ais/v2/connect?state=s&redirect_uri="+callback, "", "app_id", "x"), 401, "invalid_app_id")
	c.want(c.send("GET /ais/v2/connect?redirect_uri="+callback, "", "app_id", clientID), 400, "mandatory_field_missing")
	page := c.want(c.send("GET /oauth/token/authorize?response_type=code&app_id="+clientID+"&state=s&redirect_uri="+callback, ""), 200, "<form")
	session := regexp.MustCompile(`name="session" value="([0-9a-f]+)"`).FindStringSubmatch(page.body)[1]
	back := c.send("POST /_simulator/consent", "decision=deny&session="+session, "Content-Type", asForm)
	if got, want := back.header.Get("Location"), callback+"?error=access_denied&state=s"; back.status != 302 || got != want {
		t.Errorf("%d %q, want %q", back.status, got, want)
	}
	c.want(c.send("POST /_simulator/consent", "decision=grant&session="+session, "Content-Type", asForm), 410)
}
