package schema

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Bounds of what is read. The largest document of a bank that we know has
// 2 MB; what is beyond these is broken or means harm.
const (
	maxBytes = 8 << 20
	maxNodes = 1 << 19 // aliases counted as often as they are used
	maxDepth = 100
)

// source is a YAML or JSON file that keeps its lines.
type source struct {
	file string
	root *yaml.Node // a mapping
}

// readSource parses a file and refuses what no library should be given: too
// much, too deep, one key twice. what says what the file should be.
func readSource(file string, data []byte, what string) (*source, error) {
	if len(data) > maxBytes {
		return nil, &Mistake{File: file, Text: fmt.Sprintf("it has more than %d MB; cut it down to the operations that are needed", maxBytes>>20)}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, notYAML(file, err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, &Mistake{File: file, Line: 1, Text: "this is not " + what}
	}
	s := &source{file: file, root: doc.Content[0]}
	var wrong mistakes
	w := &walker{wrong: &wrong, file: file}
	w.walk(s.root, 0)
	return s, wrong.err()
}

func notYAML(file string, err error) *Mistake {
	var at *yaml.LoadError
	if errors.As(err, &at) {
		return &Mistake{File: file, Line: at.Mark.Line, Text: "this is neither YAML nor JSON: " + at.Message}
	}
	return &Mistake{File: file, Text: "this is neither YAML nor JSON: " + firstLine(err)}
}

// walker counts what a file holds and finds keys that stand twice.
type walker struct {
	wrong *mistakes
	file  string
	nodes int
	over  bool
}

func (w *walker) walk(n *yaml.Node, depth int) {
	w.nodes++
	if w.over {
		return
	}
	if depth > maxDepth || w.nodes > maxNodes {
		w.over = true
		text := "it is nested more than %d deep"
		most := maxDepth
		if depth <= maxDepth {
			text, most = "it holds more than %d values, aliases counted as often as they are used", maxNodes
		}
		w.wrong.add(w.file, n.Line, text, most)
		return
	}
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		w.walk(n.Alias, depth+1)
		return
	}
	if n.Kind == yaml.MappingNode {
		seen := make(map[string]bool, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode {
				w.wrong.add(w.file, key.Line, "a key is no text")
			} else if seen[key.Value] {
				w.wrong.add(w.file, key.Line, "the key %q stands here twice", key.Value)
			}
			seen[key.Value] = true
		}
	}
	for _, c := range n.Content {
		w.walk(c, depth+1)
	}
}

var version3 = regexp.MustCompile(`^3\.[01]\.\d+$`)

// isOpenAPI says what is wrong with the version that a document claims.
func (s *source) isOpenAPI() error {
	if old := child(s.root, "swagger"); old != nil {
		return &Mistake{File: s.file, Line: old.Line, Text: "this is an OpenAPI 2 (Swagger) document; convert it to OpenAPI 3.0 or 3.1"}
	}
	version := child(s.root, "openapi")
	if version == nil {
		return &Mistake{File: s.file, Line: s.root.Line, Text: "this is not an OpenAPI document: it must say openapi: 3.0.x or 3.1.x"}
	}
	if !version3.MatchString(version.Value) {
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
		next, ok := descend(n, []string{step})
		if ok == 0 {
			break
		}
		line = next.Line
		if n.Kind == yaml.MappingNode {
			line = keyLine(n, step)
		}
		n = next
	}
	return line
}

// target follows n's references; one that leads nowhere or in a circle ends
// where it stands.
func (s *source) target(n *yaml.Node) *yaml.Node {
	for range maxDepth {
		if n.Kind == yaml.AliasNode && n.Alias != nil {
			n = n.Alias
		}
		ref := child(n, "$ref")
		if ref == nil {
			return n
		}
		path, ok := fragment(ref.Value)
		if !ok {
			return n
		}
		next, depth := descend(s.root, path)
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
		if ref := child(n, "$ref"); ref != nil && ref.Kind == yaml.ScalarNode {
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
	if _, depth := descend(s.root, path); depth < len(path) {
		return "leads nowhere"
	}
	if last := child(s.target(n), "$ref"); last != nil {
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
