// Package yamlfile reads YAML and JSON files that somebody wrote by hand and
// keeps their lines, so that what is wrong in one can be pointed at.
package yamlfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// Bounds of what is read. The largest document of a bank that we know has
// 2 MB; what is beyond these is broken or means harm.
const (
	maxBytes = 8 << 20
	maxNodes = 1 << 19 // aliases counted as often as they are used

	// MaxDepth bounds how deep values are nested, and how far a reference is
	// followed.
	MaxDepth = 100
)

// Problem is something wrong with a file as such.
type Problem struct {
	Line int // 0: not known
	Text string
}

// Read parses a file whose root is a mapping, and refuses what no library
// should be given: too much, too deep, one key twice. what says what the file
// should be. Where there are problems, the root may be nil.
func Read(data []byte, what string) (*yaml.Node, []Problem) {
	if len(data) > maxBytes {
		return nil, []Problem{{Text: fmt.Sprintf("it has more than %d MB; cut it down to the operations that are needed", maxBytes>>20)}}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, []Problem{notYAML(err)}
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, []Problem{{Line: 1, Text: "this is not " + what}}
	}
	w := &walker{}
	w.walk(doc.Content[0], 0)
	return doc.Content[0], w.wrong
}

func notYAML(err error) Problem {
	var at *yaml.LoadError
	if errors.As(err, &at) {
		return Problem{at.Mark.Line, "this is neither YAML nor JSON: " + at.Message}
	}
	return Problem{0, "this is neither YAML nor JSON: " + FirstLine(err)}
}

// walker counts what a file holds and finds keys that stand twice.
type walker struct {
	wrong []Problem
	nodes int
	over  bool
}

func (w *walker) add(line int, format string, args ...any) {
	w.wrong = append(w.wrong, Problem{line, fmt.Sprintf(format, args...)})
}

func (w *walker) walk(n *yaml.Node, depth int) {
	w.nodes++
	if w.over {
		return
	}
	if depth > MaxDepth || w.nodes > maxNodes {
		w.over = true
		text := "it is nested more than %d deep"
		most := MaxDepth
		if depth <= MaxDepth {
			text, most = "it holds more than %d values, aliases counted as often as they are used", maxNodes
		}
		w.add(n.Line, text, most)
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
				w.add(key.Line, "a key is no text")
			} else if seen[key.Value] {
				w.add(key.Line, "the key %q stands here twice", key.Value)
			}
			seen[key.Value] = true
		}
	}
	for _, c := range n.Content {
		w.walk(c, depth+1)
	}
}

// Child returns the value of key in a mapping, or nil.
func Child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// KeyLine returns the line of key in a mapping, or the mapping's own.
func KeyLine(n *yaml.Node, key string) int {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i].Line
		}
	}
	return n.Line
}

// Descend follows path from n as far as it goes and says how far that was.
func Descend(n *yaml.Node, path []string) (*yaml.Node, int) {
	for i, step := range path {
		next := Child(n, step)
		if n.Kind == yaml.SequenceNode {
			if k, err := strconv.Atoi(step); err == nil && k >= 0 && k < len(n.Content) {
				next = n.Content[k]
			}
		}
		if next == nil {
			return n, i
		}
		n = next
	}
	return n, len(path)
}

// Plain returns a node as the values that encoding/json would give.
func Plain(n *yaml.Node) (any, error) {
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(b))
}

// NewCompiler returns a compiler of JSON Schemas that reads nothing from
// outside: the library's default loader would open file:// addresses.
func NewCompiler() *jsonschema.Compiler {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(closedLoader{})
	return c
}

type closedLoader struct{}

func (closedLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%q lies outside the document", url)
}

// Leaves returns the errors that have no cause below them.
func Leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var all []*jsonschema.ValidationError
	for _, c := range e.Causes {
		all = append(all, Leaves(c)...)
	}
	return all
}

// FirstLine returns the first line of an error's text.
func FirstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}
