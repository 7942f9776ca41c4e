package auth_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"bankauth/internal/auth"
	"bankauth/internal/secret"
)

func add(t *testing.T, c *auth.Clients, name string, scopes ...string) secret.Value {
	t.Helper()
	token, err := c.Add(t.Context(), name, scopes)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestStaticTokens changes the clients as the command line does, from outside
// of the server.
func TestStaticTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "clients.json")
	gate := auth.New(auth.Options{Clients: auth.NewClients(path), PublicURL: public})
	server := serve(t, gate)
	if res, body := ask(t, server.URL); res.StatusCode != http.StatusOK || body["Principal"] != "local" || !gate.Open() {
		t.Errorf("without clients: %s %v", res.Status, body)
	}
	if res, _ := ask(t, server.URL, "Bearer bka_x"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token where none is known: %s", res.Status)
	}
	outside := auth.NewClients(path)
	ci := add(t, outside, "ci", "tokens:create")
	night := add(t, outside, "night")
	for token, want := range map[string]string{ci.Reveal(): "client:ci [tokens:create]", night.Reveal(): "client:night [tokens:create tokens:refresh users:create tokens:use]"} {
		res, body := ask(t, server.URL, "Bearer "+token)
		if got := fmt.Sprint(body["Principal"], " ", body["Scopes"]); res.StatusCode != http.StatusOK || got != want {
			t.Errorf("got %s %s, want %s", res.Status, got, want)
		}
	}
	res, _ := ask(t, server.URL)
	if res.StatusCode != http.StatusUnauthorized || gate.Open() {
		t.Errorf("the first client closes the gate: %s", res.Status)
	}
	if got := res.Header.Get("WWW-Authenticate"); strings.Contains(got, "resource_metadata") {
		t.Errorf("without an issuer there is no metadata to point to: %s", got)
	}
	if err := outside.Remove(t.Context(), "ci"); err != nil {
		t.Fatal(err)
	}
	if res, _ := ask(t, server.URL, "Bearer "+ci.Reveal()); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a client that was removed: %s", res.Status)
	}
	if err := outside.Remove(t.Context(), "night"); err != nil {
		t.Fatal(err)
	}
	if res, _ := ask(t, server.URL); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("removing the last client opened the gate: %s", res.Status)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if res, _ := ask(t, server.URL); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("removing the file opened the gate: %s", res.Status)
	}
}

// TestRereadClients: a change that leaves size and time as they were is found
// when we are told to look.
func TestRereadClients(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clients.json")
	clients := auth.NewClients(path)
	if there, err := clients.There(); there || err != nil {
		t.Errorf("before the first: %v %v", there, err)
	}
	token := "Bearer " + add(t, clients, "ci").Reveal()
	gate := auth.New(auth.Options{Clients: clients, PublicURL: public})
	server := serve(t, gate)
	if res, _ := ask(t, server.URL, token); res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), `"sha256": "`) + len(`"sha256": "`)
	copy(b[at:], strings.Repeat("ab", 32))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := gate.RereadClients(); err != nil {
		t.Error(err)
	}
	if res, _ := ask(t, server.URL, token); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token that the file no longer has: %s", res.Status)
	}
	if there, err := clients.There(); !there || err != nil {
		t.Errorf("after it: %v %v", there, err)
	}
}

func TestWhatTheFileHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "clients.json")
	token := add(t, auth.NewClients(path), "ci")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), strings.TrimPrefix(token.Reveal(), auth.TokenPrefix)) || !strings.Contains(string(b), `"sha256"`) {
		t.Errorf("the file holds the token, or no hash: %s", b)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode().Perm(), want)
		}
	}
}

// TestBrokenFile: a file that cannot be used admits nobody, and is not
// overwritten.
func TestBrokenFile(t *testing.T) {
	good := `{"name":"ci","scopes":["tokens:create"],"created":"2026-01-01T00:00:00Z","sha256":"` + strings.Repeat("ab", 32) + `"}`
	for name, text := range map[string]string{
		"no JSON":       "canary",
		"empty":         "",
		"a newer one":   `{"version":2,"clients":[]}`,
		"a member more": `{"version":1,"clients":[],"canary":1}`,
		"no hash":       `{"version":1,"clients":[{"name":"ci","scopes":["tokens:create"],"created":"2026-01-01T00:00:00Z"}]}`,
		"a wrong scope": `{"version":1,"clients":[` + strings.Replace(good, "tokens:create", "canary", 1) + `]}`,
		"twice":         `{"version":1,"clients":[` + good + `,` + good + `]}`,
	} {
		path := filepath.Join(t.TempDir(), "clients.json")
		c := auth.NewClients(path)
		token := add(t, c, "ci")
		server := serve(t, auth.New(auth.Options{Clients: c, PublicURL: public}))
		if res, _ := ask(t, server.URL, "Bearer "+token.Reveal()); res.StatusCode != http.StatusOK {
			t.Fatalf("before: %s", res.Status)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		res, body := ask(t, server.URL, "Bearer "+token.Reveal())
		if said := fmt.Sprint(body); res.StatusCode != http.StatusServiceUnavailable || strings.Contains(said, "canary") || strings.Contains(said, path) {
			t.Errorf("%s: %s %s", name, res.Status, said)
		}
		if res, _ := ask(t, server.URL); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: without a token: %s", name, res.Status)
		}
		if _, err := c.Add(t.Context(), "other", nil); err == nil {
			t.Errorf("%s: the file was overwritten", name)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	path := filepath.Join(t.TempDir(), "clients.json")
	token := add(t, auth.NewClients(path), "ci")
	if err := os.Chmod(path, 0o622); err != nil {
		t.Fatal(err)
	}
	server := serve(t, auth.New(auth.Options{Clients: auth.NewClients(path), PublicURL: public}))
	if res, _ := ask(t, server.URL, "Bearer "+token.Reveal()); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a file that others may write: %s", res.Status)
	}
}

func TestManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clients.json")
	var done sync.WaitGroup
	for i := range 20 {
		done.Go(func() {
			if _, err := auth.NewClients(path).Add(t.Context(), fmt.Sprintf("c%d", i), nil); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if all, err := auth.NewClients(path).List(); err != nil || len(all) != 20 {
		t.Errorf("there are %d clients of 20: %v", len(all), err)
	}
}

// TestRequired: a gate that must be closed is, before the first client.
func TestRequired(t *testing.T) {
	gate := auth.New(auth.Options{Clients: auth.NewClients(filepath.Join(t.TempDir(), "c.json")), Required: true, PublicURL: public})
	if res, _ := ask(t, serve(t, gate).URL); res.StatusCode != http.StatusUnauthorized || gate.Open() {
		t.Errorf("got %s", res.Status)
	}
}
