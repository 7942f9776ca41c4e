package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// What is wrong with a path or a method is said before what is wrong with a
// body, and Allow names every method that works.
func TestServePaths(t *testing.T) {
	_, env := simulation(t)
	s := start(t, env, "serve", "--listen", "127.0.0.1:0")
	url := where(t, s)
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"POST", "/v1/create_user", 415, ""}, {"GET", "/v1/create_user", 405, "POST"}, {"PUT", "/v1/create_user", 405, "POST"},
		{"POST", "/v1/nothing", 404, ""}, {"POST", "/v1/nothing/at/all", 404, ""}, {"POST", "/nothing", 404, ""},
		{"POST", "/v1/tokens", 405, "GET, HEAD"}, {"HEAD", "/v1/tokens", 200, ""}, {"POST", "/v1/tokens/tok_x", 405, "GET, HEAD, DELETE"}, {"DELETE", "/v1/tokens/tok_x", 415, ""},
		{"GET", "/v1", 303, ""}, {"HEAD", "/v1", 303, ""}, {"POST", "/v1", 405, "GET, HEAD"}, {"DELETE", "/v1", 405, "GET, HEAD"},
		{"POST", "/docs", 405, "GET, HEAD"}, {"POST", "/docs/", 405, "GET, HEAD"}, {"POST", "/openapi.json", 405, "GET, HEAD"}, {"POST", "/docs/problems/busy", 405, "GET, HEAD"},
		{"POST", "/skills", 405, "GET, HEAD"}, {"POST", "/llms.txt", 405, "GET, HEAD"}, {"POST", "/.well-known/oauth-protected-resource", 404, ""},
	} {
		var body io.Reader
		if c.method != "GET" && c.method != "HEAD" {
			body = strings.NewReader("canary")
		}
		q, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, body)
		if err != nil {
			t.Fatal(err)
		}
		a, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Body.Close()
		if a.StatusCode != c.status || a.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %s, Allow %q", c.method, c.path, a.Status, a.Header.Get("Allow"))
		}
		if a.StatusCode >= 400 && a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %v", c.method, c.path, a.Header)
		}
	}
	if _, text := fetchFrom(t, "GET", url, "/metrics"); strings.Contains(text, `route="GET `) || !strings.Contains(text, `route="/skills"`) && !strings.Contains(text, `route="/skills",`) {
		t.Errorf("the routes' names: %s", text)
	}
	terminate(t, s)
}
