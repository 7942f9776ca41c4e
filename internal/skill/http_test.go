package skill_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bankauth/internal/problem"
	"bankauth/internal/skill"
)

const name = "open-banking-credentials"

func serve(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(bundled(t).Handler([]skill.Tool{skill.Derived("refresh_token", "Renew a token.", "bankauth-mcp", "mcp")}))
	t.Cleanup(s.Close)
	return s
}

// get asks without following redirects and without cleaning the path.
func get(t *testing.T, s *httptest.Server, method, path string, head http.Header) (*http.Response, string) {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Opaque = path
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL = u
	maps.Copy(r.Header, head)
	answer, err := s.Client().Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// TestFields holds the answers against the field names of Naftiko's skill
// adapter and of Agent Skills Discovery.
func TestFields(t *testing.T) {
	s, k := serve(t), bundled(t)
	var files []any
	for _, f := range k.Files {
		files = append(files, map[string]any{"path": f.Path, "size": float64(len(f.Body)), "type": "text/markdown"})
	}
	tool := map[string]any{"name": "refresh_token", "description": "Renew a token.", "type": "derived",
		"invocationRef": map[string]any{"targetNamespace": "bankauth-mcp", "action": "refresh_token", "mode": "mcp"}}
	_, archive := get(t, s, "GET", "/skills/"+name+"/download", nil)
	for path, want := range map[string]any{
		"/skills": map[string]any{"count": 1.0, "skills": []any{map[string]any{
			"name": name, "description": k.Front().Description, "license": "Apache-2.0", "tools": []any{"refresh_token"}}}},
		"/skills/" + name: map[string]any{"name": name, "description": k.Front().Description, "license": "Apache-2.0",
			"compatibility": k.Front().Compatibility, "metadata": map[string]any{"author": "bankauth", "version": "1"}, "tools": []any{tool}},
		"/skills/" + name + "/contents": map[string]any{"name": name, "files": files},
		"/.well-known/agent-skills/index.json": map[string]any{"$schema": "https://schemas.agentskills.io/discovery/0.2.0/schema.json",
			"skills": []any{map[string]any{"name": name, "type": "archive", "description": k.Front().Description, "url": name + ".zip",
				"digest": fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(archive)))}}},
	} {
		answer, body := get(t, s, "GET", path, nil)
		var got any
		if err := json.Unmarshal([]byte(body), &got); err != nil || answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s, %v", path, answer.Status, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	unpacked(t, k, []byte(archive))
}

func TestFiles(t *testing.T) {
	s, k := serve(t), bundled(t)
	for _, f := range k.Files {
		answer, body := get(t, s, "GET", "/skills/"+name+"/contents/"+f.Path, nil)
		if body != string(f.Body) || answer.Header.Get("Content-Type") != "text/markdown; charset=utf-8" {
			t.Errorf("%s: %s, %v", f.Path, answer.Status, answer.Header)
		}
	}
	_, download := get(t, s, "GET", "/skills/"+name+"/download", nil)
	answer, wellKnown := get(t, s, "GET", "/.well-known/agent-skills/"+name+".zip", nil)
	if download != wellKnown || answer.Header.Get("Content-Type") != "application/zip" || answer.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s, %v", answer.Status, answer.Header)
	}
	if again, body := get(t, s, "GET", "/.well-known/agent-skills/"+name+".zip", http.Header{"If-None-Match": {answer.Header.Get("ETag")}}); again.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("asked again: %s", again.Status)
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/skills/other", 404},
		{"GET", "/skills/other/download", 404},
		{"GET", "/skills/other/contents/SKILL.md", 404},
		{"GET", "/skills/" + name + "/contents/NOTES.md", 404},
		{"GET", "/skills/" + name + "/contents/references", 404},
		{"GET", "/skills/" + name + "/contents/../contents/SKILL.md", 400},
		{"GET", "/skills/" + name + "/contents/%2e%2e/SKILL.md", 400},
		{"GET", "/skills/" + name + "/contents/..%2f..%2fetc/passwd", 400},
		{"GET", "/skills/" + name + "/contents/..%5c..%5cetc", 400},
		{"GET", "/skills/" + name + "/contents/a%00b", 400},
		{"GET", "/skills/" + name + "/contents//etc/passwd", 400},
		{"GET", "/.well-known/agent-skills/other.zip", 404},
		{"GET", "/.well-known/agent-skills/other/zip", 404},
		{"GET", "/skills/", 400},
		{"GET", "/skills/" + name + "/other", 404},
		{"DELETE", "/.well-known/agent-skills/index.json", 405},
		{"POST", "/skills", 405},
		{"HEAD", "/skills", 200},
	} {
		answer, body := get(t, s, c.method, c.path, nil)
		if answer.StatusCode != c.want || c.method == "HEAD" && body != "" || strings.Contains(body, "name: ") {
			t.Errorf("%s %s: %s, want %d", c.method, c.path, answer.Status, c.want)
		}
		if answer.StatusCode >= 400 && (answer.Header.Get("Content-Type") != problem.ContentType || !strings.Contains(body, `"code":"invalid_argument"`) || !strings.Contains(body, `"hint":"`)) {
			t.Errorf("%s %s: no problem details: %v %s", c.method, c.path, answer.Header, body)
		}
		if allow := answer.Header.Get("Allow"); (answer.StatusCode == 405) != (allow == "GET, HEAD") {
			t.Errorf("%s %s: Allow is %q", c.method, c.path, allow)
		}
	}
}
