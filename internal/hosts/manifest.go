package hosts

import (
	"fmt"
	"strings"

	"bankauth/schema"
)

// What every package says of bankauth.
const (
	about       = "Open-banking credentials for AI agents, without showing them a secret" // the registry takes 100 characters
	licence     = "Apache-2.0"
	bundleShape = Repository + "/releases/download/v%s/" + product + "-%[1]s.mcpb"
)

// Release is what the packages of one release differ in.
type Release struct {
	Version   string             // without the v
	Providers []*schema.Provider // whose credentials they ask for
	Hosts     []string           // host:port that the server calls, for those who fence it in
	// Bundle is the SHA-256 of the MCPB bundle in hex; "" where it has not been
	// built, and server.json then leaves it out.
	Bundle string
	// Commit is what Docker builds, in hex; "" in the repository, since no commit
	// can name itself.
	Commit string
}

// File is one file of a package.
type File struct {
	Path string // with slashes, from the repository's root
	Body []byte
}

// Registry returns the entry in the MCP registry.
func (r Release) Registry() ([]byte, error) { return indented(r.registry()) }

// Catalogue returns the entry in Docker's MCP catalogue.
func (r Release) Catalogue() ([]byte, error) { return prettier(r.catalogue()) }

// Manifests returns the manifests of all packages as the repository has them.
func Manifests(r Release) ([]File, error) {
	var files []File
	for _, m := range []struct {
		path  string
		write func(any) ([]byte, error)
		value any
	}{
		{"server.json", indented, r.registry()},
		{".claude-plugin/plugin.json", indented, r.plugin()},
		{".claude-plugin/marketplace.json", indented, r.marketplace()},
		{"gemini-extension.json", indented, r.gemini(product)},
		{"packaging/gemini/gemini-extension.json", indented, r.gemini("${extensionPath}${/}" + product)}, // in the archives, beside the binary
		{"packaging/mcpb/manifest.json", indented, r.bundle()},
		{"packaging/docker/server.yaml", prettier, r.catalogue()},
		{"packaging/npm/package.json", indented, r.npm()},
	} {
		body, err := m.write(m.value)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", m.path, err)
		}
		files = append(files, File{m.path, body})
	}
	return files, nil
}

// inContainer returns all that a package asks for whose server sees none of
// the user's files.
func (r Release) inContainer() []question {
	var all []question
	for _, p := range r.Providers {
		all = append(all, questions(p)...)
	}
	return append(all, general()...)
}

// questions returns all that a package asks for.
func (r Release) questions() []question {
	all := r.inContainer()
	for i, q := range all {
		all[i] = q.onDisk()
	}
	return all
}

// env refers to the answer of each question in a host's own way.
func (r Release) env(refer func(q question) string) map[string]string {
	env := map[string]string{}
	for _, q := range r.questions() {
		env[q.variable] = refer(q)
	}
	return env
}

// key is what Claude's hosts call an answer.
func (q question) key() string { return strings.ToLower(q.variable) }

// described adds to what q is about which values it takes.
func (q question) described() string {
	if len(q.values) == 0 {
		return q.about
	}
	return q.about + " One of " + strings.Join(q.values, ", ") + "."
}

type named struct {
	Name string `json:"name"`
}

// userConfig is how Claude Desktop's bundles and Claude Code's plugins ask. A
// sensitive answer goes into the operating system's keychain. What is left
// blank arrives as the reference itself, which counts as unset.
type userConfig struct {
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Sensitive   bool   `json:"sensitive,omitempty"`
	Required    bool   `json:"required"`
	Default     any    `json:"default,omitempty"`
}

func (r Release) userConfig() map[string]userConfig {
	all := map[string]userConfig{}
	for _, q := range r.questions() {
		c := userConfig{Type: "string", Title: q.title, Description: q.described(), Sensitive: q.secret}
		switch {
		case q.yesNo:
			c.Type, c.Default = "boolean", q.fallback == "true"
		case q.file:
			c.Type = "file"
		case q.fallback != "":
			c.Default = q.fallback
		}
		all[q.key()] = c
	}
	return all
}

func ofUserConfig(q question) string { return "${user_config." + q.key() + "}" }
