package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"bankauth/openapi"
)

// Bundled returns the providers whose documents are in the binary, in the
// order in which the tools list them.
func Bundled() ([]*Provider, error) {
	var all []*Provider
	if err := json.Unmarshal(openapi.Compiled, &all); err != nil {
		return nil, fmt.Errorf("reading the compiled documents: %w", err)
	}
	return all, nil
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

// Dir reads further providers from a folder: NAME.overlay.yaml and beside it
// NAME.yaml, NAME.yml or NAME.json. A document without an overlay is a
// mistake: it would silently not be there.
func Dir(dir string) ([]*Provider, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &Mistake{File: dir, Text: "this folder cannot be read; check BANKAUTH_PROVIDER_DIR"}
	}
	var all []*Provider
	var wrong mistakes
	documents := map[string]string{} // name → file
	overlays := map[string]bool{}
	for _, e := range entries {
		base, isOverlay := strings.CutSuffix(strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())), ".overlay")
		switch ext := filepath.Ext(e.Name()); {
		case e.IsDir() || (ext != ".yaml" && ext != ".yml" && ext != ".json"):
		case isOverlay:
			overlays[base] = true
		default:
			documents[base] = e.Name()
		}
	}
	for _, name := range sortedKeys(documents) {
		if !overlays[name] {
			wrong.add(filepath.Join(dir, documents[name]), 0, "it has no overlay; put %s.overlay.yaml beside it (see openapi/README.md)", name)
		}
	}
	for _, name := range sortedKeys(overlays) {
		p, err := dirProvider(dir, name, documents[name])
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		all = append(all, p)
	}
	return all, wrong.err()
}

func dirProvider(dir, name, document string) (*Provider, error) {
	overlay := filepath.Join(dir, name+".overlay.yaml")
	if document == "" {
		return nil, &Mistake{File: overlay, Text: "its document " + name + ".yaml is missing"}
	}
	document = filepath.Join(dir, document)
	doc, err := os.ReadFile(document)
	if err != nil {
		return nil, &Mistake{File: document, Text: "this file cannot be read"}
	}
	over, err := os.ReadFile(overlay)
	if err != nil {
		return nil, &Mistake{File: overlay, Text: "this file cannot be read; an overlay's name ends in .overlay.yaml"}
	}
	return Compile(document, doc, overlay, over)
}
