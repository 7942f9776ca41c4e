// Package config reads what an operator sets: environment variables and the
// flags of the same settings.
//
// Every setting is declared once, in Settings or in providerSettings; the
// flags, their help, the reading of the environment and the README's table
// come from there. Nothing here reads the process's own environment: it is
// handed in.
package config

import (
	"slices"
	"strings"

	"bankauth/internal/fault"
	"bankauth/internal/secret"
)

// Settings are the settings that do not belong to one provider. A command
// embeds it with `embed:""`; Environment.Kong fills it from the environment.
//
// A field that kong ignores can hold a secret, so it has no flag; ReadSecrets
// fills it.
type Settings struct {
	Providers   []string `name:"providers" env:"BANKAUTH_PROVIDERS" group:"Providers" placeholder:"NAME" sep:"," help:"Providers to offer. Default: all."`
	ProviderDir string   `name:"provider-dir" env:"BANKAUTH_PROVIDER_DIR" group:"Providers" placeholder:"FOLDER" help:"Folder with further providers: an OpenAPI document and an overlay for each."`
	Simulate    bool     `name:"simulate" env:"BANKAUTH_SIMULATE" group:"Providers" help:"Simulate every provider: no credentials, no network, and a throw-away vault unless a data folder is named."`

	DataDir  string       `name:"data-dir" env:"BANKAUTH_DATA_DIR" group:"Vault" placeholder:"FOLDER" help:"Folder of the vault. Default: bankauth in the platform's state folder."`
	Store    secret.Value `kong:"-" env:"BANKAUTH_STORE" group:"Vault" secret:"" file:"" help:"Where the vault's records lie: postgres://USER:PASSWORD@HOST/DATABASE, for several replicas (docs/replicas.md). Default: SQLite in the data folder."`
	VaultKey secret.Value `kong:"-" env:"BANKAUTH_VAULT_KEY" group:"Vault" secret:"" file:"" help:"Key that wraps the vault's own: 32 bytes in base64, or keyring:. Default: the systemd credential bankauth-vault-key, else the keyring when one answers, else a key file made on first use."`

	// VaultKeyFile is what BANKAUTH_VAULT_KEY_FILE names.
	VaultKeyFile string `kong:"-"`

	ConsentListen string `name:"consent-listen" env:"BANKAUTH_CONSENT_LISTEN" group:"Consent" placeholder:"HOST:PORT" help:"Loopback address at which the browser comes back from a consent; register http://HOST:PORT/consent/callback with the provider. Default: 127.0.0.1:8721; any free port where everything is simulated."`

	Expose string `name:"expose" env:"BANKAUTH_EXPOSE" group:"Answers" enum:"handle, token, full" default:"handle" help:"What the tools let through: ${enum}. handle: no secret in either direction. token: results also carry access_token. full: for programs, never for models."`

	LogLevel  string `name:"log-level" env:"BANKAUTH_LOG_LEVEL" group:"Log" enum:"trace, debug, info, warn, error" default:"warn" help:"Least level that is logged to stderr: ${enum}."`
	LogFormat string `name:"log-format" env:"BANKAUTH_LOG_FORMAT" group:"Log" enum:"auto, json, console" default:"auto" help:"Form of the log: ${enum}. auto: console on a terminal, else json."`
}

// What Settings.Expose may hold.
const (
	ExposeHandle = "handle"
	ExposeToken  = "token"
	ExposeFull   = "full"
)

// providerSettings declares what each provider has, under its own prefix.
type providerSettings struct {
	ClientID     string       `env:"CLIENT_ID" file:"" help:"Client id, as the provider's console shows it (Fintecture: app_id)."`
	ClientSecret secret.Value `env:"CLIENT_SECRET" secret:"" file:"" help:"Client secret."`
	PrivateKey   secret.Value `env:"PRIVATE_KEY" secret:"" file:"" help:"Private key (RSA, PEM) that signs requests where the provider wants it: Fintecture's consent."`
	Environment  string       `env:"ENVIRONMENT" enum:"sandbox, production, simulated" default:"sandbox" help:"Which of the provider's environments is called; simulated needs no credentials."`
	BaseURL      string       `env:"BASE_URL" help:"Server to call in place of the document's, where the provider has named one to you: https, or http on loopback."`
}

// ReadSecrets fills the fields that have no flag. Only a command that opens
// the vault needs them.
func (s *Settings) ReadSecrets(e Environment) error {
	store, err := e.text("BANKAUTH_STORE", true)
	if err != nil {
		return err
	}
	if store != "" && !strings.HasPrefix(store, "postgres://") && !strings.HasPrefix(store, "postgresql://") {
		return fault.New(fault.NotConfigured, "BANKAUTH_STORE is not the address of a PostgreSQL database",
			"set it to postgres://USER:PASSWORD@HOST/DATABASE, or unset it for SQLite in the folder of BANKAUTH_DATA_DIR")
	}
	s.Store = secret.New(store)
	return s.readKey(e)
}

// Offered returns those of the known providers that are to be offered, in the
// known order: all of them unless Providers names some. A name that is not
// known, and two providers that would read the same variables, are a fault.
func (s *Settings) Offered(known []string) ([]string, error) {
	var asked []string
	for _, name := range s.Providers {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			asked = append(asked, name)
		}
	}
	for _, name := range asked {
		if !slices.Contains(known, name) {
			return nil, fault.New(fault.NotConfigured, "BANKAUTH_PROVIDERS (--providers) names a provider that is not known",
				"known are "+strings.Join(known, ", ")+"; further ones come from BANKAUTH_PROVIDER_DIR")
		}
	}
	var offered []string
	for _, name := range known {
		if len(asked) == 0 || slices.Contains(asked, name) {
			offered = append(offered, name)
		}
	}
	return offered, checkPrefixes(offered)
}
