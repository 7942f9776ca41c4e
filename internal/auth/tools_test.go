package auth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"bankauth/internal/auth"
)

// TestScopesOfTools: a call beyond the caller's scopes is answered before MCP
// sees it, however its message is written.
func TestScopesOfTools(t *testing.T) {
	clients := auth.NewClients(filepath.Join(t.TempDir(), "clients.json"))
	token := add(t, clients, "ci", "tokens:create", "tokens:use")
	gate := auth.New(auth.Options{Clients: clients, Issuer: auth.NewIssuer(auth.IssuerOptions{URL: "https://id.example"}), PublicURL: public})
	server := httptest.NewServer(gate.Handler(gate.Tools(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))))
	t.Cleanup(server.Close)
	for message, want := range map[string]int{
		`{"method":"tools/call","params":{"name":"create_access_token"}}`: 200,
		`{"method":"tools/list"}`:                                  200,
		`{"method":"tools/call","params":{"name":"no_such_tool"}}`: 200,
		`not JSON`: 200,
		`{"method":"tools/call","params":{"name":"create_user"}}`:                                       403,
		`{"METHOD":"tools/call","Params":{"NAME":"create_user"}}`:                                       403,
		`{"method":"ping","method":"tools/call","params":{"name":"x","name":"create_user"}}`:            403,
		`{"id":{},"jsonrpc":2,"params":7,"method":"tools/call","params":{"name":"create_user"}}`:        403,
		`{"method":"tools/call","params":{"name":"refresh_token","arguments":{}}} {"trailing":"value"}`: 403,
	} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/mcp", strings.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer "+token.Reveal())
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != want || want == 200 && string(body) != message {
			t.Errorf("%s: %s %s", message, res.Status, body)
		}
		if want != 403 {
			continue
		}
		challenge, lacking := res.Header.Get("WWW-Authenticate"), "users:create"
		if strings.Contains(message, "refresh_token") {
			lacking = "tokens:refresh"
		}
		for _, part := range []string{`error="insufficient_scope"`, lacking, "tokens:create", "tokens:use", `resource_metadata="https://bank.example/.well-known/oauth-protected-resource/mcp"`} {
			if !strings.Contains(challenge, part) {
				t.Errorf("%s: the challenge has no %s: %s", message, part, challenge)
			}
		}
	}
}
