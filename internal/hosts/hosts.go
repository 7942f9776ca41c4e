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
	"bankauth/schema"
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
	Command   string             // the binary, by its whole path
	Providers []*schema.Provider // whose credentials the block makes room for
	Simulate  bool               // start with --simulate; no credentials then
	Egress    bool               // start with --egress
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
	// refer returns the entries of the env block for what q asks.
	refer func(q question) map[string]string
	body  func(block) ([]byte, error)
	steps []string
}

// block is what the body of every host is made from.
type block struct {
	command    string
	args       []string
	env        map[string]string // plain values and references
	references []question        // in the order of the providers
	given      []string          // settings that Options give, without a _FILE
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
	if len(b.references) == 0 {
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
	declared := config.Variables(namesOf(o.Providers))
	for variable, value := range o.Plain {
		if !slices.Contains(declared, variable) || config.IsSecret(variable) {
			return block{}, fault.New(fault.InvalidArgument, variable+" is secret, or is no setting of bankauth", "leave it out of the block")
		}
		b.env[variable] = value
	}
	for _, variable := range slices.AppendSeq(slices.Clone(o.Refer), maps.Keys(o.Plain)) {
		b.given = append(b.given, strings.TrimSuffix(variable, inFile))
	}
	if o.Egress {
		b.args = append(b.args, "--egress")
	}
	if o.Simulate {
		b.args = append(b.args, "--simulate")
	} else {
		for _, provider := range o.Providers {
			b.addProvider(h, provider, o.Refer)
		}
	}
	for _, variable := range o.Refer {
		if !slices.Contains(declared, variable) {
			return block{}, fault.New(fault.InvalidArgument, variable+" is no setting of bankauth", "leave it out of the block")
		}
		b.refer(h, question{variable: variable, title: strings.ReplaceAll(strings.ToLower(variable), "_", " "), secret: config.IsSecret(variable)})
	}
	return b, nil
}

// addProvider makes room for what is not given otherwise, as a value or in a
// file: bankauth refuses a variable beside its …_FILE.
func (b *block) addProvider(h host, p *schema.Provider, refer []string) {
	for _, q := range questions(p) {
		switch q = q.onDisk(); {
		case slices.Contains(b.given, strings.TrimSuffix(q.variable, inFile)) && !slices.Contains(refer, q.variable):
		case q.fallback != "": // not a credential
			b.env[q.variable] = q.fallback
		default:
			b.refer(h, q)
		}
	}
}

// refer has the host refer to the variable of q, once.
func (b *block) refer(h host, q question) {
	if slices.ContainsFunc(b.references, func(r question) bool { return r.variable == q.variable }) {
		return
	}
	b.references = append(b.references, q)
	maps.Copy(b.env, h.refer(q))
}

func namesOf(providers []*schema.Provider) []string {
	var names []string
	for _, p := range providers {
		names = append(names, p.Name)
	}
	return names
}
