package hosts

import "fmt"

// serverJSON is the entry in the MCP registry, schema of 2025-12-11.
type serverJSON struct {
	Schema      string            `json:"$schema"`
	Name        string            `json:"name"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Version     string            `json:"version"`
	Repository  map[string]string `json:"repository"`
	Packages    []registryPackage `json:"packages"`
}

type registryPackage struct {
	Type        string            `json:"registryType"`
	Identifier  string            `json:"identifier"`
	Version     string            `json:"version,omitempty"`
	SHA256      string            `json:"fileSha256,omitempty"`
	Transport   map[string]string `json:"transport"`
	Arguments   []map[string]any  `json:"packageArguments,omitempty"`
	Environment []registryInput   `json:"environmentVariables"`
}

type registryInput struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Format      string   `json:"format,omitempty"`
	Secret      bool     `json:"isSecret,omitempty"`
	Default     string   `json:"default,omitempty"`
	Choices     []string `json:"choices,omitempty"`
}

func (r Release) registry() serverJSON {
	inputs := registryInputs(r.questions())
	stdio := map[string]string{"type": "stdio"}
	start := []map[string]any{{"type": "positional", "value": "stdio"}}
	s := serverJSON{
		Schema: "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
		Name:   RegistryID, Title: product, Description: about, Version: r.Version,
		Repository: map[string]string{"url": Repository, "source": "github"},
		Packages: []registryPackage{
			{Type: "npm", Identifier: npmName, Version: r.Version, Transport: stdio, Arguments: start, Environment: inputs},
			{Type: "oci", Identifier: image + ":" + r.Version, Transport: stdio, Arguments: start, Environment: registryInputs(r.inContainer())},
		},
	}
	if r.Bundle != "" {
		s.Packages = append(s.Packages, registryPackage{Type: "mcpb", Identifier: fmt.Sprintf(bundleShape, r.Version), SHA256: r.Bundle, Transport: stdio, Environment: inputs})
	}
	return s
}

func registryInputs(questions []question) []registryInput {
	var inputs []registryInput
	for _, q := range questions {
		in := registryInput{Name: q.variable, Description: q.about, Secret: q.secret, Default: q.fallback, Choices: q.values}
		switch {
		case q.yesNo:
			in.Format = "boolean"
		case q.file:
			in.Format = "filepath"
		}
		inputs = append(inputs, in)
	}
	return inputs
}
