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
			if op.Tool == schema.Revoke {
				continue // a program's business, and no tool
			}
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

// bank is a provider that does what the bundled ones do not.
func bank(ops ...*schema.Operation) *schema.Provider {
	return &schema.Provider{Name: "bank", Title: "Bank", Document: "bank.yaml",
		Environments: []schema.Environment{{Name: "production", URL: "https://bank.example"}}, Operations: ops}
}

func field(name, kind, held string) schema.Field {
	return schema.Field{Name: name, Argument: name, Type: kind, Description: "The " + name + ".", Held: held}
}

// TestOtherProviders: credentials in headers, fixed members and numbers are
// said as they are sent, and operations that serve no tool are left out.
func TestOtherProviders(t *testing.T) {
	token := &schema.Operation{ID: "token", Method: "POST", Path: "/token", Tool: schema.CreateAccessToken, Media: schema.MediaJSON,
		Auth:    schema.Auth{Style: schema.AuthHeader, ClientID: "X-Client", ClientSecret: "X-Secret"},
		Headers: map[string]string{"X-Version": "2"},
		Fields:  []schema.Field{field("grant_type", "string", ""), field("days", "integer", ""), field("audience", "string", ""), field("level", "string", "")},
		Grants: []schema.Grant{{Name: schema.GrantClientCredentials, Arguments: []string{"level"},
			Fixed: map[string]string{"days": "30", "audience": "bank:{client_id}", "level": "low"}}},
		Answer: schema.Answer{AccessToken: "/data/token"}}
	revoke := &schema.Operation{ID: "revoke", Method: "POST", Path: "/revoke", Tool: "revoke", Media: schema.MediaForm,
		Auth: schema.Auth{Style: schema.AuthBasic}, Grants: []schema.Grant{{}}}
	users := &schema.Operation{ID: "user", Method: "PUT", Path: "/v1/users", Tool: schema.CreateUser, Media: schema.MediaJSON,
		Auth: schema.Auth{Style: schema.AuthBearer, Grant: schema.GrantClientCredentials}, Fields: []schema.Field{field("id", "string", "")}, Grants: []schema.Grant{{Arguments: []string{"id"}, Required: []string{"id"}}}}
	p := bank(token, revoke, users)
	if got := Surfaces([]*schema.Provider{p}); !slices.Equal(got, []string{"bank-oauth", "bank-users", Combined}) {
		t.Errorf("surfaces %v", got)
	}
	for _, f := range Formats() {
		data, err := Export([]*schema.Provider{p}, Combined, f, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"X-Client", "value: '{{BANK_CLIENT_ID}}'", "value: '{{BANK_CLIENT_SECRET}}'", "X-Version", "value: '2'",
			"days: 30\n", "audience: bank:{{BANK_CLIENT_ID}}\n", "level: '{{level}}'\n", "Usually low.", "value: $.data.token\n",
			"token: '{{access_token}}'", "access_token: '{{client-token.access_token}}'", "method: PUT",
		} {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s lacks %q", f, want)
			}
		}
		if strings.Contains(string(data), "revoke") {
			t.Errorf("%s has an operation that is no tool:\n%s", f, data)
		}
		d, err := Read(data, []*schema.Provider{p})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Adapters[1].Tools; len(got) != 2 || got[0].Environment != "production" || got[1].Tool != schema.CreateUser {
			t.Errorf("%s is read as %+v", f, got)
		}
		if t.Failed() {
			t.Logf("%s", data)
		}
	}
}

// TestWhatTheFormatCannotSay: a name that the format has no letters for is
// refused, not written.
func TestWhatTheFormatCannotSay(t *testing.T) {
	op := &schema.Operation{ID: "token", Method: "POST", Path: "/token", Tool: schema.CreateAccessToken, Media: schema.MediaForm,
		Auth: schema.Auth{Style: schema.AuthNone}, Fields: []schema.Field{field("what.for", "string", "")},
		Grants: []schema.Grant{{Name: schema.GrantClientCredentials, Arguments: []string{"what.for"}}}}
	_, err := Export([]*schema.Provider{bank(op)}, "bank-oauth", Ikanos, "")
	if f := fault.From(err); f == nil || f.Code != fault.InvalidArgument || !strings.Contains(f.Message, "what.for") {
		t.Errorf("%v", err)
	}
}
