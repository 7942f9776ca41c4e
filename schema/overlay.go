package schema

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	highoverlay "github.com/pb33f/libopenapi/datamodel/high/overlay"
	"github.com/pb33f/libopenapi/datamodel/low"
	lowoverlay "github.com/pb33f/libopenapi/datamodel/low/overlay"
	overlays "github.com/pb33f/libopenapi/overlay"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v4"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"bankauth/internal/yamlfile"
	"bankauth/openapi"
)

// The extension keys that an overlay may add. Each is described in
// openapi/overlay.schema.json under its own name.
const (
	keyProvider  = "x-bankauth-provider"
	keyOperation = "x-bankauth-operation"
	keyField     = "x-bankauth-field"
	keyPrefix    = "x-bankauth"
)

// overlay is an overlay file that keeps its lines.
type overlay struct {
	file string
	root *yaml.Node // the document's mapping
	data []byte
}

// readOverlay parses an overlay and checks it against the vocabulary.
func readOverlay(file string, data []byte) (*overlay, error) {
	s, err := readSource(file, data, "an OpenAPI Overlay: it must begin with overlay: 1.0.0")
	if err != nil {
		return nil, err
	}
	o := &overlay{file: file, root: s.root, data: data}
	vocabulary, err := theVocabulary()
	if err != nil {
		return nil, err
	}
	var wrong mistakes
	vocabulary.check(&wrong, file, "", o.root)
	o.walk(func(key, value *yaml.Node) {
		switch {
		case key.Value == keyProvider || key.Value == keyOperation || key.Value == keyField:
			vocabulary.check(&wrong, file, key.Value, value)
		case strings.HasPrefix(key.Value, keyPrefix):
			wrong.add(file, key.Line, "unknown field %q; the vocabulary has %s, %s and %s", key.Value, keyProvider, keyOperation, keyField)
		}
	})
	if err := wrong.err(); err != nil {
		return nil, err
	}
	return o, nil
}

// walk calls f for each key of each update.
func (o *overlay) walk(f func(key, value *yaml.Node)) {
	var into func(n *yaml.Node)
	into = func(n *yaml.Node) {
		if n.Kind != yaml.MappingNode {
			for _, c := range n.Content {
				into(c)
			}
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			f(n.Content[i], n.Content[i+1])
			if !strings.HasPrefix(n.Content[i].Value, keyPrefix) {
				into(n.Content[i+1])
			}
		}
	}
	for _, action := range o.actions() {
		if update := yamlfile.Child(action, "update"); update != nil {
			into(update)
		}
	}
}

func (o *overlay) actions() []*yaml.Node {
	if list := yamlfile.Child(o.root, "actions"); list != nil {
		return list.Content
	}
	return nil
}

// line returns the line where an update says key and, inside it, path; as
// much of path as the file has. want, where not nil, must accept the value.
func (o *overlay) line(key string, want func(*yaml.Node) bool, path ...string) int {
	best, depth := 0, -1
	o.walk(func(k, v *yaml.Node) {
		if k.Value != key || (want != nil && !want(v)) {
			return
		}
		n, d := yamlfile.Descend(v, path)
		if n == v {
			n = k
		}
		if d > depth {
			best, depth = n.Line, d
		}
	})
	return best
}

// apply returns the document with the overlay applied. A target that matches
// nothing is a mistake: it is how a renamed path shows.
func (o *overlay) apply(docFile string, doc []byte) ([]byte, error) {
	high, err := o.model()
	if err != nil {
		return nil, &Mistake{File: o.file, Line: 1, Text: "this is not an OpenAPI Overlay: " + yamlfile.FirstLine(err)}
	}
	result, err := overlays.Apply(doc, high)
	if err != nil {
		var bad *overlays.OverlayError
		if errors.As(err, &bad) {
			return nil, &Mistake{File: o.file, Line: o.actionLine(high, bad.Action), Text: fmt.Sprintf("this action cannot be applied: %s", yamlfile.FirstLine(bad.Cause))}
		}
		return nil, &Mistake{File: docFile, Text: "the overlay cannot be applied: " + yamlfile.FirstLine(err)}
	}
	var wrong mistakes
	for _, w := range result.Warnings {
		wrong.add(o.file, o.actionLine(high, w.Action), "the target %s matches nothing in %s", w.Target, docFile)
	}
	return result.Bytes, wrong.err()
}

// model reads the overlay once more, so that applying it changes no node of ours.
func (o *overlay) model() (*highoverlay.Overlay, error) {
	again, err := readSource(o.file, o.data, "an OpenAPI Overlay")
	if err != nil {
		return nil, err
	}
	var l lowoverlay.Overlay
	if err := low.BuildModel(again.root, &l); err != nil {
		return nil, err
	}
	if err := l.Build(context.Background(), nil, again.root, nil); err != nil {
		return nil, err
	}
	return highoverlay.NewOverlay(&l), nil
}

func (o *overlay) actionLine(high *highoverlay.Overlay, a *highoverlay.Action) int {
	actions := o.actions()
	if i := slices.Index(high.Actions, a); i >= 0 && i < len(actions) {
		if t := yamlfile.Child(actions[i], "target"); t != nil {
			return t.Line
		}
		return actions[i].Line
	}
	return 0
}

// vocabulary is openapi/overlay.schema.json, compiled.
type vocabulary struct{ parts map[string]*jsonschema.Schema }

// theVocabulary is compiled once: it is the same for all overlays, and takes a
// tenth of the reading of one provider.
var theVocabulary = sync.OnceValues(newVocabulary)

func newVocabulary() (*vocabulary, error) {
	const url = "https://bankauth.invalid/openapi/overlay.schema.json"
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(openapi.OverlaySchema))
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", url, err)
	}
	c := yamlfile.NewCompiler()
	if err := c.AddResource(url, doc); err != nil {
		return nil, fmt.Errorf("reading %q: %w", url, err)
	}
	v := &vocabulary{parts: map[string]*jsonschema.Schema{}}
	for part, at := range map[string]string{"": "", keyProvider: "#/$defs/" + keyProvider, keyOperation: "#/$defs/" + keyOperation, keyField: "#/$defs/" + keyField} {
		if v.parts[part], err = c.Compile(url + at); err != nil {
			return nil, fmt.Errorf("compiling %q: %w", url+at, err)
		}
	}
	return v, nil
}

// check adds what is wrong with n to wrong, each with the line it is on.
func (v *vocabulary) check(wrong *mistakes, file, part string, n *yaml.Node) {
	value, err := yamlfile.Plain(n)
	if err != nil {
		wrong.add(file, n.Line, "%s", yamlfile.FirstLine(err))
		return
	}
	var bad *jsonschema.ValidationError
	if err := v.parts[part].Validate(value); !errors.As(err, &bad) {
		return
	}
	words := message.NewPrinter(language.English)
	for _, leaf := range yamlfile.Leaves(bad) {
		at, _ := yamlfile.Descend(n, leaf.InstanceLocation)
		where := strings.Trim(strings.Join(append([]string{part}, leaf.InstanceLocation...), "."), ".")
		if where == "" {
			where = "the overlay"
		}
		if extra, ok := leaf.ErrorKind.(*kind.AdditionalProperties); ok {
			for _, name := range extra.Properties {
				wrong.add(file, yamlfile.KeyLine(at, name), "%s: unknown field %q", where, name)
			}
			continue
		}
		wrong.add(file, at.Line, "%s: %s", where, leaf.ErrorKind.LocalizedString(words))
	}
}

// within accepts a node that merged is made of: where two updates made it
// together, each of them.
func within(merged *yaml.Node) func(*yaml.Node) bool {
	var in func(part, whole *yaml.Node) bool
	in = func(part, whole *yaml.Node) bool {
		if whole == nil || part.Kind != whole.Kind {
			return false
		}
		switch part.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(part.Content); i += 2 {
				if !in(part.Content[i+1], yamlfile.Child(whole, part.Content[i].Value)) {
					return false
				}
			}
			return true
		case yaml.SequenceNode:
			return slices.EqualFunc(part.Content, whole.Content, func(a, b *yaml.Node) bool { return in(a, b) })
		}
		return part.Value == whole.Value
	}
	return func(n *yaml.Node) bool { return in(n, merged) }
}
