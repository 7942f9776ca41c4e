package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// visitor is a client of a server over HTTP that speaks 2025-11-25.
type visitor struct {
	http       *http.Client
	url, token string // token "": it comes with none
}

// ask posts one request to /mcp and returns the status and the body.
func (c visitor) ask(t *testing.T, method, params string) (int, string) {
	t.Helper()
	header := []string{"Mcp-Protocol-Version: 2025-11-25"}
	if c.token != "" {
		header = append(header, "Authorization: Bearer "+c.token)
	}
	status, body, err := post(t.Context(), c.http, c.url, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`, header...)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

// made makes a token, and returns its token_ref and its egress_url.
func (c visitor) made(t *testing.T) (ref, egress string) {
	t.Helper()
	_, body := c.ask(t, "tools/call", `{"name":"create_access_token","arguments":{"provider":"flinks","grant_type":"client_credentials"}}`)
	var a struct {
		Result struct {
			StructuredContent struct {
				TokenRef  string `json:"token_ref"`
				EgressURL string `json:"egress_url"`
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || a.Result.StructuredContent.TokenRef == "" {
		t.Fatalf("no token: %s", body)
	}
	return a.Result.StructuredContent.TokenRef, a.Result.StructuredContent.EgressURL
}

// use sends a request through the proxy and returns its status.
func (c visitor) use(t *testing.T, egress, ref string) (int, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, egress+"/api/v1/accounts", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+ref)
	a, err := c.http.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, _ := io.ReadAll(a.Body)
	return a.StatusCode, string(b)
}

// What the tools tell of tokens, and their use, is for callers with
// tokens:use, and ends with the client.
func TestServeTokensUse(t *testing.T) {
	_, env := simulation(t)
	s := start(t, env, "serve", "--listen", "127.0.0.1:0", "--egress")
	anybody := visitor{http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, url: where(t, s)}
	const notTheKey = "programs that know its key"
	localRef, localURL := anybody.made(t)
	if status, body := anybody.use(t, localURL, localRef); strings.Contains(body, notTheKey) || status != http.StatusForbidden { // the bank's word: an application has no accounts
		t.Fatalf("%d %s", status, body)
	}
	as := func(name string, scopes ...string) visitor {
		c := anybody
		c.token = strings.TrimSpace(shell(t, env, append([]string{"clients", "add", name}, scopes...)...))
		return c
	}
	maker, user := as("maker", "--scope", "tokens:create"), as("user")
	if _, body := anybody.use(t, localURL, localRef); !strings.Contains(body, notTheKey) {
		t.Errorf("once there are clients, nobody's key still opens the proxy: %s", body)
	}

	ref, egress := maker.made(t)
	if egress != "" {
		t.Errorf("a caller who may not use tokens is told where: %s", egress)
	}
	mine, egress := user.made(t)
	for _, c := range []struct {
		who            visitor
		method, params string
		status         int
		has, lacks     string
	}{
		{maker, "resources/read", `{"uri":"bankauth://tokens"}`, http.StatusForbidden, "tokens:use", ref},
		{maker, "resources/read", `{"uri":"bankauth://tokens/` + ref + `"}`, http.StatusForbidden, "tokens:use", "live"},
		{maker, "resources/read", `{"name":"bankauth://providers","uri":"bankauth://tokens"}`, http.StatusForbidden, "tokens:use", ref},
		{maker, "resources/read", `{"uri":"bankauth://providers"}`, http.StatusOK, "flinks", "error"},
		{maker, "completion/complete", `{"ref":{"type":"ref/resource","uri":"bankauth://tokens/{token_ref}"},"argument":{"name":"token_ref","value":""}}`, http.StatusOK, `"values":[]`, ref},
		{maker, "completion/complete", `{"ref":{"type":"ref/prompt","name":"connect_bank"},"argument":{"name":"provider","value":"fl"}}`, http.StatusOK, `"values":["flinks"]`, "error"},
		{user, "resources/read", `{"uri":"bankauth://tokens"}`, http.StatusOK, mine, ref},
		{user, "resources/read", `{"uri":"bankauth://tokens/` + mine + `"}`, http.StatusOK, "live", "error"},
		{user, "completion/complete", `{"ref":{"type":"ref/resource","uri":"bankauth://tokens/{token_ref}"},"argument":{"name":"token_ref","value":""}}`, http.StatusOK, mine, ref},
	} {
		if status, body := c.who.ask(t, c.method, c.params); status != c.status || !strings.Contains(body, c.has) || strings.Contains(body, c.lacks) {
			t.Errorf("%s %s: %d %s", c.method, c.params, status, body)
		}
	}

	if _, body := user.use(t, egress, mine); strings.Contains(body, notTheKey) {
		t.Errorf("its key does not open the proxy: %s", body)
	}
	if _, body := user.use(t, egress, ref); !strings.Contains(body, "no token has this token_ref") {
		t.Errorf("another's token: %s", body)
	}
	shell(t, env, "clients", "remove", "user")
	if _, body := user.use(t, egress, mine); !strings.Contains(body, notTheKey) {
		t.Errorf("a client that was removed still has a key: %s", body)
	}
	terminate(t, s)
}

// Each tool asks for the scope that is its own, and for no other.
func TestServeScopesOfTools(t *testing.T) {
	_, env := simulation(t)
	tools := map[string]string{"create_access_token": "tokens:create", "refresh_token": "tokens:refresh", "create_user": "users:create"}
	held := []string{"tokens:create", "tokens:refresh", "users:create", "tokens:use"}
	clients := map[string]visitor{}
	for i, scope := range held {
		token := strings.TrimSpace(shell(t, env, "clients", "add", string(rune('a'+i)), "--scope", scope))
		clients[scope] = visitor{http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, token: token}
	}
	s := start(t, env, "serve", "--listen", "127.0.0.1:0")
	url := where(t, s)
	for tool, needed := range tools {
		for scope, c := range clients {
			c.url = url
			status, body := c.ask(t, "tools/call", `{"name":"`+tool+`","arguments":{}}`)
			if want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[scope == needed]; status != want || strings.Contains(body, needed) != (scope != needed) {
				t.Errorf("%s with %s: %d %s", tool, scope, status, body)
			}
		}
	}
	terminate(t, s)
}
