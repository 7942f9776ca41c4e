package schema

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"bankauth/internal/yamlfile"
)

// source is a YAML or JSON file that keeps its lines.
type source struct {
	file string
	root *yaml.Node // a mapping
}

// readSource parses a file; what says what it should be.
func readSource(file string, data []byte, what string) (*source, error) {
	root, problems := yamlfile.Read(data, what)
	var wrong mistakes
	for _, p := range problems {
		wrong.add(file, p.Line, "%s", p.Text)
	}
	return &source{file: file, root: root}, wrong.err()
}

var version3 = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^3\.[01]\.\d+$`) })

// isOpenAPI says what is wrong with the version that a document claims.
func (s *source) isOpenAPI() error {
	if old := yamlfile.Child(s.root, "swagger"); old != nil {
		return &Mistake{File: s.file, Line: old.Line, Text: "this is an OpenAPI 2 (Swagger) document; convert it to OpenAPI 3.0 or 3.1"}
	}
	version := yamlfile.Child(s.root, "openapi")
	if version == nil {
		return &Mistake{File: s.file, Line: s.root.Line, Text: "this is not an OpenAPI document: it must say openapi: 3.0.x or 3.1.x"}
	}
	if !version3().MatchString(version.Value) {
		return &Mistake{File: s.file, Line: version.Line, Text: fmt.Sprintf("openapi: %s is not known here; it must be 3.0.x or 3.1.x", version.Value)}
	}
	return nil
}

// line returns the line of the value at path, or of as much of path as the
// file has. References inside the file are followed.
func (s *source) line(path ...string) int {
	n, line := s.root, s.root.Line
	for _, step := range path {
		n = s.target(n)
		next, ok := yamlfile.Descend(n, []string{step})
		if ok == 0 {
			break
		}
		line = next.Line
		if n.Kind == yaml.MappingNode {
			line = yamlfile.KeyLine(n, step)
		}
		n = next
	}
	return line
}

// target follows n's references; one that leads nowhere or in a circle ends
// where it stands.
func (s *source) target(n *yaml.Node) *yaml.Node {
	for range yamlfile.MaxDepth {
		if n.Kind == yaml.AliasNode && n.Alias != nil {
			n = n.Alias
		}
		ref := yamlfile.Child(n, "$ref")
		if ref == nil {
			return n
		}
		path, ok := fragment(ref.Value)
		if !ok {
			return n
		}
		next, depth := yamlfile.Descend(s.root, path)
		if depth < len(path) {
			return n
		}
		n = next
	}
	return n
}

// fragment returns the steps of a reference into its own document.
func fragment(ref string) ([]string, bool) {
	pointer, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, false
	}
	if plain, err := url.PathUnescape(pointer); err == nil {
		pointer = plain
	}
	steps := strings.Split(pointer, "/")
	for i, step := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
	}
	return steps, true
}

// audit refuses references that libopenapi would have to fetch, or that lead
// nowhere or in a circle, and x-bankauth fields where they do nothing.
// refuse is given each with the path of what holds it.
func (s *source) audit(refuse func(path []string, key string, n *yaml.Node, text string)) {
	var path []string
	var into func(n *yaml.Node)
	into = func(n *yaml.Node) {
		if n.Kind == yaml.AliasNode && n.Alias != nil {
			n = n.Alias
		}
		if ref := yamlfile.Child(n, "$ref"); ref != nil && ref.Kind == yaml.ScalarNode {
			if text := s.badReference(n, ref.Value); text != "" {
				refuse(path, "$ref", ref, fmt.Sprintf("the reference %q %s", ref.Value, text))
			}
		}
		for i, c := range n.Content {
			step := strconv.Itoa(i)
			if n.Kind == yaml.MappingNode {
				if i%2 == 0 {
					continue
				}
				step = n.Content[i-1].Value
				if text := misplaced(step, path); text != "" {
					refuse(path, step, c, step+" does nothing here; it belongs on "+text)
				}
			}
			path = append(path, step)
			into(c)
			path = path[:len(path)-1]
		}
	}
	into(s.root)
}

// misplaced says where an x-bankauth field belongs, if not at path.
func misplaced(key string, path []string) string {
	n := len(path)
	switch key {
	case keyProvider:
		if n > 0 {
			return "the root ($)"
		}
	case keyOperation:
		if n != 3 || path[0] != "paths" {
			return "an operation ($.paths['/…'].post)"
		}
	case keyField:
		if n < 2 || path[n-2] != "properties" {
			return "a property (….properties.NAME)"
		}
	}
	return ""
}

func (s *source) badReference(n *yaml.Node, ref string) string {
	path, ok := fragment(ref)
	if !ok {
		return "leads out of the document, and nothing outside it is read; bundle the document into one file"
	}
	if _, depth := yamlfile.Descend(s.root, path); depth < len(path) {
		return "leads nowhere"
	}
	if last := yamlfile.Child(s.target(n), "$ref"); last != nil {
		return "leads in a circle or nowhere"
	}
	return ""
}

// block returns the file in YAML's block style: what begins with a brace,
// libopenapi takes for JSON, and with an overlay applied it no longer is.
func (s *source) block() ([]byte, error) {
	var into func(n *yaml.Node)
	into = func(n *yaml.Node) {
		n.Style &^= yaml.FlowStyle
		for _, c := range n.Content {
			into(c)
		}
	}
	into(s.root)
	return yaml.Marshal(s.root)
}
