package capability

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"bankauth/internal/fault"
	"bankauth/schema"
)

// go test ./internal/capability -update writes capabilities/ and the expected
// texts anew.
var update = flag.Bool("update", false, "write the expected texts anew")

func bundled(t *testing.T) []*schema.Provider {
	t.Helper()
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// folder is where the exported files lie.
const folder = "../../capabilities"

func fileName(surface string, f Format) string { return surface + "." + string(f) + ".yaml" }

// TestExportedFiles holds capabilities/ against the operations.
func TestExportedFiles(t *testing.T) {
	all := bundled(t)
	var want []string
	for _, surface := range Surfaces(all) {
		for _, f := range Formats() {
			name := fileName(surface, f)
			want = append(want, name)
			data, err := Export(all, surface, f, "")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			path := filepath.Join(folder, name)
			if *update {
				if err := os.WriteFile(path, data, 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			have, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(have), string(data)); diff != "" {
				t.Errorf("%s is stale; run go test ./internal/capability -update, and read what changed (-file +export):\n%s", name, diff)
			}
		}
	}
	var have []string
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".yaml") {
			have = append(have, e.Name())
		}
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("capabilities/ holds %v, and it should hold %v", have, want)
	}
}

// TestDialectsSayTheSame reads both dialects of each surface: but for their
// words they are one document, and it is the one that was composed.
func TestDialectsSayTheSame(t *testing.T) {
	all := bundled(t)
	for _, surface := range Surfaces(all) {
		composed, err := compose(all, surface, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range Formats() {
			data, err := Export(all, surface, f, "")
			if err != nil {
				t.Fatal(err)
			}
			read := parsed(t, f, data)
			read.format = ""
			same := []cmp.Option{cmp.Exporter(func(reflect.Type) bool { return true }), cmp.FilterPath(func(p cmp.Path) bool {
				last := p.Last().String()
				return last == ".at" || last == ".pathAt" || last == ".mock"
			}, cmp.Ignore())}
			if diff := cmp.Diff(composed, read, same...); diff != "" {
				t.Errorf("%s as %s reads otherwise than it was composed (-composed +read):\n%s", surface, f, diff)
			}
		}
	}
}

func parsed(t *testing.T, f Format, data []byte) *document {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil {
		t.Fatal(err)
	}
	return parse(f, n.Content[0])
}

// TestEveryOperationIsEverywhere: each way of calling each tool is a tool on
// MCP, an operation on REST and a tool of the skill, with inputs of a type.
func TestEveryOperationIsEverywhere(t *testing.T) {
	all := bundled(t)
	ways := 0
	for _, p := range all {
		for _, op := range p.Operations {
			ways += len(op.Grants)
		}
	}
	doc, err := compose(all, Combined, "")
	if err != nil {
		t.Fatal(err)
	}
	rest, mcp, skills := doc.exposes[0], doc.exposes[1], doc.exposes[2].skills[0].tools
	if len(rest.resources) != ways || len(mcp.tools) != ways || len(skills) != ways {
		t.Errorf("REST has %d ends, MCP %d and the skill %d; there are %d ways", len(rest.resources), len(mcp.tools), len(skills), ways)
	}
	for _, end := range slices.Concat(rest.ends(), mcp.tools) {
		for _, in := range end.inputs {
			if in.kind == "" || in.description == "" {
				t.Errorf("%s: the input %s lacks a type or a description", end.name, in.name)
			}
		}
		if len("mcp__bankauth__"+end.name) > 64 { // as hosts call it
			t.Errorf("%s is too long for a host", end.name)
		}
	}
}

func TestExportFaults(t *testing.T) {
	all := bundled(t)
	for name, c := range map[string]struct {
		surface, environment, want string
	}{
		"no such surface":     {"fintecture", "", "there is no surface of that name"},
		"no such environment": {"flinks-oauth", "staging", "flinks has no such environment"},
	} {
		_, err := Export(all, c.surface, Naftiko, c.environment)
		f := fault.From(err)
		if f == nil || f.Code != fault.InvalidArgument || f.Message != c.want || f.Hint == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	data, err := Export(all, "flinks-oauth", Ikanos, "production")
	if err != nil || !strings.Contains(string(data), "baseUri: https://ob.flinksapp.com\n") {
		t.Errorf("production: %v\n%s", err, data)
	}
}
