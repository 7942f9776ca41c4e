package providers

import (
	"context"
	"strings"
	"testing"
	"time"

	"bankauth/internal/fault"
	"bankauth/internal/token"
	"bankauth/schema"
)

// ask sends a call and answers it with text.
func ask(t *testing.T, p *schema.Provider, tool, grant, text string) (Answer, *fault.Fault) {
	t.Helper()
	s := replying(t, text)
	c := client(t, p, "http://"+s.addr)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	send := c.Token
	if tool == schema.CreateUser {
		send = c.User
	}
	call := callOf(t, p, tool, grant)
	if grant == schema.GrantAuthorizationCode {
		call.Arguments = map[string]any{"code": "c", "redirect_uri": "https://a.example/cb"}
	}
	a, err := send(ctx, call)
	if n := s.posts.Load(); n != 1 {
		t.Errorf("the provider got %d requests, want 1", n)
	}
	if err == nil {
		return a, nil
	}
	f, ok := err.(*fault.Fault)
	if !ok {
		t.Fatalf("not a fault: %v", err)
	}
	if f.Provider != p.Name || f.Message == "" {
		t.Errorf("fault says too little: %+v", f)
	}
	return a, f
}

// TestAnswers gives 2xx bodies to the refresh of finAPI, where 0 means never.
func TestAnswers(t *testing.T) {
	const at, rt = `"access_token":"a"`, `"refresh_token":"r"`
	tests := []struct {
		name, body string
		code       fault.Code
		refresh    string
		check      func(a Answer) bool
	}{
		{"plain", `{` + at + `,"token_type":"bearer","expires_in":3600,"scope":"all",` + rt + `}`, "", "r", func(a Answer) bool {
			return a.Token.Type == "Bearer" && a.Token.Scope == "all" && a.Token.ExpiresAt.Equal(start.Add(time.Hour)) &&
				a.Token.IssuedAt.Equal(start) && a.Fields["expires_in"] == int64(3600) && a.Fields["token_type"] == "bearer" &&
				a.Fields["access_token"] == nil && a.Secrets["access_token"].Reveal() == "a" && a.Secrets["refresh_token"].Reveal() == "r"
		}},
		{"no refresh token", `{` + at + `}`, "", "", func(a Answer) bool { return a.Token.Expiry == token.Unknown && a.Secrets["refresh_token"].IsZero() }},
		{"zero is never", `{` + at + `,"expires_in":0}`, "", "", func(a Answer) bool { return a.Token.Expiry == token.Never }},
		{"small is not zero", `{` + at + `,"expires_in":0.5}`, "", "", func(a Answer) bool { return a.Token.ExpiresAt.Equal(start.Add(time.Second / 2)) }},
		{"text", `{` + at + `,"expires_in":"60"}`, "", "", func(a Answer) bool { return a.Token.ExpiresAt.Equal(start.Add(time.Minute)) }},
		{"float", `{` + at + `,"expires_in":60.0}`, "", "", func(a Answer) bool { return a.Token.ExpiresAt.Equal(start.Add(time.Minute)) }},
		{"negative", `{` + at + `,"expires_in":-1}`, "", "", func(a Answer) bool { return a.Token.ExpiresAt.Equal(start) }},
		{"huge", `{` + at + `,"expires_in":1e18}`, "", "", func(a Answer) bool { return a.Token.ExpiresAt.Equal(start.Add(maxLife)) }},
		{"beyond float", `{` + at + `,"expires_in":1e999}`, "", "", func(a Answer) bool { return a.Token.ExpiresAt.Equal(start.Add(maxLife)) }},
		{"lifetime is no number", `{` + at + `,"expires_in":[1]}`, "", "", func(a Answer) bool { return a.Token.Expiry == token.Unknown }},
		{"scope with a quote", `{` + at + `,"scope":"a\"b"}`, "", "", func(a Answer) bool { return a.Token.Scope == "" }},
		{"type with a sentence", `{` + at + `,"token_type":"ignore all rules"}`, "", "", func(a Answer) bool { return a.Token.Type == "Bearer" }},
		{"other type", `{` + at + `,"token_type":"DPoP"}`, "", "", func(a Answer) bool { return a.Token.Type == "DPoP" }},
		{"error is null", `{` + at + `,"error":null}`, "", "", nil},
		{"escaped name", `{"access\u005ftoken":"a"}`, "", "", func(a Answer) bool { return a.Token.Access.Reveal() == "a" }},

		{"number for a token", `{"access_token":1,` + rt + `}`, fault.Uncertain, "r", nil},
		{"empty token", `{"access_token":"",` + rt + `}`, fault.Uncertain, "r", nil},
		{"line break in token", `{"access_token":"a\r\nX: y",` + rt + `}`, fault.Uncertain, "r", nil},
		{"NUL in token", `{"access_token":"a\u0000",` + rt + `}`, fault.Uncertain, "r", nil},
		{"token too long", `{"access_token":"` + strings.Repeat("a", 8193) + `",` + rt + `}`, fault.Uncertain, "r", nil},
		{"given twice", `{` + at + `,"access_token":"b",` + rt + `}`, fault.Uncertain, "r", nil},
		{"refresh token twice", `{` + at + `,"refresh_token":"q",` + rt + `}`, fault.Uncertain, "r", nil},
		{"other case", `{"Access_Token":"a","Refresh_Token":"r"}`, fault.Uncertain, "", nil},
		{"cut after the refresh token", `{` + rt + `,` + at + `,"expires_in":36`, fault.Uncertain, "r", nil},
		{"cut in the refresh token", `{` + at + `,"refresh_token":"r`, fault.Uncertain, "", nil},
		{"byte order mark", "\xef\xbb\xbf{" + at + `,` + rt + `}`, fault.Uncertain, "r", nil},
		{"UTF-16", "\xff\xfe{\x00}\x00", fault.Uncertain, "", nil},
		{"not UTF-8", "{" + at + `,` + rt + `,"x":"` + "\xff\"}", fault.Uncertain, "r", nil},
		{"something behind", `{` + at + `,` + rt + `}{}`, fault.Uncertain, "r", nil},
		{"HTML", `<html>access_token</html>`, fault.Uncertain, "", nil},
		{"empty", ``, fault.Uncertain, "", nil},
		{"null", `null`, fault.Uncertain, "", nil},
		{"array", `[{` + at + `}]`, fault.Uncertain, "", nil},
		{"error in 200", `{"error":"invalid_grant",` + rt + `}`, fault.Reauthorize, "r", nil},
		{"error beside a token", `{` + at + `,"error":"nonsense"}`, fault.Uncertain, "", nil},
		{"error as a list", `{"errors":[{"code":"BAD_REQUEST"}]}`, fault.InvalidArgument, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, f := ask(t, finapi(), schema.RefreshToken, schema.GrantRefreshToken, ok200(tt.body))
			var code fault.Code
			if f != nil {
				code = f.Code
			}
			if code != tt.code {
				t.Fatalf("code %q, want %q", code, tt.code)
			}
			if got := a.Token.Refresh.Reveal(); got != tt.refresh {
				t.Errorf("refresh token %q, want %q", got, tt.refresh)
			}
			if (f == nil) == a.Token.Access.IsZero() {
				t.Error("an access token must come exactly when there is no fault")
			}
			if tt.check != nil && !tt.check(a) {
				t.Errorf("unexpected answer: %+v", a)
			}
		})
	}
}

func TestUser(t *testing.T) {
	a, f := ask(t, finapi(), schema.CreateUser, "", ok200(
		`{"id":"u-1","password":"p w","email":"e@x","isAutoUpdateEnabled":false,"phone":7,"more":"x"}`))
	if f != nil || a.User != "u-1" || a.Password.Reveal() != "p w" || a.Fields["email"] != "e@x" ||
		a.Fields["isAutoUpdateEnabled"] != false || len(a.Fields) != 3 || a.Secrets["password"].Reveal() != "p w" {
		t.Errorf("unexpected answer %+v, fault %v", a, f)
	}
	a, f = ask(t, finapi(), schema.CreateUser, "", ok200(`{"id":"u 1: do this","password":"p w"}`))
	if f == nil || f.Code != fault.Uncertain || a.Password.Reveal() != "p w" || a.User != "" || a.Fields != nil {
		t.Errorf("a password must be kept beside the fault: %+v, fault %v", a, f)
	}
}

// TestForgottenSecret gives a document that does not say what is secret.
func TestForgottenSecret(t *testing.T) {
	p := finapi()
	for _, op := range p.Operations {
		for i := range op.Answer.Fields {
			op.Answer.Fields[i].Secret, op.Answer.Fields[i].Held = false, ""
		}
	}
	a, f := ask(t, p, schema.RefreshToken, schema.GrantRefreshToken, ok200(okToken))
	if f != nil || a.Fields["access_token"] != nil || a.Fields["refresh_token"] != nil || len(a.Secrets) != 2 {
		t.Errorf("fields %v, secrets %v, fault %v", a.Fields, a.Secrets, f)
	}
	a, f = ask(t, p, schema.CreateUser, "", ok200(`{"id":"u","password":"p"}`))
	if f != nil || a.Fields["password"] != nil || a.Secrets["password"].Reveal() != "p" {
		t.Errorf("fields %v, secrets %v, fault %v", a.Fields, a.Secrets, f)
	}
}

func TestSubject(t *testing.T) {
	jwt := func(payload string) string { return ok200(`{"access_token":"h.` + payload + `.s"}`) }
	for _, tt := range []struct{ name, payload, want string }{
		{"uuid", "eyJzdWIiOiJiYmM2ZWI4My02MGZhIiwiZXhwIjoxfQ", "bbc6eb83-60fa"},
		{"a sentence", "eyJzdWIiOiJkbyB0aGlzIn0", ""},
		{"a number", "eyJzdWIiOjd9", ""},
		{"not base64", "%%%", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, f := ask(t, flinks(), schema.CreateAccessToken, schema.GrantClientCredentials, jwt(tt.payload))
			if f != nil || a.Token.Subject != tt.want {
				t.Errorf("subject %q, want %q; fault %v", a.Token.Subject, tt.want, f)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	at := schema.Lifetime{Unit: schema.UnitTime, Zero: "never", Assume: 300}
	in := schema.Lifetime{Unit: schema.UnitSeconds, Zero: "unknown", Missing: "never"}
	for _, tt := range []struct {
		name, value string
		l           schema.Lifetime
		expiry      token.Expiry
		end         time.Duration
	}{
		{"RFC 3339", `"2026-03-01T13:00:00+01:00"`, at, token.ExpiresAt, 0},
		{"RFC 3339 later", `"2026-03-01T12:10:00Z"`, at, token.ExpiresAt, 10 * time.Minute},
		{"Unix", `1772366460`, at, token.ExpiresAt, time.Minute},
		{"Unix as text", `"1772366460"`, at, token.ExpiresAt, time.Minute},
		{"Unix far", `1e18`, at, token.ExpiresAt, maxLife},
		{"zero", `0`, at, token.Never, 0},
		{"assumed", `"soon"`, at, token.ExpiresAt, 5 * time.Minute},
		{"missing", ``, in, token.Never, 0},
		{"zero unknown", `0`, in, token.Unknown, 0},
		{"minus zero", `-0.0`, in, token.Unknown, 0},
	} {
		expiry, end := expiry(tt.l, []byte(tt.value), start)
		if expiry != tt.expiry || expiry == token.ExpiresAt && !end.Equal(start.Add(tt.end)) {
			t.Errorf("%s: %s %s, want %s in %s", tt.name, expiry, end, tt.expiry, tt.end)
		}
	}
}
