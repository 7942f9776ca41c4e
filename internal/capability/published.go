package capability

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"bankauth/internal/yamlfile"
)

//go:embed schemas/*.json
var schemas embed.FS

// published is the schema of a dialect, compiled, and as it stands.
type published struct {
	compiled *jsonschema.Schema
	raw      any
}

func load(f Format) (*published, error) {
	file := "schemas/" + string(f) + "-schema-" + f.Version() + ".json"
	data, err := schemas.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", file, err)
	}
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", file, err)
	}
	c := yamlfile.NewCompiler()
	const url = "https://bankauth.invalid/capability.json"
	if err := c.AddResource(url, raw); err != nil {
		return nil, fmt.Errorf("reading %q: %w", file, err)
	}
	compiled, err := c.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("compiling %q: %w", file, err)
	}
	return &published{compiled, raw}, nil
}

// keys are the keys that the object at a place of the schema may have.
func (p *published) keys(schemaURL string) []string {
	var names []string
	if properties, ok := p.at(schemaURL)["properties"].(map[string]any); ok {
		for name := range properties {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// at follows the pointer in a schema's address.
func (p *published) at(url string) map[string]any {
	_, pointer, _ := strings.Cut(url, "#")
	n := p.raw
	for _, step := range strings.Split(strings.Trim(pointer, "/"), "/") {
		m, ok := n.(map[string]any)
		if !ok {
			return nil
		}
		if step != "" {
			n = m[step]
		}
	}
	m, _ := n.(map[string]any)
	return m
}
