package providers

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"bankauth/internal/fault"
	"bankauth/internal/token"
	"bankauth/schema"
)

// FuzzAnswer gives any body to a refresh. A refresh token that a JSON parser
// finds is never lost, nothing of the body gets into a fault, and what is
// handed over is fit to be shown or sent.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{okToken, "", "null", "[]", "{", `{"refresh_token":"r"}`, `{"refresh_token":"\u0072\"\\"}`,
		`{"refresh_token":["r"],"access_token":{}}`, `{"a":{"b":[1,{"refresh_token":"x"}]},"refresh_token":"y"}`, "\xef\xbb\xbf{}",
		`{"errors":[{"code":"BAD_REQUEST"}]}`, `{"error":"invalid_grant"}`, `{"access_token":"a","expires_in":1e999}`,
		` { "access_token" : "a" , "x" : tru`, `{"access_token":"a"}x`, `{"\u0061ccess_token":"a","scope":"\ud800"}`} {
		f.Add(body, 200)
		f.Add(body, 400)
	}
	p := finapi()
	c, err := New(p, Options{})
	if err != nil {
		f.Fatal(err)
	}
	op, g, _ := p.Operation(schema.RefreshToken, schema.GrantRefreshToken)
	call := &Call{Operation: op, Grant: g}
	f.Fuzz(func(t *testing.T, body string, status int) {
		r := reply{status: status, body: []byte(body)}
		a, err := c.answer(call, c.plans[op], &r, start, c.readToken)
		var failed *fault.Fault
		if err != nil && !errors.As(err, &failed) {
			t.Fatalf("not a fault: %v", err)
		}
		if (err == nil) != !a.Token.Access.IsZero() {
			t.Error("an access token must come exactly when there is no fault")
		}
		if status >= 200 && status <= 299 {
			var want map[string]any
			if json.Unmarshal([]byte(body), &want) == nil {
				if s, ok := want["refresh_token"].(string); ok && !strings.ContainsRune(s, '\ufffd') && a.Token.Refresh.Reveal() != s {
					t.Errorf("refresh token %q was lost, got %q", s, a.Token.Refresh.Reveal())
				}
			}
		}
		if failed != nil {
			failed.Cause = nil
			checkWords(t, c, failed)
		}
		checkToken(t, a.Token)
	})
}

// checkWords compares a fault's texts with all that we could have said.
func checkWords(t *testing.T, c *Client, f *fault.Fault) {
	ours := map[string]bool{}
	for _, r := range c.provider.Errors.Rules {
		ours[r.Say], ours[r.Code] = true, true
	}
	if !ours[f.Message] && !strings.Contains(f.Message, "finAPI") || f.ProviderCode != "" && !ours[f.ProviderCode] {
		t.Errorf("not our words: %+v", f)
	}
}

func checkToken(t *testing.T, k token.Token) {
	if s := k.Access.Reveal(); s != "" && !visible(s) {
		t.Errorf("access token %q", s)
	}
	if k.Scope != "" && !isScope(k.Scope) || k.Type != "" && !isName(k.Type, 32) {
		t.Errorf("scope %q, type %q", k.Scope, k.Type)
	}
	if k.Expiry == token.ExpiresAt && (k.ExpiresAt.Before(start) || k.ExpiresAt.After(start.Add(maxLife))) {
		t.Errorf("ends at %s", k.ExpiresAt)
	}
}
