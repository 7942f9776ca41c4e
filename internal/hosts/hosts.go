// Package hosts writes the configuration with which an MCP host starts
// bankauth over stdio: as a block for the host's own file (Block), and inside
// the packages that people install (Manifests).
//
// Hosts pass few or none of their own variables on, so every block names those
// that bankauth reads. A credential is there as the host's own kind of
// reference, never as a value.
package hosts

import (
	"maps"
	"slices"
	"strings"

	"bankauth/internal/config"
	"bankauth/internal/fault"
)

// Server is the key under which the hosts know bankauth; some put it before
// the names of the tools.
const Server = "openbank"

// Formats of a Config's body.
const (
	JSON = "json"
	TOML = "toml"
)

// Options say what a block is for.
type Options struct {
	Command   string   // the binary, by its whole path
	Providers []string // whose credentials the block makes room for
	Simulate  bool     // start with --simulate; no credentials then
	Egress    bool     // start with --egress
	// Plain are further variables with their values, such as
	// BANKAUTH_DATA_DIR. They must be settings and must not be secret.
	Plain map[string]string
	// Refer names further settings whose values must not stand in the block, such
	// as BANKAUTH_VAULT_KEY: it refers to them, as to the credentials.
	Refer []string
}

// Config is the configuration for one host.
type Config struct {
	Host   string // as Names has it
	Title  string // as people say it
	Where  string // the file or files that it can go into
	Format string // JSON or TOML
	Body   []byte // ends with a newline
	Note   string // what to do with it and how to check it; one step a line
}

// host is what is particular to one host.
type host struct {
	name, title, where, format string
	// refer returns the entries of the env block for a variable; secret says
	// whether it holds one.
	refer func(variable string, secret bool) map[string]string
	body  func(block) ([]byte, error)
	steps []string
}

// block is what the body of every host is made from.
type block struct {
	command     string
	args        []string
	env         map[string]string // plain values and references
	credentials []question        // in the order of the providers
	inFiles     []string          // settings that stand in a file
}

// Names returns the hosts that Block knows.
func Names() []string {
	var names []string
	for _, h := range all() {
		names = append(names, h.name)
	}
	return names
}

// Block returns the configuration for the host called name. An unknown host
// and a variable in o.Plain that is secret or no setting are a fault.
func Block(name string, o Options) (Config, error) {
	i := slices.IndexFunc(all(), func(h host) bool { return h.name == strings.ToLower(strings.TrimSpace(name)) })
	if i < 0 {
		return Config{}, fault.New(fault.InvalidArgument, "there is no configuration for a host of that name", "known are "+strings.Join(Names(), ", "))
	}
	h := all()[i]
	b, err := o.block(h)
	if err != nil {
		return Config{}, err
	}
	body, err := h.body(b)
	if err != nil {
		return Config{}, fault.From(err)
	}
	steps := slices.Clone(h.steps)
	if len(b.credentials) == 0 {
		steps = slices.DeleteFunc(steps, func(s string) bool { return strings.HasPrefix(s, credentialStep) })
	}
	if o.Simulate {
		steps = append(steps, "Every provider is simulated and no credentials are needed. For real ones print this again without --simulate.")
	}
	return Config{Host: h.name, Title: h.title, Where: h.where, Format: h.format, Body: body, Note: strings.Join(steps, "\n") + "\n"}, nil
}

func (o Options) block(h host) (block, error) {
	if o.Command == "" {
		return block{}, fault.New(fault.InvalidArgument, "the path of the bankauth binary is missing", "name it by its whole path")
	}
	b := block{command: o.Command, args: []string{"stdio"}, env: map[string]string{}}
	declared := config.Variables(o.Providers)
	for variable, value := range o.Plain {
		if !slices.Contains(declared, variable) || config.IsSecret(variable) {
			return block{}, fault.New(fault.InvalidArgument, variable+" is secret, or is no setting of bankauth", "leave it out of the block")
		}
		b.env[variable] = value
	}
	for _, variable := range slices.AppendSeq(slices.Clone(o.Refer), maps.Keys(o.Plain)) {
		if name, inFile := strings.CutSuffix(variable, "_FILE"); inFile {
			b.inFiles = append(b.inFiles, name)
		}
	}
	if o.Egress {
		b.args = append(b.args, "--egress")
	}
	if o.Simulate {
		b.args = append(b.args, "--simulate")
	} else {
		for _, provider := range o.Providers {
			b.addProvider(h, provider)
		}
	}
	for _, variable := range o.Refer {
		if !slices.Contains(declared, variable) {
			return block{}, fault.New(fault.InvalidArgument, variable+" is no setting of bankauth", "leave it out of the block")
		}
		b.addCredential(h, question{variable: variable, title: strings.ReplaceAll(strings.ToLower(variable), "_", " "), secret: config.IsSecret(variable)})
	}
	return b, nil
}

func (b *block) addProvider(h host, provider string) {
	for _, q := range questions(provider) {
		if q.fallback != "" { // not a credential
			if _, set := b.env[q.variable]; !set {
				b.env[q.variable] = q.fallback
			}
			continue
		}
		b.addCredential(h, q)
	}
}

// addCredential has the host refer to the variable of q, unless the block has
// its …_FILE: bankauth refuses both.
func (b *block) addCredential(h host, q question) {
	if slices.Contains(b.inFiles, q.variable) || slices.ContainsFunc(b.credentials, func(c question) bool { return c.variable == q.variable }) {
		return
	}
	b.credentials = append(b.credentials, q)
	for variable, reference := range h.refer(q.variable, q.secret) {
		b.env[variable] = reference
	}
}
