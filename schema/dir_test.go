package schema_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bankauth/schema"
)

// folder writes files into a new folder and returns it.
func folder(t *testing.T, text map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, s := range text {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDir(t *testing.T) {
	f := base(t)
	doc, overlay := f.text["bank.yaml"], f.text["bank.overlay.yaml"]
	other := strings.Replace(overlay, "name: bank", "name: other", 1)
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string // providers
		wrong []string // mistakes, the folder left out
	}{
		{"empty", nil, nil, nil},
		{"one", map[string]string{"bank.yaml": doc, "bank.overlay.yaml": overlay}, []string{"bank"}, nil},
		{"two, in the order of their names", map[string]string{"z.yml": doc, "z.overlay.yaml": overlay, "a.yaml": doc, "a.overlay.yaml": other, "README.md": "x"}, []string{"other", "bank"}, nil},
		{"overlays may end in yml", map[string]string{"bank.yml": doc, "bank.overlay.yml": overlay}, []string{"bank"}, nil},
		{"hidden files are no business of ours", map[string]string{"bank.yaml": doc, "bank.overlay.yaml": overlay, ".bank.yaml": "x", "bank.yaml~": "x"}, []string{"bank"}, nil},
		{"no overlay", map[string]string{"bank.yaml": doc}, nil, []string{"bank.yaml: it has no overlay; put bank.overlay.yaml beside it (see openapi/README.md)"}},
		{"no document", map[string]string{"bank.overlay.yaml": overlay}, nil, []string{"bank.overlay.yaml: its document bank.yaml is missing"}},
		{"two documents", map[string]string{"bank.yaml": doc, "bank.json": "{}", "bank.overlay.yaml": overlay}, nil, []string{"bank.yaml: bank.json describes the same provider; keep one of them"}},
		{"one name twice", map[string]string{"a.yaml": doc, "a.overlay.yaml": overlay, "b.yaml": doc, "b.overlay.yaml": overlay}, nil, []string{"b.overlay.yaml:7: the provider \"bank\" is described by DIR/a.overlay.yaml already"}},
		{"the name of a bundled one", map[string]string{"a.yaml": doc, "a.overlay.yaml": strings.Replace(overlay, "name: bank", "name: flinks", 1)}, nil, []string{
			"a.overlay.yaml:7: the provider \"flinks\" comes with bankauth already; give this one another name"}},
		{"all mistakes at once", map[string]string{"a.yaml": "x", "a.overlay.yaml": overlay, "b.yaml": doc, "b.overlay.yaml": "x", "c.yaml": doc}, nil, []string{
			"a.yaml:1: this is not an OpenAPI document: it must begin with openapi: 3.1.0 or so",
			"b.overlay.yaml:1: this is not an OpenAPI Overlay: it must begin with overlay: 1.0.0",
			"c.yaml: it has no overlay; put c.overlay.yaml beside it (see openapi/README.md)",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t, c.files)
			providers, err := schema.Dir(dir)
			var names, wrong []string
			for _, p := range providers {
				names = append(names, p.Name)
			}
			if err != nil {
				wrong = strings.Split(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "DIR/"), "\n")
			}
			for i, w := range c.wrong {
				c.wrong[i] = "DIR/" + w
			}
			if got, want := strings.Join(wrong, "\n"), strings.Join(c.wrong, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if len(wrong) == 0 && strings.Join(names, " ") != strings.Join(c.want, " ") {
				t.Errorf("providers %v, want %v", names, c.want)
			}
		})
	}
}

func TestDirThatCannotBeRead(t *testing.T) {
	_, err := schema.Dir(filepath.Join(t.TempDir(), "none"))
	var m *schema.Mistake
	if !errors.As(err, &m) || !strings.HasSuffix(err.Error(), "none: this folder cannot be read; check BANKAUTH_PROVIDER_DIR") {
		t.Errorf("unexpected error %v", err)
	}
	f := base(t)
	dir := folder(t, map[string]string{"bank.overlay.yaml": f.text["bank.overlay.yaml"]})
	// A link to nowhere cannot be read, by root either.
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "bank.yaml")); err != nil {
		t.Skip("no links here")
	}
	if _, err := schema.Dir(dir); err == nil || !strings.HasSuffix(err.Error(), "bank.yaml: this file cannot be read") {
		t.Errorf("unexpected error %v", err)
	}
}
