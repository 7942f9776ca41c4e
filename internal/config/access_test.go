package config_test

import (
	"path/filepath"
	"testing"

	"bankauth/internal/config"
)

func TestAccess(t *testing.T) {
	good := config.Access{PublicURL: "https://bank.example:8443/", Issuer: "https://id.example/", Audiences: []string{"x"}}
	if err := good.Check(); err != nil || good.PublicURL != "https://bank.example:8443" || good.Issuer != "https://id.example/" {
		t.Errorf("got %+v, %v: an issuer's name is what its tokens say, to the letter", good, err)
	}
	for want, a := range map[string]config.Access{
		"BANKAUTH_PUBLIC_URL must be https":             {PublicURL: "http://bank.example"},
		"BANKAUTH_PUBLIC_URL must not carry a query":    {PublicURL: "https://bank.example?canary"},
		"BANKAUTH_PUBLIC_URL (--public-url) has a path": {PublicURL: "https://bank.example/canary/"},
		"BANKAUTH_ISSUER is not a URL":                  {Issuer: "canary"},
		"BANKAUTH_ISSUER must not carry a user name":    {Issuer: "https://canary:canary@id.example"},
		"BANKAUTH_ISSUER must be https":                 {Issuer: "http://canary.example"},
		"BANKAUTH_AUDIENCE is set, and BANKAUTH_ISSUER": {Audiences: []string{"canary"}},
	} {
		wantFault(t, a.Check(), want, "canary")
	}
}

func TestClientsFile(t *testing.T) {
	e := read("HOME=/h")
	for _, c := range []struct {
		s    config.Settings
		a    config.Access
		want string
	}{
		{config.Settings{}, config.Access{}, "/h/.local/state/bankauth/clients.json"},
		{config.Settings{DataDir: "/data"}, config.Access{}, "/data/clients.json"},
		{config.Settings{DataDir: "/data"}, config.Access{ClientsFile: "~/c"}, "/h/c"},
	} {
		got, named, err := e.ClientsFile(c.s, c.a)
		if err != nil || filepath.ToSlash(got) != c.want || named != (c.a.ClientsFile != "") {
			t.Errorf("got %q, %v, %v; want %q", got, named, err, c.want)
		}
	}
}
