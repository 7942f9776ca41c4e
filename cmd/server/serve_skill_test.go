package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// fetchFrom asks a running server for a path, just as it stands.
func fetchFrom(t *testing.T, method, base, path string, header ...string) (*http.Response, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, base, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.URL.Opaque = path
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		switch name {
		case "":
		case "Host":
			q.Host = value
		default:
			q.Header.Set(name, value)
		}
	}
	a, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a, string(b)
}

// The skill is served behind the edge and in front of the gate: a server that
// has clients shows it to everybody who may reach the server.
func TestServeSkill(t *testing.T) {
	_, env := simulation(t)
	shell(t, env, "clients", "add", "ci")
	s := start(t, env, "serve", "--listen", "127.0.0.1:0")
	url := where(t, s)
	const skill = "/skills/open-banking-credentials"
	for _, c := range []struct {
		path, header string
		status       int
		part         string
	}{
		{"/skills", "", 200, `"count":1`},
		{skill, "", 200, `"invocationRef":{"targetNamespace":"bankauth","action":"create_user","mode":"mcp"}`},
		{skill + "/contents", "", 200, `{"path":"SKILL.md"`},
		{skill + "/contents/SKILL.md", "", 200, "name: open-banking-credentials"},
		{skill + "/contents/../contents/SKILL.md", "", 400, ""},
		{skill + "/contents/..%2f..%2fetc/passwd", "", 400, ""},
		{"/skills/other", "", 404, ""},
		{skill, "Origin: https://elsewhere.example", 403, ""},
		{skill, "Host: rebound.example", 403, ""},
		{"/.well-known/agent-skills/other.zip", "", 404, ""},
		{"/v1/tokens", "", 401, ""},
	} {
		if a, body := fetchFrom(t, "GET", url, c.path, c.header); a.StatusCode != c.status || !strings.Contains(body, c.part) {
			t.Errorf("%s %s: %s %s", c.path, c.header, a.Status, body)
		}
	}
	_, text := fetchFrom(t, "GET", url, "/.well-known/agent-skills/index.json")
	var index struct {
		Skills []struct{ URL, Digest string }
	}
	if err := json.Unmarshal([]byte(text), &index); err != nil || len(index.Skills) != 1 {
		t.Fatalf("got %s: %v", text, err)
	}
	for _, path := range []string{"/.well-known/agent-skills/" + index.Skills[0].URL, skill + "/download"} {
		if _, body := fetchFrom(t, "GET", url, path); fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(body))) != index.Skills[0].Digest {
			t.Errorf("%s is not what the digest says", path)
		}
	}
	terminate(t, s)
}
