package config

import (
	"net/url"
	"path/filepath"
	"strings"

	"bankauth/internal/fault"
)

// Access are the settings of who may call over HTTP. A command that serves, or
// that looks after clients, embeds it beside Settings.
type Access struct {
	PublicURL   string   `name:"public-url" env:"BANKAUTH_PUBLIC_URL" group:"Who may call" placeholder:"URL" help:"Where clients reach this server over HTTP: https://HOST or https://HOST:PORT, without a path. Default: the address it listens on."`
	ClientsFile string   `name:"clients-file" env:"BANKAUTH_CLIENTS_FILE" group:"Who may call" placeholder:"FILE" help:"File of the clients that call with a static token; bankauth clients writes it. Default: clients.json in the data folder."`
	Issuer      string   `name:"issuer" env:"BANKAUTH_ISSUER" group:"Who may call" placeholder:"URL" help:"OpenID Connect issuer whose JWTs are admitted, as their iss says it."`
	Audiences   []string `name:"audience" env:"BANKAUTH_AUDIENCE" group:"Who may call" placeholder:"NAME" sep:"," help:"What the aud of such a JWT may be. Default: the public URL, alone and with /mcp or /sse."`
}

// Check refuses addresses that no client and no token may be sent to, and
// takes the slash from the end of the public one.
func (a *Access) Check() error {
	a.PublicURL = strings.TrimRight(a.PublicURL, "/")
	if err := a.checkPublicURL(); err != nil {
		return err
	}
	if a.Issuer != "" {
		if err := CheckURL(a.Issuer); err != nil {
			return badURL("BANKAUTH_ISSUER", err)
		}
	}
	if len(a.Audiences) > 0 && a.Issuer == "" {
		return fault.New(fault.NotConfigured, "BANKAUTH_AUDIENCE is set, and BANKAUTH_ISSUER is not", "name the issuer of the tokens, or unset BANKAUTH_AUDIENCE")
	}
	return nil
}

// checkPublicURL refuses a path: what is served says where the rest of it is
// from the root of its host.
func (a *Access) checkPublicURL() error {
	if a.PublicURL == "" {
		return nil
	}
	const hint = "set it to https://HOST or https://HOST:PORT, or to http on a loopback address; or unset it"
	if err := CheckURL(a.PublicURL); err != nil {
		return fault.New(fault.NotConfigured, "BANKAUTH_PUBLIC_URL "+err.Error(), hint)
	}
	if u, err := url.Parse(a.PublicURL); err != nil || u.Path != "" {
		return fault.New(fault.NotConfigured, "BANKAUTH_PUBLIC_URL (--public-url) has a path, and bankauth cannot be served below one", hint+"; a proxy gives bankauth a host or a port of its own")
	}
	return nil
}

// ClientsFile returns the path of the file of clients, absolute, and whether a
// names it. It need not exist.
func (e Environment) ClientsFile(s Settings, a Access) (path string, named bool, err error) {
	if a.ClientsFile != "" {
		path, err = e.Path(a.ClientsFile)
		return path, true, err
	}
	dir, _, err := e.DataDir(s)
	return filepath.Join(dir, "clients.json"), false, err
}
