package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bankauth/internal/config"
)

func TestPrefix(t *testing.T) {
	for name, want := range map[string]string{"fintecture": "FINTECTURE", "my-bank2": "MY_BANK2", "a.b": "A_B", "é": "_"} {
		if got := config.Prefix(name); got != want {
			t.Errorf("Prefix(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestProvider(t *testing.T) {
	e := read("MY_BANK_CLIENT_ID=id", "MY_BANK_CLIENT_SECRET=s3cret", "MY_BANK_ENVIRONMENT=Production", "MY_BANK_BASE_URL=https://api.example/v1/")
	p, err := e.Provider("my-bank")
	if err != nil {
		t.Fatal(err)
	}
	if p.ClientID != "id" || p.ClientSecret.Reveal() != "s3cret" || p.Environment != config.Production ||
		p.BaseURL != "https://api.example/v1" || p.Missing != nil {
		t.Errorf("got %+v", p)
	}
	p, err = read("FINAPI_CLIENT_SECRET={{x}}").Provider("finapi")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"FINAPI_CLIENT_ID", "FINAPI_CLIENT_SECRET"}; !cmp.Equal(p.Missing, want) || p.Environment != config.Sandbox {
		t.Errorf("got %+v, want sandbox and %v missing", p, want)
	}
	if p, err = read("FINAPI_ENVIRONMENT=simulated").Provider("finapi", "live"); err != nil || p.Missing != nil || p.Environment != config.Simulated {
		t.Errorf("got %+v, %v: the simulator needs no credentials", p, err)
	}
	if p, err = read("X_ENVIRONMENT=staging").Provider("x", "sandbox", "staging"); err != nil || p.Environment != "staging" {
		t.Errorf("got %+v, %v: a provider's own environments are allowed", p, err)
	}
}

func TestProviderRefused(t *testing.T) {
	for entry, want := range map[string]string{
		"X_ENVIRONMENT=produktion":                 "set it to sandbox, production or simulated",
		"X_BASE_URL=http://canary.example":         "X_BASE_URL must be https",
		"X_BASE_URL=ftp://canary.example":          "X_BASE_URL must be https",
		"X_BASE_URL=https://u:canary@bank.example": "user name",
		"X_BASE_URL=https://bank.example?canary=1": "query",
		"X_BASE_URL=https://bank.example#canary":   "fragment",
		"X_BASE_URL=canary":                        "not a URL with a host",
		"X_BASE_URL=https:canary":                  "not a URL with a host",
		"X_BASE_URL=https://canary%zz":             "not a URL with a host",
		"X_BASE_URL=http://127.0.0.1.canary.com":   "X_BASE_URL must be https",
	} {
		_, err := read(entry).Provider("x")
		wantFault(t, err, want, "canary", "produktion")
	}
	for _, base := range []string{"http://localhost:8080", "http://127.0.0.1:1/x", "http://[::1]:1", "https://bank.example"} {
		if p, err := read("X_BASE_URL=" + base).Provider("x"); err != nil || p.BaseURL != base {
			t.Errorf("%s: got %q, %v", base, p.BaseURL, err)
		}
	}
}

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "canary-file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSecretFile(t *testing.T) {
	for _, text := range []string{"s3cret", "s3cret\n", "\ufeffs3cret\r\n"} {
		got, err := read("X_CLIENT_SECRET=<YOUR_SECRET>", "X_CLIENT_SECRET_FILE="+write(t, text, 0o600)).Secret("X_CLIENT_SECRET")
		if err != nil || got.Reveal() != "s3cret" {
			t.Errorf("%q: got %q, %v", text, got.Reveal(), err)
		}
	}
	path := write(t, "s3cret", 0o400)
	home, name := filepath.Split(path)
	if got, err := read("HOME="+home, "S_FILE=~/"+name).Secret("S"); err != nil || got.Reveal() != "s3cret" {
		t.Errorf("got %q, %v: ~ is the home folder", got.Reveal(), err)
	}
	if got, err := read("S_FILE=${S_FILE}").Secret("S"); err != nil || !got.IsZero() {
		t.Errorf("got %v, %v: a placeholder names no file", got, err)
	}
	if p, err := read("X_CLIENT_ID_FILE=" + write(t, "id\n", 0o644)).Provider("x"); err != nil || p.ClientID != "id" {
		t.Errorf("got %+v, %v: a client id is no secret", p, err)
	}
	if got, err := read("S_FILE=" + write(t, strings.Repeat("k", 64<<10), 0o600)).Secret("S"); err != nil || len(got.Reveal()) != 64<<10 {
		t.Errorf("64 KiB must do: %v", err)
	}
}
