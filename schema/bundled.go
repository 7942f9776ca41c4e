package schema

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"bankauth/openapi"
)

// Bundled returns the providers whose documents are in the binary, in the
// order in which the tools list them. They are shared: nobody may change them.
//
// They were compiled by go generate, because reading YAML costs about 2 ms a
// document, which every start of a stdio server would pay.
//
//go:generate go test bankauth/schema -run TestCompiledIsFresh -update
func Bundled() ([]*Provider, error) { return slices.Clone(compiled), nil }

// Text returns the provider's OpenAPI document as it was written.
func (p *Provider) Text() ([]byte, error) {
	if slices.Contains(compiled, p) {
		return openapi.Files.ReadFile(p.Document)
	}
	return os.ReadFile(p.Document)
}

// CompileBundled reads the bundled documents and overlays as they stand in
// the source.
func CompileBundled() ([]*Provider, error) {
	var all []*Provider
	for _, name := range openapi.Bundled() {
		document, overlay := name+".yaml", name+".overlay.yaml"
		doc, err := openapi.Files.ReadFile(document)
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", document, err)
		}
		over, err := openapi.Files.ReadFile(overlay)
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", overlay, err)
		}
		p, err := Compile(document, doc, overlay, over)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Dir reads further providers from a folder: NAME.overlay.yaml (or .yml) and
// beside it NAME.yaml, NAME.yml or NAME.json, in the order of their names. A
// document without an overlay is a mistake: it would silently not be there. So
// is a provider that is called like a bundled one.
func Dir(dir string) ([]*Provider, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &Mistake{File: dir, Text: "this folder cannot be read; check BANKAUTH_PROVIDER_DIR"}
	}
	var all []*Provider
	var wrong mistakes
	documents := map[string]string{} // name → file
	overlays := map[string]string{}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || !slices.Contains([]string{".yaml", ".yml", ".json"}, ext) {
			continue
		}
		files, base := documents, strings.TrimSuffix(e.Name(), ext)
		if name, ok := strings.CutSuffix(base, ".overlay"); ok {
			files, base = overlays, name
		}
		if other := files[base]; other != "" {
			wrong.add(filepath.Join(dir, e.Name()), 0, "%s describes the same provider; keep one of them", other)
		}
		files[base] = e.Name()
	}
	for _, name := range sortedKeys(documents) {
		if overlays[name] == "" {
			wrong.add(filepath.Join(dir, documents[name]), 0, "it has no overlay; put %s.overlay.yaml beside it (see openapi/README.md)", name)
		}
	}
	names := sortedKeys(overlays)
	read := make([]struct {
		p   *Provider
		err error
	}, len(names))
	var side errgroup.Group
	side.SetLimit(runtime.GOMAXPROCS(0))
	for i, name := range names {
		side.Go(func() error {
			read[i].p, read[i].err = dirProvider(dir, filepath.Join(dir, overlays[name]), documents[name])
			return nil
		})
	}
	_ = side.Wait()
	described := map[string]string{} // provider → overlay
	for i, name := range names {
		overlay, p := filepath.Join(dir, overlays[name]), read[i].p
		if err := read[i].err; err != nil {
			wrong = append(wrong, err)
			continue
		}
		if slices.ContainsFunc(compiled, func(b *Provider) bool { return b.Name == p.Name }) {
			wrong.add(overlay, nameLine(overlay), "the provider %q comes with bankauth already; give this one another name", p.Name)
			continue
		}
		if other := described[p.Name]; other != "" {
			wrong.add(overlay, nameLine(overlay), "the provider %q is described by %s already", p.Name, other)
			continue
		}
		described[p.Name] = overlay
		all = append(all, p)
	}
	return all, wrong.err()
}

func dirProvider(dir, overlay, document string) (*Provider, error) {
	if document == "" {
		return nil, &Mistake{File: overlay, Text: "its document " + strings.Replace(filepath.Base(overlay), ".overlay", "", 1) + " is missing"}
	}
	document = filepath.Join(dir, document)
	doc, err := os.ReadFile(document)
	if err != nil {
		return nil, &Mistake{File: document, Text: "this file cannot be read"}
	}
	over, err := os.ReadFile(overlay)
	if err != nil {
		return nil, &Mistake{File: overlay, Text: "this file cannot be read"}
	}
	return Compile(document, doc, overlay, over)
}

// nameLine returns the line on which an overlay names its provider.
func nameLine(file string) int {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	o, err := readOverlay(file, data)
	if err != nil {
		return 0
	}
	return o.line(keyProvider, nil, "name")
}
