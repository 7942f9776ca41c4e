package providers

import (
	"encoding/base64"
	"strings"

	"bankauth/internal/secret"
	"bankauth/schema"
)

// leastInside is how long a secret must be, in bytes, to be looked for inside
// a longer text: a client id such as "id" stands in half of all scopes.
const leastInside = 8

// authorizationCode is the argument of RFC 6749 §4.1.3. A caller may give it in
// every exposure, and it is a credential all the same (§10.5).
const authorizationCode = "code"

// withhold takes the texts out of an answer that show a secret of the same
// exchange: some servers throw back what they were sent, in whatever field. It
// reports false when that was the user's id, without which there is no answer.
func (c *Client) withhold(call *Call, a *Answer) bool {
	secrets := c.exchanged(call, a)
	if shows(a.Token.Scope, secrets) {
		a.Token.Scope = ""
	}
	if shows(a.Token.Subject, secrets) {
		a.Token.Subject = ""
	}
	if shows(a.Token.Type, secrets) {
		a.Token.Type = "Bearer"
	}
	for name, value := range a.Fields {
		if s, ok := value.(string); ok && shows(s, secrets) {
			delete(a.Fields, name)
		}
	}
	return !shows(a.User, secrets)
}

// exchanged returns the secrets that a request carried and its answer brought.
func (c *Client) exchanged(call *Call, a *Answer) []string {
	id, key := c.credentials(call)
	secrets := make([]string, 0, 10)
	for _, v := range []secret.Value{id, key, call.Password, call.RefreshToken, call.Bearer, call.Code, call.CodeVerifier, a.Token.Access, a.Token.Refresh, a.Password} {
		secrets = append(secrets, reveal(v))
	}
	for _, v := range a.Secrets {
		secrets = append(secrets, reveal(v))
	}
	if code, ok := call.Arguments[authorizationCode].(string); ok {
		secrets = append(secrets, code)
	}
	if call.Operation.Auth.Style == schema.AuthBasic {
		secrets = append(secrets, strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(reveal(id)+":"+reveal(key))), "="))
	}
	return secrets
}

func shows(text string, secrets []string) bool {
	for _, s := range secrets {
		if s != "" && (text == s || len(s) >= leastInside && strings.Contains(text, s)) {
			return true
		}
	}
	return false
}
