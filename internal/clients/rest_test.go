package clients

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"bankauth/internal/auth"
	"bankauth/internal/rest"
	"bankauth/internal/secret"
	"bankauth/internal/simulator"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
	"bankauth/tools"
)

// startREST starts the REST routes over simulated providers, and returns their
// address and a client's token.
func startREST(t *testing.T) (url, token string) {
	t.Helper()
	sim, err := simulator.Start(t.Context(), simulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(t.Context(), vault.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	o := tools.Options{Vault: func(context.Context) (*vault.Vault, error) { return v, nil }}
	for _, p := range all {
		bank := sim.Bank(p.Name)
		c, err := providers.New(p, providers.Options{Environment: providers.Simulated, BaseURL: bank.URL(), ClientID: secret.New(bank.ClientID()),
			ClientSecret: bank.ClientSecret(), Transport: providers.NewTransport()})
		if err != nil {
			t.Fatal(err)
		}
		o.Banks = append(o.Banks, tools.Bank{Client: c, Simulated: true})
	}
	set, err := tools.New(o)
	if err != nil {
		t.Fatal(err)
	}
	clients := auth.NewClients(filepath.Join(t.TempDir(), "clients.json"))
	made, err := clients.Add(t.Context(), "somebody", nil)
	if err != nil {
		t.Fatal(err)
	}
	gate := auth.New(auth.Options{Clients: clients})
	behind, front, err := rest.Routes(rest.Options{Tools: set, Vault: o.Vault, Gate: gate, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for pattern, h := range behind {
		mux.Handle(pattern, gate.Handler(h))
	}
	for pattern, h := range front {
		mux.Handle(pattern, h)
	}
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.Close()
		_ = v.Close(context.Background())
		_ = sim.Close()
	})
	return s.URL, made.Reveal()
}

// described saves /openapi.json where a linter can read it.
func described(t *testing.T) string {
	t.Helper()
	url, _ := startREST(t)
	res, err := http.Get(url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTryItPage fills the form of /docs/ in Chromium, presses the button and
// reads the answer. The screenshot is kept in testdata/screenshots, which git
// does not know.
func TestTryItPage(t *testing.T) {
	n := findNode(t)
	browser, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "there is no chromium on the PATH: install Debian's package chromium")
	}
	url, token := startREST(t)
	folder, err := filepath.Abs(filepath.Join("testdata", "screenshots"))
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	picture := filepath.Join(folder, "docs.png")
	_ = os.Remove(picture)
	text, err := json.Marshal(map[string]string{"url": url, "token": token, "browser": browser, "profile": t.TempDir(), "screenshot": picture})
	if err != nil {
		t.Fatal(err)
	}
	got := n.run(t, "docs.mjs", string(text))
	got.judge(t, "docs.mjs")
	if info, err := os.Stat(picture); err != nil || info.Size() < 10_000 {
		t.Errorf("there is no screenshot: %v", err)
	}
}
