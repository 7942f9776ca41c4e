package capability

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v4"

	"bankauth/internal/yamlfile"
)

// schema reports what the version's schema refuses.
func (r *report) schema(f Format, root *yaml.Node) {
	value, err := yamlfile.Plain(root)
	if err != nil {
		r.add(root.Line, Error, "yaml", "write plain YAML", "a value is of no type that JSON has")
		return
	}
	p, err := load(f)
	if err != nil { // a test loads both
		r.add(0, Error, "schema", "report it", "the schema of this version is broken")
		return
	}
	var bad *jsonschema.ValidationError
	if errors.As(p.compiled.Validate(value), &bad) {
		e := explainer{report: r, published: p, format: f, root: root}
		e.explain(bad)
	}
}

// explainer puts a schema's errors into words.
type explainer struct {
	*report
	*published
	format Format
	root   *yaml.Node
}

// explain follows an error down to what is really meant: of several forms
// that a value may have, the one that the author began.
func (e *explainer) explain(v *jsonschema.ValidationError) {
	switch v.ErrorKind.(type) {
	case *kind.OneOf, *kind.AnyOf:
		if len(v.Causes) > 0 {
			e.choose(v)
			return
		}
	case *kind.PropertyNames:
		e.leaf(v)
		return
	}
	if len(v.Causes) == 0 {
		e.leaf(v)
		return
	}
	for _, c := range v.Causes {
		e.explain(c)
	}
}

// choose explains the form that fits best.
func (e *explainer) choose(v *jsonschema.ValidationError) {
	at := len(v.InstanceLocation)
	var meant []*jsonschema.ValidationError
	var kinds []string
	for _, c := range v.Causes {
		other, kind := otherForm(c, at)
		if !other {
			meant = append(meant, c)
		}
		if kind != "" && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.SortStableFunc(meant, func(a, b *jsonschema.ValidationError) int { return weight(a) - weight(b) })
	switch {
	case e.anyway(v):
	case len(meant) == 0 && len(kinds) > 0:
		e.say(v.InstanceLocation, "type", "type: one of "+strings.Join(kinds, ", "), "is of no type that the format has here")
	case len(meant) == 0, len(meant) > 1 && weight(meant[0]) == weight(meant[1]):
		e.say(v.InstanceLocation, "", "see the format's specification", "has none of the forms that it may have here")
	default:
		e.explain(meant[0])
	}
}

// anyway says in one sentence what a choice among lists of keys means.
func (e *explainer) anyway(v *jsonschema.ValidationError) bool {
	where := strings.Join(v.InstanceLocation, "/")
	var missing []string
	for _, leaf := range yamlfile.Leaves(v) {
		if k, ok := leaf.ErrorKind.(*kind.Required); ok && len(leaf.InstanceLocation) == len(v.InstanceLocation) {
			missing = append(missing, k.Missing...)
		}
	}
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(missing, n) })
	}
	switch {
	case where == "":
		e.say(nil, "", "capability: with consumes, aggregates and exposes", "has nothing but its head")
	case has("call", "steps"):
		e.say(v.InstanceLocation, "", "call: NAMESPACE.OPERATION (or ref: AGGREGATE.FUNCTION, steps, or outputParameters with values of its own)", "does not say where its answer comes from")
	case has("from", "instruction"):
		e.say(v.InstanceLocation, "", "from: {sourceNamespace: …, action: …} or instruction: PATH", "does not say where it comes from")
	case has("exposes", "consumes"):
		e.say(v.InstanceLocation, "", "consumes and exposes", "neither consumes nor exposes anything")
	default:
		return false
	}
	return true
}

// otherForm reports whether c failed because the value has another form than
// c describes, and what type of thing c describes.
func otherForm(c *jsonschema.ValidationError, at int) (bool, string) {
	other, name := false, ""
	for _, leaf := range near(c) {
		switch k := leaf.ErrorKind.(type) {
		case *kind.Const:
			if len(leaf.InstanceLocation) == at+1 && slices.Contains([]string{"type", "transport"}, leaf.InstanceLocation[at]) {
				other, name = true, fmt.Sprint(k.Want)
			}
		case *kind.Enum:
			if len(leaf.InstanceLocation) == at+1 && leaf.InstanceLocation[at] == "type" {
				other, name = true, jsonList(k.Want)
			}
		case *kind.Type:
			other = other || len(leaf.InstanceLocation) == at
		case *kind.Required:
			// What says of which form a thing is: transport, and what makes
			// an import one.
			if len(leaf.InstanceLocation) == at && slices.ContainsFunc(k.Missing, func(m string) bool { return m == "transport" || m == "import" }) {
				other = true
			}
		}
	}
	return other, name
}

// near are the leaves that no further choice lies before.
func near(v *jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch v.ErrorKind.(type) {
	case *kind.OneOf, *kind.AnyOf:
		return nil
	}
	if len(v.Causes) == 0 {
		return []*jsonschema.ValidationError{v}
	}
	var all []*jsonschema.ValidationError
	for _, c := range v.Causes {
		all = append(all, near(c)...)
	}
	return all
}

// weight is how much of a form is wrong.
func weight(v *jsonschema.ValidationError) int { return len(yamlfile.Leaves(v)) }

// say reports something wrong with the value at path, or with key in it.
func (e *explainer) say(path []string, key, instead, format string, args ...any) {
	n, _ := yamlfile.Descend(e.root, path)
	line := n.Line
	if len(path) > 0 {
		if holder, _ := yamlfile.Descend(e.root, path[:len(path)-1]); holder.Kind == yaml.MappingNode {
			line = yamlfile.KeyLine(holder, path[len(path)-1])
		}
	}
	if key != "" {
		line = yamlfile.KeyLine(n, key)
	}
	e.add(line, Error, "schema", instead, "%s %s", e.where(path), fmt.Sprintf(format, args...))
}

// where names a place by the names in the document.
func (e *explainer) where(path []string) string {
	if len(path) == 0 {
		return "the document"
	}
	var b strings.Builder
	n := e.root
	for i, step := range path {
		next, ok := yamlfile.Descend(n, []string{step})
		if n.Kind != yaml.SequenceNode {
			if !(i == 0 && step == "capability" && len(path) > 1) {
				b.WriteString("." + step)
			}
		} else {
			name := step
			for _, key := range []string{"namespace", "name", "import", "type"} {
				if w := word(next, key); ok == 1 && w != "" {
					name = w
					break
				}
			}
			b.WriteString("[" + name + "]")
		}
		n = next
	}
	return strings.TrimPrefix(b.String(), ".")
}

// leaf explains an error that has no cause below it.
func (e *explainer) leaf(v *jsonschema.ValidationError) {
	at := v.InstanceLocation
	switch k := v.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			e.extra(v, name)
		}
	case *kind.FalseSchema:
		if n := len(at); n > 0 {
			e.say(at[:n-1], at[n-1], "leave it out", "must not have %q", at[n-1])
		}
	case *kind.Not:
		e.say(at, "port", "leave port out", "speaks over stdio, which has no port")
	case *kind.Required:
		n, _ := yamlfile.Descend(e.root, at)
		for _, name := range k.Missing {
			if other := e.otherWord(name); yamlfile.Child(n, other) == nil { // it is an extra key then
				e.say(at, "", name+": "+e.means(name), "lacks %q", name)
			}
		}
	case *kind.Const:
		e.say(at, "", fmt.Sprint(k.Want), "must be %v", k.Want)
	case *kind.Enum:
		e.say(at, "", "one of "+jsonList(k.Want), "is not one of its values")
	case *kind.Type:
		e.kind(v, k)
	case *kind.Pattern:
		e.say(at, "", e.pattern(k), "has characters or a form that are not allowed here")
	case *kind.PropertyNames:
		e.badName(v, k.Property)
	case *kind.MinItems, *kind.MinProperties:
		e.say(at, "", "leave it out, or put something in", "is empty")
	case *kind.Maximum, *kind.Minimum:
		e.say(at, "", "a number from 1 to 65535", "is out of range")
	case *kind.MaxLength:
		e.say(at, "", "at most "+strconv.Itoa(k.Want)+" characters", "is too long")
	default:
		e.say(at, "", "see the format's specification", "is not what the schema has here")
	}
}

// extra explains a key that the closed object does not know.
func (e *explainer) extra(v *jsonschema.ValidationError, name string) {
	at := v.InstanceLocation
	instead := "leave it out"
	d := e.format.dialect()
	consumed := slices.Contains(at, "consumes")
	keys := e.keys(v.SchemaURL)
	switch {
	case name == "required" && consumed:
		instead = "leave it out; say required on the inputParameters of the function or tool, where a caller is checked"
	case name == "value" && slices.Contains(keys, "token"):
		instead = "token: '{{VARIABLE}}'"
	case name == "placement" && slices.Contains(keys, "token"):
		instead = "leave it out: a bearer token goes into the Authorization header"
	case name == "description" && consumed && slices.Contains(at, "inputParameters"):
		instead = "leave it out; describe the input on the function or tool"
	case name == e.otherWord(d.label):
		instead = d.label + " in its place"
	case name == e.otherWord(d.function):
		instead = d.function + " in its place"
	case name == "name" && !d.lists:
		instead = "leave it out: in this dialect the key is the name"
	case name == "externalRefs":
		instead = "binds: [{namespace: …, keys: {VARIABLE: NAME_OUTSIDE}}]"
	case len(keys) > 0:
		instead = "one of " + strings.Join(keys, ", ") + ", or leave it out"
	}
	e.say(at, name, instead, "must not have %q", name)
}

// otherWord is what the other dialect calls a key, or "" where it is the same.
func (e *explainer) otherWord(key string) string {
	mine, other := e.format.dialect(), Naftiko.dialect()
	if e.format == Naftiko {
		other = Ikanos.dialect()
	}
	return map[string]string{mine.label: other.label, mine.function: other.function}[key]
}

// badName explains a key whose name the schema refuses. The library's place of
// such an error has the right length and may have the wrong steps, so the key
// is looked for.
func (e *explainer) badName(v *jsonschema.ValidationError, name string) {
	want := ""
	for _, leaf := range yamlfile.Leaves(v) {
		if k, ok := leaf.ErrorKind.(*kind.Pattern); ok {
			want = k.Want
		}
	}
	var into func(n *yaml.Node, path []string)
	into = func(n *yaml.Node, path []string) {
		if len(path) == len(v.InstanceLocation) {
			if yamlfile.Child(n, name) != nil {
				e.say(path, name, e.pattern(&kind.Pattern{Got: name, Want: want}), "has a key %q, whose name is not allowed here", name)
			}
			return
		}
		for i, c := range n.Content {
			switch {
			case n.Kind == yaml.SequenceNode:
				into(c, append(slices.Clone(path), strconv.Itoa(i)))
			case n.Kind == yaml.MappingNode && i%2 == 1:
				into(c, append(slices.Clone(path), n.Content[i-1].Value))
			}
		}
	}
	into(e.root, nil)
}

// kind explains a value of another type, in the dialect's terms.
func (e *explainer) kind(v *jsonschema.ValidationError, k *kind.Type) {
	words := map[string]string{"object": "a map", "array": "a list", "string": "a text", "boolean": "true or false", "integer": "a whole number", "number": "a number"}
	var want []string
	for _, w := range k.Want {
		want = append(want, words[w])
	}
	instead := strings.Join(want, " or ")
	switch got := k.Got; {
	case got == "array" && slices.Contains(k.Want, "object") && e.format == Ikanos:
		instead = "a map: NAME: {…} for each, in place of - name: NAME"
	case got == "object" && slices.Contains(k.Want, "array") && e.format == Naftiko:
		instead = "a list: - name: NAME for each, in place of NAME: {…}"
	}
	e.say(v.InstanceLocation, "", instead, "must be %s", strings.Join(want, " or "))
}

// pattern says what a text must be like. The patterns are those of the
// schemas.
func (e *explainer) pattern(k *kind.Pattern) string {
	switch k.Want {
	case `^[a-zA-Z0-9-]+$`:
		return "letters, digits and hyphens only, such as " + cmp.Or(kebab(k.Got), "create-access-token")
	case `^[a-zA-Z0-9-_*]+$`:
		return "letters, digits, hyphens and underscores only"
	case `^[A-Z][A-Z0-9_]*$`:
		return "capitals, digits and underscores, such as FINTECTURE_CLIENT_ID"
	case `^[a-zA-Z0-9-]+\.[a-zA-Z0-9-]+$`:
		return "NAMESPACE.NAME, each of letters, digits and hyphens"
	case `^file:///`:
		return "file:/// and an absolute path"
	}
	switch {
	case strings.HasPrefix(k.Want, "^https?"):
		return "https://HOST, without a placeholder in the path"
	case strings.HasPrefix(k.Want, `^\d{4}`):
		return "a date such as 2026-05-01"
	}
	return "a text that fits " + k.Want
}

// means says what belongs at a key.
func (e *explainer) means(name string) string {
	switch name {
	case "description":
		return "a sentence for the agent that reads it"
	case "port":
		return "a number from 1 to 65535"
	case "baseUri":
		return "https://HOST"
	}
	return "…"
}

func jsonList(values []any) string {
	var all []string
	for _, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			continue
		}
		all = append(all, strings.Trim(string(b), `"`))
	}
	return strings.Join(all, ", ")
}
