package schema_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"bankauth/openapi"
	"bankauth/schema"
)

const readme = "../openapi/README.md"

// TestReadme holds the tables of openapi/README.md against the schema of
// overlays; -update rewrites them.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), "-update -->\n")
	_, tail, ended := strings.Cut(rest, "<!-- end -->")
	if !ok || !ended {
		t.Fatal("the markers are gone")
	}
	want := head + "-update -->\n" + vocabulary(t) + "<!-- end -->" + tail
	if *update {
		if err := os.WriteFile(readme, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(b) {
		t.Error("openapi/README.md is stale: run go test ./schema -run TestReadme -update")
	}
}

// vocabulary writes a table for each extension field, in the schema's order.
func vocabulary(t *testing.T) string {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(openapi.OverlaySchema, &doc); err != nil {
		t.Fatal(err)
	}
	defs := node(doc.Content[0], "$defs")
	v := &table{t: t, defs: defs}
	for i := 0; i+1 < len(defs.Content); i += 2 {
		name := defs.Content[i].Value
		if !strings.HasPrefix(name, "x-bankauth") {
			continue
		}
		fmt.Fprintf(&v.b, "\n### `%s`\n\n%s\n\n| field | type | default | meaning | example |\n| --- | --- | --- | --- | --- |\n", name, text(defs.Content[i+1], "description"))
		v.object("", defs.Content[i+1])
	}
	return v.b.String() + "\n"
}

type table struct {
	t    *testing.T
	defs *yaml.Node
	b    strings.Builder
}

// object writes a row for each property of n, and below it those inside.
func (v *table) object(path string, n *yaml.Node) {
	required := map[string]bool{}
	if list := node(n, "required"); list != nil {
		for _, r := range list.Content {
			required[r.Value] = true
		}
	}
	if props := node(n, "properties"); props != nil {
		for i := 0; i+1 < len(props.Content); i += 2 {
			name := props.Content[i].Value
			v.row(path+name, props.Content[i+1], required[name])
		}
	}
	if each := node(n, "additionalProperties"); each != nil && node(each, "properties") != nil {
		v.object(path+"NAME.", each)
	}
}

func (v *table) row(path string, n *yaml.Node, required bool) {
	missing := text(n, "default")
	if required {
		missing = "*needed*"
	} else if missing != "" {
		missing = "`" + missing + "`"
	}
	meaning := text(n, "description")
	if meaning == "" {
		v.t.Errorf("%s is not described", path)
	}
	example := ""
	if list := node(n, "examples"); list != nil {
		example = "`" + inline(v.t, list.Content[0]) + "`"
	}
	fmt.Fprintf(&v.b, "| `%s` | %s | %s | %s | %s |\n", path, v.kind(n), missing, meaning, example)
	v.object(path+".", n)
	if items := node(n, "items"); items != nil && node(items, "properties") != nil {
		v.object(path+"[].", items)
	}
}

// kind says of what type a value is.
func (v *table) kind(n *yaml.Node) string {
	if ref := text(n, "$ref"); ref != "" {
		if strings.HasSuffix(ref, "/pointer") {
			return "JSON Pointer"
		}
		return v.kind(node(v.defs, strings.TrimPrefix(ref, "#/$defs/")))
	}
	if enum := node(n, "enum"); enum != nil {
		var all []string
		for _, e := range enum.Content {
			all = append(all, "`"+e.Value+"`")
		}
		return strings.Join(all, ", ")
	}
	switch kind := text(n, "type"); kind {
	case "array":
		return "list of " + v.kind(node(n, "items"))
	case "object":
		if each := node(n, "additionalProperties"); each != nil && each.Kind == yaml.MappingNode {
			return "mapping"
		}
		return "object"
	case "string":
		return "text"
	default:
		return kind
	}
}

func node(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node, key string) string {
	if v := node(n, key); v != nil {
		return v.Value
	}
	return ""
}

func inline(t *testing.T, n *yaml.Node) string {
	t.Helper()
	var v any
	if err := n.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(`":`, ": ", `"`, "", ",", ", ").Replace(string(b))
}

// TestReadmeIsTrue compiles the overlay that the README begins with, and looks
// for the mistakes that it shows among those that are tested.
func TestReadmeIsTrue(t *testing.T) {
	b, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "   ```yaml\n")
	overlay, _, _ := strings.Cut(rest, "   ```\n")
	document := `{openapi: 3.1.0, info: {title: x, version: '1'}, servers: [{url: https://test.norrbank.example}], paths: {/oauth/token: {post: {operationId: token,
		requestBody: {content: {application/x-www-form-urlencoded: {schema: {type: object, required: [grant_type], properties: {grant_type: {type: string, enum: [client_credentials, refresh_token]}, refresh_token: {type: string}}}}}},
		responses: {'200': {description: x, content: {application/json: {schema: {type: object, properties: {access_token: {type: string}}}}}}}}}}}`
	if _, err := schema.Compile("d.yaml", []byte(document), "o.yaml", []byte(strings.ReplaceAll("\n"+overlay, "\n   ", "\n"))); err != nil {
		t.Errorf("the README's overlay: %v", err)
	}
	var tested string
	archives, _ := filepath.Glob("testdata/compile/*.txtar")
	for _, path := range archives {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tested += string(b)
	}
	shown := 0
	for _, line := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(line, "bank.") {
			if shown++; !strings.Contains(tested, "\n"+line+"\n") {
				t.Errorf("no such mistake: %s", line)
			}
		}
	}
	if shown < 6 {
		t.Errorf("%d mistakes are shown", shown)
	}
}
