package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"bankauth/schema"
)

// files are a provider's two files under their names.
type files struct {
	document, overlay string
	text              map[string]string
}

func (f *files) compile() (*schema.Provider, error) {
	return schema.Compile(f.document, []byte(f.text[f.document]), f.overlay, []byte(f.text[f.overlay]))
}

// base is the bank that the archives change.
func base(t testing.TB) *files {
	t.Helper()
	f := &files{document: "bank.yaml", overlay: "bank.overlay.yaml", text: map[string]string{}}
	for _, name := range []string{f.document, f.overlay} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		f.text[name] = string(b)
	}
	return f
}

// edit applies blocks of
//
//	<<< FILE
//	old lines
//	===
//	new lines
//	>>>
//
// Each old text must stand in FILE exactly once.
func (f *files) edit(t testing.TB, edits string) {
	t.Helper()
	for edits = strings.TrimSpace(edits); edits != ""; edits = strings.TrimSpace(edits) {
		head, rest, _ := strings.Cut(edits, "\n")
		name, ok := strings.CutPrefix(head, "<<< ")
		old, rest, two := strings.Cut(rest, "===\n")
		changed, rest, three := strings.Cut(rest, ">>>")
		if !ok || !two || !three {
			t.Fatalf("malformed edit near %q", head)
		}
		if n := strings.Count(f.text[name], old); n != 1 {
			t.Fatalf("%q stands %d times in %s", old, n, name)
		}
		f.text[name] = strings.Replace(f.text[name], old, changed, 1)
		edits = rest
	}
}

// TestCompile compiles the archives of testdata/compile. An archive holds the
// files that differ from testdata/bank*.yaml, whole or as edits, and what
// comes out of it: the mistakes, or the compiled provider with the parts that
// "show" names.
func TestCompile(t *testing.T) {
	archives, err := filepath.Glob("testdata/compile/*.txtar")
	if err != nil || len(archives) < 50 {
		t.Fatalf("%d archives, %v", len(archives), err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { compileArchive(t, path) })
	}
}

func compileArchive(t *testing.T, path string) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, show, want := base(t), "", -1
	for i, part := range a.Files {
		switch part.Name {
		case "want":
			want = i
		case "edit":
			f.edit(t, string(part.Data))
		case "show":
			show = string(part.Data)
		default:
			f.text[part.Name] = string(part.Data)
			if filepath.Ext(part.Name) == ".json" {
				f.document = part.Name
			}
		}
	}
	if want < 0 {
		a.Files = append(a.Files, txtar.File{Name: "want"})
		want = len(a.Files) - 1
	}
	start := time.Now()
	p, err := f.compile()
	if took := time.Since(start); took > time.Second {
		t.Errorf("compiling took %v", took)
	}
	got := outcome(t, p, err, strings.Fields(show))
	if *update {
		a.Files[want].Data = []byte(got)
		if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(a.Files[want].Data) {
		t.Errorf("got\n%s\nwant\n%s", got, a.Files[want].Data)
	}
}

// outcome is the mistakes' text, or the named parts of the provider.
func outcome(t *testing.T, p *schema.Provider, err error, show []string) string {
	t.Helper()
	if err != nil {
		if p != nil {
			t.Error("a provider beside mistakes")
		}
		return err.Error() + "\n"
	}
	if len(show) == 0 {
		return "compiles\n"
	}
	var b strings.Builder
	for _, pointer := range show {
		v, err := json.Marshal(dig(t, p, pointer))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s\n", pointer, v)
	}
	return b.String()
}

// dig returns the part of v that a JSON Pointer names.
func dig(t *testing.T, v any, pointer string) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var at any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&at); err != nil {
		t.Fatal(err)
	}
	for _, step := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		switch n := at.(type) {
		case map[string]any:
			at = n[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(n) {
				t.Fatalf("%s leads nowhere", pointer)
			}
			at = n[i]
		}
	}
	return at
}

// TestOwnServers: whether a customer may have a server that no environment
// names is told by the document's servers.
func TestOwnServers(t *testing.T) {
	const servers = "  - url: https://{stage}.bank.example/{version}\n    variables:\n      stage: {default: test, enum: [test, try]}\n      version: {default: v1}\n"
	for name, c := range map[string]struct {
		servers string
		want    bool
	}{
		"all are named":         {"  - url: https://try.bank.example/v1\n", false},
		"all values are named":  {"  - url: https://{stage}.bank.example/v1/\n    variables: {stage: {default: try, enum: [try]}}\n", false},
		"a value is not":        {"  - url: https://{stage}.bank.example/v1\n    variables: {stage: {default: try, enum: [try, mine]}}\n", true},
		"a variable takes all":  {"  - url: https://{stage}.bank.example/v1\n    variables: {stage: {default: try}}\n", true},
		"a server is not named": {"  - url: https://try.bank.example/v1\n  - url: https://eu.bank.example\n", true},
	} {
		f := base(t)
		f.text[f.document] = strings.Replace(f.text[f.document], servers, c.servers, 1)
		if p, err := f.compile(); err != nil || p.OwnServers != c.want || f.text[f.document] == base(t).text[f.document] {
			t.Errorf("%s: got %+v, %v, want %v", name, p, err, c.want)
		}
	}
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.OwnServers != (p.Name == "flinks") || p.Signs() != (p.Name == "fintecture") {
			t.Errorf("%s: own servers %v, signs %v", p.Name, p.OwnServers, p.Signs())
		}
	}
}
