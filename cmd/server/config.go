package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bankauth/internal/config"
	"bankauth/internal/fault"
	"bankauth/internal/hosts"
	"bankauth/schema"
)

type configCommand struct {
	config.Settings `embed:""`

	Egress bool `help:"Have the server run the proxy beside itself (bankauth stdio --egress)."`

	Client string `arg:"" complete:"claude-code,claude-desktop,vscode,cursor,codex,gemini" help:"The MCP host: claude-code, claude-desktop, vscode, cursor, codex or gemini."`
}

// Run prints the block to stdout, and what to do with it to stderr.
func (c *configCommand) Run(p *process) error {
	all, err := offered(p.env, c.Settings)
	if err != nil {
		return err
	}
	command, note, err := thisProgram()
	if err != nil {
		return err
	}
	plain, err := c.pass(p.env, all)
	if err != nil {
		return err
	}
	refer, err := c.keep(p.env, all, plain)
	if err != nil {
		return err
	}
	block, err := hosts.Block(c.Client, hosts.Options{Command: command, Providers: all, Simulate: c.Simulate, Egress: c.Egress, Plain: plain, Refer: refer})
	if err != nil {
		return misuse("there is no configuration for a client of that name; there is one for " + strings.Join(hosts.Names(), ", "))
	}
	fmt.Fprintf(p.err, "%s: put this into %s\n%s%s", block.Title, block.Where, block.Note, note)
	if _, err := p.out.Write(block.Body); err != nil {
		return exit(exitFailed)
	}
	return nil
}

// pass returns the settings that were named here and that the host would not
// hand on by itself.
func (c *configCommand) pass(env config.Environment, all []*schema.Provider) (map[string]string, error) {
	plain := map[string]string{}
	for _, p := range all {
		environment, base := config.Prefix(p.Name)+"_ENVIRONMENT", config.Prefix(p.Name)+"_BASE_URL"
		if c.Simulate || !env.Has(environment) && !env.Has(base) {
			continue
		}
		set, err := env.Provider(p.Name, environmentsOf(p)...) // not as they stand: a wrong URL may hold a password
		if err != nil {
			return nil, err
		}
		plain[environment] = set.Environment
		if set.BaseURL != "" {
			plain[base] = set.BaseURL
		}
	}
	if c.DataDir != "" || env.Has("XDG_STATE_HOME") && !c.Simulate {
		dir, _, err := env.DataDir(c.Settings)
		if err != nil {
			return nil, err
		}
		plain["BANKAUTH_DATA_DIR"] = dir
	}
	if c.ProviderDir != "" {
		dir, err := env.Path(c.ProviderDir)
		if err != nil {
			return nil, err
		}
		plain["BANKAUTH_PROVIDER_DIR"] = dir
	}
	if len(c.Providers) > 0 {
		plain["BANKAUTH_PROVIDERS"] = strings.Join(c.Providers, ",")
	}
	if c.ConsentListen != "" {
		plain["BANKAUTH_CONSENT_LISTEN"] = c.ConsentListen
	}
	for _, set := range []struct{ variable, value, fallback string }{
		{"BANKAUTH_EXPOSE", c.Expose, config.ExposeHandle}, {"BANKAUTH_LOG_LEVEL", c.LogLevel, "warn"}, {"BANKAUTH_LOG_FORMAT", c.LogFormat, "auto"},
	} {
		if set.value != set.fallback {
			plain[set.variable] = set.value
		}
	}
	return plain, nil
}

// keep adds to plain the files in which settings stand, and returns the
// variables to which the block must refer: those that hold a secret, and those
// that name no file, which may be a secret in the wrong variable.
func (c *configCommand) keep(env config.Environment, all []*schema.Provider, plain map[string]string) ([]string, error) {
	providers := namesOf(all)
	if c.Simulate {
		providers = nil // their credentials are made up
		if c.DataDir == "" {
			return nil, nil // and the vault is a throw-away one
		}
	}
	var refer []string
	for _, name := range config.InFiles(providers) {
		file, inFile := env.Lookup(name + "_FILE")
		path, err := env.Path(file)
		if err != nil {
			return nil, err
		}
		switch info, err := os.Stat(path); {
		case inFile && err == nil && info.Mode().IsRegular():
			plain[name+"_FILE"] = path
		case inFile:
			refer = append(refer, name+"_FILE")
		case env.Has(name) && config.IsSecret(name):
			refer = append(refer, name)
		}
	}
	return refer, nil
}

// thisProgram returns the path of the running program, and a note where it
// will not stay there.
func thisProgram() (path, note string, err error) {
	path, err = os.Executable()
	if err != nil {
		return "", "", fault.New(fault.Internal, "the path of this program is not known", "start it by its whole path").Because(err)
	}
	if resolved, err := filepath.EvalSymlinks(os.TempDir()); err == nil && strings.HasPrefix(path, resolved) && strings.Contains(path, "go-build") {
		note = "`go run` has built this program for this once, and its path will be gone. Build it to stay, with\n" +
			"`go build -o bankauth ./cmd/server`, and print this again with `./bankauth config`.\n"
	}
	return path, note, nil
}
