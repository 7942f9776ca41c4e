package config_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"bankauth/internal/config"
	"bankauth/internal/secret"
)

var update = flag.Bool("update", false, "write the golden files")

type commands struct {
	config.Settings `embed:""`

	Stdio struct{} `cmd:""`
}

func parse(t *testing.T, e config.Environment, args ...string) (config.Settings, string, error) {
	t.Helper()
	var cli commands
	var out bytes.Buffer
	k, err := kong.New(&cli, kong.Name("bankauth"), e.Kong(), kong.Writers(&out, &out), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(config.Args(args))
	return cli.Settings, out.String(), err
}

func TestSettings(t *testing.T) {
	defaults := config.Settings{Expose: "handle", LogLevel: "warn", LogFormat: "auto"}
	set := config.Settings{Providers: []string{"finapi", "flinks"}, ProviderDir: "/p", Simulate: true, DataDir: "/d",
		Expose: "token", LogLevel: "debug", LogFormat: "json"}
	all := read("BANKAUTH_PROVIDERS=finapi,flinks", "BANKAUTH_PROVIDER_DIR=/p", "BANKAUTH_SIMULATE=yes", "BANKAUTH_DATA_DIR=/d",
		"BANKAUTH_EXPOSE=Token", "BANKAUTH_LOG_LEVEL=DEBUG", "BANKAUTH_LOG_FORMAT=json")
	unset := read("BANKAUTH_PROVIDERS=${P}", "BANKAUTH_SIMULATE=${S}", "BANKAUTH_EXPOSE=", "BANKAUTH_LOG_LEVEL=<LEVEL>", "BANKAUTH_DATA_DIR=%D%")
	flagged := set
	flagged.Expose, flagged.Simulate, flagged.Providers = "full", false, []string{"fintecture"}
	for name, c := range map[string]struct {
		e    config.Environment
		args string
		want config.Settings
	}{
		"nothing":      {read(), "", defaults},
		"environment":  {all, "", set},
		"placeholders": {unset, "", defaults},
		"flags": {read(), "--providers=finapi,flinks --provider-dir /p --simulate --data-dir=/d --expose token --log-level debug --log-format json",
			set},
		"flags win":        {all, "--expose full --simulate=false --providers fintecture", flagged},
		"placeholder flag": {all, "--expose ${user_config.expose}", set},
	} {
		got, _, err := parse(t, c.e, append([]string{"stdio"}, strings.Fields(c.args)...)...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestKongReadsNothingElse(t *testing.T) {
	t.Setenv("BANKAUTH_EXPOSE", "full")
	got, _, err := parse(t, read(), "stdio")
	if err != nil || got.Expose != "handle" {
		t.Errorf("got %q, %v: the process's own environment was read", got.Expose, err)
	}
}

func TestSettingsRefused(t *testing.T) {
	for entry, want := range map[string]string{
		"BANKAUTH_EXPOSE=canary":     "set it to handle, token or full",
		"BANKAUTH_SIMULATE=canary":   "BANKAUTH_SIMULATE is neither true nor false",
		"BANKAUTH_LOG_LEVEL=canary":  "BANKAUTH_LOG_LEVEL",
		"BANKAUTH_LOG_FORMAT=canary": "auto, json or console",
	} {
		_, _, err := parse(t, read(entry), "stdio")
		wantFault(t, err, want, "canary")
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%v quotes the value", err)
		}
	}
	for _, flag := range []string{"--vault-key=x", "--store=x", "--client-secret=x"} {
		if _, _, err := parse(t, read(), "stdio", flag); err == nil {
			t.Errorf("%s was taken: a secret must not be a flag", flag)
		}
	}
}

func TestReadSecrets(t *testing.T) {
	var s config.Settings
	if err := s.ReadSecrets(read()); err != nil || !s.VaultKey.IsZero() {
		t.Errorf("got %v: nothing is needed", err)
	}
	if err := s.ReadSecrets(read("BANKAUTH_VAULT_KEY=keyring:")); err != nil || !s.VaultKey.Equal(secret.New("keyring:")) {
		t.Errorf("got %v", err)
	}
	wantFault(t, s.ReadSecrets(read("BANKAUTH_VAULT_KEY=canary", "BANKAUTH_VAULT_KEY_FILE=/x")), "BANKAUTH_VAULT_KEY_FILE", "canary")
	wantFault(t, s.ReadSecrets(read("BANKAUTH_STORE=mysql://u:canary@h/d")), "PostgreSQL", "canary", "u:", "@h")
	wantFault(t, s.ReadSecrets(read("BANKAUTH_STORE_FILE=/canary")), "BANKAUTH_STORE_FILE", "/canary")
	for _, address := range []string{"postgres://u:canary@h/d", "postgresql:///d?host=/run/postgresql"} {
		if err := s.ReadSecrets(read("BANKAUTH_STORE=" + address)); err != nil || s.Store.Reveal() != address {
			t.Errorf("%v", err)
		}
	}
	if err := s.ReadSecrets(read("BANKAUTH_STORE=${BANKAUTH_STORE:-}")); err != nil {
		t.Errorf("a placeholder is no store: %v", err)
	}
}

func TestOffered(t *testing.T) {
	known := []string{"finapi", "fintecture", "flinks"}
	for asked, want := range map[string][]string{
		"":                 known,
		"flinks, FinAPI ,": {"finapi", "flinks"},
		"fintecture":       {"fintecture"},
		"flinks,flinks":    {"flinks"},
		" , ":              known,
	} {
		s := config.Settings{Providers: strings.Split(asked, ",")}
		if got, err := s.Offered(known); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: got %v, %v; want %v", asked, got, err, want)
		}
	}
	s := config.Settings{Providers: []string{"canary"}}
	_, err := s.Offered(known)
	wantFault(t, err, "known are finapi, fintecture, flinks", "canary")
	s = config.Settings{}
	_, err = s.Offered([]string{"my-bank", "my.bank"})
	wantFault(t, err, "MY_BANK_CLIENT_ID")
	_, err = s.Offered([]string{"bankauth"})
	wantFault(t, err, "BANKAUTH_CLIENT_ID")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (go test -update writes it):\n%s", name, diff)
	}
}

func TestHelp(t *testing.T) {
	t.Setenv("COLUMNS", "120")
	_, out, _ := parse(t, read(), "--help")
	golden(t, "help.txt", out)
}

func TestTable(t *testing.T) {
	golden(t, "table.md", config.Markdown())
	for _, row := range config.Table() {
		if row.Variable == "" || row.Help == "" || row.Group == "" {
			t.Errorf("%+v is not fully declared", row)
		}
		if row.Secret && row.Flag != "" {
			t.Errorf("%s is a secret and has the flag %s", row.Variable, row.Flag)
		}
	}
}

func TestVariables(t *testing.T) {
	got := strings.Join(config.Variables([]string{"my-bank"}), " ")
	for _, want := range []string{"BANKAUTH_STORE_FILE", "BANKAUTH_SIMULATE", "MY_BANK_CLIENT_ID", "MY_BANK_CLIENT_SECRET_FILE", "MY_BANK_BASE_URL"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
	for name, want := range map[string]bool{"BANKAUTH_VAULT_KEY": true, "BANKAUTH_STORE": true, "X_CLIENT_SECRET": true,
		"X_CLIENT_SECRET_FILE": false, "X_CLIENT_ID": false, "BANKAUTH_EXPOSE": false} {
		if config.IsSecret(name) != want {
			t.Errorf("IsSecret(%s) is not %v", name, want)
		}
	}
}
