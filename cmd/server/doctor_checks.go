package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bankauth/internal/config"
	"bankauth/internal/consent"
	"bankauth/internal/fault"
	"bankauth/internal/vault"
	"bankauth/providers"
	"bankauth/schema"
)

// settingChecks looks at variables that nobody reads or nobody filled in.
func settingChecks(env config.Environment, all []*schema.Provider) []check {
	var checks []check
	for _, u := range env.Unknown(namesOf(all)) {
		switch {
		case ownName(u.Name, all) != "":
			checks = append(checks, needs("settings", u.Name+" is set and nobody reads it", "did you mean "+ownName(u.Name, all)+"?"))
		case u.DidYouMean != "":
			checks = append(checks, needs("settings", u.Name+" is set and nobody reads it", "did you mean "+u.DidYouMean+"?"))
		case strings.HasPrefix(u.Name, "BANKAUTH_"):
			checks = append(checks, needs("settings", u.Name+" is set and nobody reads it", "unset it; `bankauth stdio --help` lists the settings"))
		default:
			checks = append(checks, note("settings", u.Name+" is set and nobody reads it", ""))
		}
	}
	for _, name := range env.Placeholders(namesOf(all)) {
		checks = append(checks, note("settings", name+" holds a placeholder that nobody filled in, so it counts as unset", ""))
	}
	if len(checks) == 0 {
		checks = append(checks, ok("settings", "every variable that is set is known"))
	}
	return checks
}

// ownName returns the setting for a variable that is named as the provider
// names the credential, such as FINTECTURE_APP_ID; "" for any other.
func ownName(variable string, all []*schema.Provider) string {
	for _, p := range all {
		prefix := config.Prefix(p.Name)
		switch variable {
		case prefix + "_" + strings.ToUpper(p.Credentials.ClientID):
			return prefix + "_CLIENT_ID"
		case prefix + "_" + strings.ToUpper(p.Credentials.ClientSecret):
			return prefix + "_CLIENT_SECRET"
		}
	}
	return ""
}

// providers looks at what is set for each provider and returns the clients of
// those that can be called.
func (c *doctorCommand) providers(env config.Environment, all []*schema.Provider) ([]*providers.Client, []check) {
	var clients []*providers.Client
	var checks []check
	usable := 0 // providers that are configured, or begun to be
	for _, p := range all {
		o, missing, err := clientOptions(env, c.Settings, p)
		switch {
		case err != nil:
			checks = append(checks, broken(p.Name, err))
			usable++
		case o.Environment == config.Simulated:
			checks = append(checks, ok(p.Name, "simulated: no credentials, no network"))
			usable++
		case len(missing) > 0:
			k := c.unset(p, missing)
			checks = append(checks, k)
			if k.State == checkNeeds {
				usable++ // somebody means to use it
			}
		default:
			client, err := providers.New(p, o)
			usable++
			if err != nil {
				checks = append(checks, broken(p.Name, err))
				continue
			}
			clients = append(clients, client)
			checks = append(checks, ok(p.Name, fmt.Sprintf("%s at %s, credentials are set", client.Environment(), client.BaseURL())))
			checks = append(checks, c.consent(env, client)...)
		}
	}
	if _, err := c.ConsentAddress(); err != nil {
		checks = append(checks, broken("consent", err))
	}
	if usable == 0 && len(all) > 0 {
		checks = append(checks, needs("providers", "no provider is configured",
			"to try without credentials: `bankauth demo`, or start the server with --simulate\n"+
				"for a real one: set its CLIENT_ID and CLIENT_SECRET as above; `bankauth config CLIENT` prints where your MCP host wants them"))
	}
	return clients, checks
}

// consent looks at what a person's consent needs: a key where the call that
// opens it is signed, and a redirect URI that the provider knows.
func (c *doctorCommand) consent(env config.Environment, client *providers.Client) []check {
	p := client.Provider()
	_, g, has := p.Operation(schema.CreateAccessToken, schema.GrantAuthorizationCode)
	if !has || g.Consent == nil {
		return nil
	}
	name := config.Prefix(p.Name) + "_PRIVATE_KEY"
	switch err := client.MayConsent(g); {
	case err != nil && !env.Has(name) && !env.Has(name+"_FILE"): // whoever needs no consent needs no key
		return []check{note(p.Name, "nobody can be asked to consent: "+name+" not set", fault.From(err).Hint)}
	case err != nil:
		return []check{broken(p.Name, err)}
	}
	address, err := c.ConsentAddress()
	if err != nil {
		return nil // said once, for all of them
	}
	found := []check{ok(p.Name, "consents come back to "+consent.RedirectURI("http://"+address)+"; the provider must know this redirect URI")}
	if public, ok := env.Lookup("BANKAUTH_PUBLIC_URL"); ok {
		access := config.Access{PublicURL: public}
		if err := access.Check(); err != nil {
			return append(found, broken(p.Name, err))
		}
		found = append(found, note(p.Name, "consents that `bankauth serve` opens come back to "+consent.RedirectURI(access.PublicURL),
			"the provider must know this redirect URI, too"))
	}
	return found
}

// unset speaks of missing credentials. A provider of which nothing is set may
// be one that nobody wants to use.
func (c *doctorCommand) unset(p *schema.Provider, missing []string) check {
	prefix := config.Prefix(p.Name)
	calls := map[string]string{prefix + "_CLIENT_ID": p.Credentials.ClientID, prefix + "_CLIENT_SECRET": p.Credentials.ClientSecret}
	var steps []string
	for _, name := range missing {
		steps = append(steps, fmt.Sprintf("set %s (%s calls it %s), or %s_FILE", name, p.Title, calls[name], name))
	}
	if p.Credentials.Help != "" {
		steps = append(steps, "where to find it: "+p.Credentials.Help)
	}
	text, fix := strings.Join(missing, " and ")+" not set", strings.Join(steps, "\n")
	if len(missing) < 2 || len(c.Providers) > 0 {
		return needs(p.Name, text, fix)
	}
	return note(p.Name, "not configured: "+text, fix)
}

// vaultChecks looks at the vault without making or changing it.
func vaultChecks(ctx context.Context, env config.Environment, settings config.Settings) []check {
	const name = "vault"
	o, err := vaultOptions(env, settings)
	if err != nil {
		return []check{broken(name, err)}
	}
	if o.Ephemeral {
		return []check{ok(name, "a throw-away one, gone when the server ends; name --data-dir to keep it")}
	}
	s, err := vault.Inspect(ctx, o)
	if err != nil && s.Store != "" {
		return []check{note("store", s.Store, ""), broken(name, err)}
	}
	if err != nil {
		return []check{broken(name, err)}
	}
	if !writable(o.Dir) {
		return []check{needs(name, o.Dir+" cannot be written", "give your user write access to it, or set BANKAUTH_DATA_DIR to another folder")}
	}
	place := s.Path
	if s.Store != "" {
		place = s.Store
	}
	if !s.Made {
		return []check{ok(name, "not made yet; the first token makes it in "+place)}
	}
	tokens := 0
	for _, n := range s.Tokens {
		tokens += n
	}
	checks := []check{ok(name, fmt.Sprintf("%s, tokens %d, passwords %d", place, tokens, s.Passwords)), keyCheck(s)}
	if n := s.Tokens[vault.Uncertain]; n > 0 {
		checks = append(checks, note(name, fmt.Sprintf("tokens whose last refresh got no answer: %d", n), "the next refresh_token settles it"))
	}
	if n := s.Tokens[vault.Reauthorize]; n > 0 {
		checks = append(checks, note(name, fmt.Sprintf("tokens that their provider ended: %d", n), "create_access_token makes new ones; `bankauth tokens list` shows which"))
	}
	if s.PutBack {
		checks = append(checks, putBack())
	}
	if n := s.Tokens[vault.Suspect]; n > 0 {
		checks = append(checks, suspect(n, ""))
	}
	if s.Spilled > 0 {
		checks = append(checks, needs(name, fmt.Sprintf("answers that the store could not take and that lie beside it: %d", s.Spilled), "make room where "+s.Path+" lies; the next refresh puts them into the store"))
	}
	if s.SetAside > 0 {
		checks = append(checks, needs(name, fmt.Sprintf("records that are damaged and set aside: %d", s.SetAside), "`bankauth vault restore FILE` brings them back from a backup; or create those tokens again"))
	}
	return checks
}

func keyCheck(s vault.Status) check {
	switch s.KeySource {
	case "key file":
		return note("vault key", "in the file "+s.KeyPath, "back it up apart from the vault: without it nobody can open the vault, with it and the vault anybody can")
	case "file":
		return ok("vault key", "from the file that BANKAUTH_VAULT_KEY_FILE names")
	case "environment":
		return ok("vault key", "from BANKAUTH_VAULT_KEY")
	}
	return ok("vault key", "in the "+s.KeySource)
}

// writable tries whether a file can be made in dir, or in the nearest folder
// above it that is there.
func writable(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
			dir = filepath.Dir(dir)
			continue
		}
		if err != nil || !info.IsDir() {
			return false
		}
		f, err := os.CreateTemp(dir, ".bankauth-")
		if err != nil {
			return false
		}
		return errors.Join(f.Close(), os.Remove(f.Name())) == nil
	}
}
