package schema_test

import (
	"slices"
	"strings"
	"testing"

	"bankauth/openapi"
	"bankauth/schema"
)

// bundled returns a bundled provider's files.
func bundled(t testing.TB, name string) *files {
	t.Helper()
	f := &files{document: name + ".yaml", overlay: name + ".overlay.yaml", text: map[string]string{}}
	for _, file := range []string{f.document, f.overlay} {
		b, err := openapi.Files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f.text[file] = string(b)
	}
	return f
}

// replace changes the one place where the document says old.
func (f *files) replace(t *testing.T, file, old, changed string) {
	t.Helper()
	if n := strings.Count(f.text[file], old); n != 1 {
		t.Fatalf("%q stands %d times in %s", old, n, file)
	}
	f.text[file] = strings.Replace(f.text[file], old, changed, 1)
}

// published compiles all bundled files, one of them changed, and returns what
// the tool publishes.
func published(t *testing.T, tool string, changed *files) (*schema.Publication, error) {
	t.Helper()
	var all []*schema.Provider
	for _, name := range openapi.Bundled() {
		f := bundled(t, name)
		if changed != nil && changed.document == f.document {
			f = changed
		}
		p, err := f.compile()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return schema.Publish(tool, all, false)
}

// argument returns a published argument; the zero Argument where there is none.
func argument(pub *schema.Publication, name string) schema.Argument {
	i := slices.IndexFunc(pub.Arguments, func(a schema.Argument) bool { return a.Name == name })
	if i < 0 {
		return schema.Argument{}
	}
	return pub.Arguments[i]
}

// TestTheDocumentsAreTheTools: each change of a document, and nothing else,
// changes the tool.
func TestTheDocumentsAreTheTools(t *testing.T) {
	const create, user = schema.CreateAccessToken, schema.CreateUser
	for _, c := range []struct {
		name, provider, file, tool, old, changed string
		shows                                    func(*schema.Publication) bool
	}{
		{"an enum gains a value", "flinks", "", create,
			"enum: [client_credentials, authorization_code, refresh_token]", "enum: [client_credentials, authorization_code, refresh_token, device_code]",
			func(p *schema.Publication) bool {
				return slices.Contains(argument(p, "grant_type").Enum, "device_code") && slices.Contains(p.Lines, "flinks device_code")
			}},
		{"a text becomes a choice", "finapi", "", user,
			"description: Wanted user id; a random one when left out.", "enum: [anna, ben]\n                  description: Wanted user id.",
			func(p *schema.Publication) bool {
				a := argument(p, "id")
				return slices.Equal(a.Enum, []string{"anna", "ben"}) && a.Description == "Wanted user id."
			}},
		{"a description", "finapi", "", user,
			"description: Email address of the user.", "description: Where the user reads letters.",
			func(p *schema.Publication) bool {
				return argument(p, "email").Description == "Where the user reads letters."
			}},
		{"a description that another provider does not share", "flinks", "", create,
			"description: Authorization code from the redirect.", "description: The code that Flinks sent.",
			func(p *schema.Publication) bool {
				return strings.HasPrefix(argument(p, "code").Description, "fintecture: Authorization code from the redirect. flinks: The code that Flinks sent.")
			}},
		{"a required list", "finapi", "", user,
			"              type: object\n              properties:\n                id:\n", "              type: object\n              required: [email]\n              properties:\n                id:\n",
			func(p *schema.Publication) bool {
				return argument(p, "email").Required && slices.Contains(p.Lines, "finapi: id, email*, phone, isAutoUpdateEnabled")
			}},
		{"a new property", "finapi", "", user,
			"                isAutoUpdateEnabled:\n                  type: boolean\n                  default: false\n",
			"                age:\n                  type: integer\n                  description: In years.\n                isAutoUpdateEnabled:\n                  type: boolean\n                  default: false\n",
			func(p *schema.Publication) bool {
				a := argument(p, "age")
				return a.Type == "integer" && a.Description == "In years." && !a.Required
			}},
		{"a new name", "finapi", ".overlay", user,
			"  - target: $.paths['/api/v2/users'].post.requestBody.content[*].schema.properties.password\n", "  - target: $.paths['/api/v2/users'].post.requestBody.content[*].schema.properties.email\n    update: {x-bankauth-field: {argument: mail}}\n  - target: $.paths['/api/v2/users'].post.requestBody.content[*].schema.properties.password\n",
			func(p *schema.Publication) bool { return argument(p, "mail").Type == "string" }},
		{"a note of the overlay", "flinks", ".overlay", create, "note: app management only", "note: rarely needed",
			func(p *schema.Publication) bool {
				return slices.Contains(p.Lines, "flinks client_credentials: scope (rarely needed)")
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, err := published(t, c.tool, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.shows(before) {
				t.Error("it is so without the change")
			}
			f := bundled(t, c.provider)
			f.replace(t, c.provider+c.file+".yaml", c.old, c.changed)
			after, err := published(t, c.tool, f)
			if err != nil {
				t.Fatal(err)
			}
			if !c.shows(after) {
				t.Errorf("the tool does not follow: %+v %q", after.Arguments, after.Lines)
			}
		})
	}
}

func TestProvidersThatDisagree(t *testing.T) {
	f := bundled(t, "flinks")
	f.replace(t, "flinks.yaml", "                redirect_uri:\n                  type: string\n                  format: uri\n", "                redirect_uri:\n                  type: integer\n")
	_, err := published(t, schema.CreateAccessToken, f)
	want := `flinks.yaml:78: the argument "redirect_uri" is an integer here and a string in fintecture.yaml; give one of them another name in its overlay (x-bankauth-field: {argument: …})`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	f.replace(t, "flinks.overlay.yaml", "schema.properties.redirect_uri\n    update: {x-bankauth-field: {", "schema.properties.redirect_uri\n    update: {x-bankauth-field: {argument: number, ")
	if _, err := published(t, schema.CreateAccessToken, f); err != nil {
		t.Errorf("another name must do: %v", err)
	}
}
