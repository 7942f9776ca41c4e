package providers

import (
	"context"
	"testing"

	"bankauth/schema"
)

// A server that throws back what it was sent shows no secret in what is shown.
func TestEchoes(t *testing.T) {
	const sent = `"access_token":"the-access-token","refresh_token":"the-refresh-token"`
	for answer, want := range map[string]struct{ scope, kind string }{
		`{` + sent + `,"scope":"AIS PIS","token_type":"DPoP"}`:                     {"AIS PIS", "DPoP"},
		`{` + sent + `,"scope":"the-access-token"}`:                                {"", "Bearer"},
		`{` + sent + `,"scope":"AIS:the-refresh-token PIS"}`:                       {"", "Bearer"},
		`{` + sent + `,"scope":"AIS","token_type":"the-code-it-was"}`:              {"AIS", "Bearer"},
		`{` + sent + `,"scope":"aWQtMTprJnk9L8O8"}`:                                {"", "Bearer"},          // the Authorization header
		`{` + sent + `,"scope":"id-1:read"}`:                                       {"id-1:read", "Bearer"}, // too short to mean anything
		`{` + sent + `,"scope":"id-1"}`:                                            {"", "Bearer"},
		`{` + sent + `,"scope":"![x](https://evil.example)","token_type":"a b c"}`: {"", "Bearer"},
	} {
		base, _ := wire(t, ok200(answer))
		p := fintecture()
		call := callOf(t, p, schema.CreateAccessToken, schema.GrantAuthorizationCode)
		call.Arguments["code"] = "the-code-it-was"
		a, err := client(t, p, base).Token(context.Background(), call)
		if err != nil || a.Token.Scope != want.scope || a.Token.Type != want.kind {
			t.Errorf("%s: scope %q, type %q, %v; want %q", answer, a.Token.Scope, a.Token.Type, err, want)
		}
		for name, value := range a.Fields {
			if value == "the-access-token" || value == "the-code-it-was" {
				t.Errorf("%s: %s shows a secret", answer, name)
			}
		}
	}
}
