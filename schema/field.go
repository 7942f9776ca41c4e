package schema

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
	"go.yaml.in/yaml/v4"

	"bankauth/internal/yamlfile"
)

// field is a Field with what the overlay says beside it.
type field struct {
	Field
	at       place
	proxy    *base.SchemaProxy
	node     *yaml.Node   // its x-bankauth-field
	examples []*yaml.Node // the property's own
	samples  []sample     // its values in the document's examples of the body
	grants   []string     // nil: all
	required bool
	hide     bool
	choice   bool // oneOf or anyOf: what fits it cannot be said in one argument
	types    bool // several types, and the same holds
}

// scalars are the types that an argument or a result can have.
var scalars = []string{"string", "integer", "number", "boolean"}

func (f *field) belongs(grant string) bool {
	return f.grants == nil || slices.Contains(f.grants, grant)
}

// fieldExtension is x-bankauth-field as the overlay says it.
type fieldExtension struct {
	Grants   []string `yaml:"grants"`
	Required bool     `yaml:"required"`
	Argument string   `yaml:"argument"`
	Held     string   `yaml:"held"`
	Secret   bool     `yaml:"secret"`
	Hide     bool     `yaml:"hide"`
}

// body returns the properties of the request body, how it is written and
// which of them the document requires.
func (r *reader) body(at place, op *v3.Operation) (fields []*field, media string, required []string) {
	if op.RequestBody == nil || op.RequestBody.Content == nil {
		return nil, MediaForm, nil
	}
	for _, want := range []string{MediaForm, MediaJSON} {
		content, ok := op.RequestBody.Content.Get(want)
		if !ok || content.Schema == nil {
			continue
		}
		fields, required = r.properties(at.in("requestBody", "content", want, "schema"), content.Schema, 0)
		for _, f := range fields {
			f.samples = samples(content, f.Name)
		}
		return fields, want, required
	}
	r.refuse(at.in("requestBody", "content"), "its body must be %s or %s", MediaForm, MediaJSON)
	return nil, MediaForm, nil
}

// Bounds of allOf, which may refer to itself, and more than once.
const (
	maxNesting = 16
	maxSchemas = 10_000
)

// properties lists the properties of an object schema, those of its allOf
// included, in the document's order.
func (r *reader) properties(at place, proxy *base.SchemaProxy, depth int) (fields []*field, required []string) {
	if r.visited > maxSchemas {
		return nil, nil
	}
	if r.visited++; depth > maxNesting || r.visited > maxSchemas {
		r.visited = maxSchemas + 1 // the first mistake is enough
		r.refuse(at, "its schema contains itself, or is made of too many")
		return nil, nil
	}
	s := proxy.Schema()
	if s == nil {
		r.refuse(at, "its schema cannot be resolved")
		return nil, nil
	}
	for i, part := range s.AllOf {
		fs, req := r.properties(at.in("allOf", strconv.Itoa(i)), part, depth+1)
		fields, required = append(fields, fs...), append(required, req...)
	}
	if len(s.OneOf)+len(s.AnyOf) > 0 && s.Properties == nil {
		r.refuse(at, "its schema is a choice (oneOf, anyOf); let the overlay merge the variants into one object")
	}
	if s.Properties != nil {
		for name, p := range s.Properties.FromOldest() {
			if f := r.field(at.in("properties", name), name, p); f != nil {
				fields = append(fields, f)
			}
		}
	}
	return fields, append(required, s.Required...)
}

// field compiles one property. Its Type stays empty when it is an object or
// an array: such a property can be neither an argument nor a result. It stays
// empty, too, where it is to be one of several.
func (r *reader) field(at place, name string, proxy *base.SchemaProxy) *field {
	s := proxy.Schema()
	if s == nil {
		r.refuse(at, "the property %q cannot be resolved", name)
		return nil
	}
	f := &field{at: at, proxy: proxy, choice: len(s.OneOf)+len(s.AnyOf) > 0, Field: Field{Name: name, Argument: name, Description: oneLine(s.Description), line: r.written.line(at.path...)}}
	types := slices.DeleteFunc(slices.Clone(s.Type), func(t string) bool { return t == "null" })
	switch some := slices.ContainsFunc(types, func(t string) bool { return slices.Contains(scalars, t) }); {
	case some && len(types) == 1:
		f.Type = types[0]
	case some:
		f.types = true
	}
	for _, e := range s.Enum {
		if e.Tag != "!!null" { // OpenAPI 3.0's way of a nullable enum
			f.Enum = append(f.Enum, e.Value)
		}
	}
	f.Schema = r.valueSchema(at, name, f.Type, s)
	f.examples = examples(s)
	var x fieldExtension
	f.node = r.fieldNode(at, s)
	if r.decode(keyField, f.node, &x) {
		f.grants, f.required, f.hide = x.Grants, x.Required, x.Hide
		f.Held, f.Secret = x.Held, x.Secret || (x.Held != "" && x.Held != HeldClientID)
		if x.Argument != "" {
			f.Argument = x.Argument
		}
	}
	return f
}

// fieldNode returns what the overlay says of a property: beside a reference,
// or in the schema itself.
func (r *reader) fieldNode(at place, s *base.Schema) *yaml.Node {
	n := r.merged.root
	for _, step := range at.path {
		next, ok := yamlfile.Descend(r.merged.target(n), []string{step})
		if ok == 0 {
			break
		}
		n = next
	}
	if own := yamlfile.Child(n, keyField); own != nil {
		return own
	}
	return extension(s.Extensions, keyField)
}

// descend returns the property at the end of steps, or nil.
func (r *reader) descend(fields []*field, steps []string) *field {
	i := slices.IndexFunc(fields, func(f *field) bool { return f.Name == steps[0] })
	if i < 0 {
		return nil
	}
	f := fields[i]
	for len(steps) > 1 && f.proxy != nil {
		s := f.proxy.Schema()
		if s == nil || s.Items == nil || s.Items.A == nil {
			break
		}
		if _, err := strconv.Atoi(steps[1]); err != nil {
			return nil
		}
		steps = steps[1:]
		f = r.field(f.at.in("items"), f.Name, s.Items.A)
	}
	if len(steps) == 1 || f == nil || f.Type != "" {
		if len(steps) > 1 {
			return nil
		}
		return f
	}
	inner, _ := r.properties(f.at, f.proxy, 0)
	return r.descend(inner, steps[1:])
}

// examples lists a property's own examples, its enum last.
func examples(s *base.Schema) []*yaml.Node {
	var all []*yaml.Node
	if s.Example != nil {
		all = append(all, s.Example)
	}
	all = append(all, s.Examples...)
	if s.Default != nil {
		all = append(all, s.Default)
	}
	return append(all, s.Enum...)
}

// valueSchema is the JSON Schema of a scalar: the keywords that say something
// about its value. OpenAPI's annotations are left out.
func (r *reader) valueSchema(at place, name, typ string, s *base.Schema) json.RawMessage {
	if typ == "" {
		return nil
	}
	v := map[string]any{"type": typ}
	if values := r.enum(at, name, typ, s); len(values) > 0 {
		v["enum"] = values
	}
	r.bounds(at, name, s, v)
	if s.Pattern != "" {
		if _, err := regexp.Compile(s.Pattern); err != nil {
			r.refuse(at.in("pattern"), "the property %q: its pattern is not one that Go's regexp knows (RE2, without lookaround); replace it in the overlay", name)
			return nil
		}
		v["pattern"] = s.Pattern
	}
	if s.Format == "uri" || s.Format == "email" || s.Format == "uuid" {
		v["format"] = s.Format
	}
	b, err := json.Marshal(v)
	if err == nil {
		_, err = compileSchema(b)
	}
	if err != nil {
		r.refuse(at, "the property %q: its schema is not one that values can be checked against", name)
		return nil
	}
	return b
}

// enum returns the values of an enum, which must be of the property's type.
func (r *reader) enum(at place, name, typ string, s *base.Schema) []any {
	var values []any
	for _, e := range s.Enum {
		if e.Tag == "!!null" {
			continue
		}
		var v any
		ok := e.Decode(&v) == nil
		switch v.(type) {
		case string:
			ok = ok && typ == "string"
		case bool:
			ok = ok && typ == "boolean"
		case int, int64, uint64:
			ok = ok && (typ == "integer" || typ == "number")
		case float64:
			ok = ok && typ == "number"
		default:
			ok = false
		}
		if !ok {
			r.refuse(at.in("enum"), "the property %q: a value of its enum is no %s", name, typ)
			return nil
		}
		values = append(values, v)
	}
	return values
}

// bounds takes over the bounds of a value. libopenapi drops those that are no
// numbers.
func (r *reader) bounds(at place, name string, s *base.Schema, v map[string]any) {
	var raw *yaml.Node
	if low := s.GoLow(); low != nil {
		raw = low.RootNode
	}
	for key, n := range map[string]*int64{"minLength": s.MinLength, "maxLength": s.MaxLength} {
		if n != nil {
			v[key] = *n
		}
	}
	for key, n := range map[string]*float64{"minimum": s.Minimum, "maximum": s.Maximum} {
		if n != nil {
			v[key] = *n
		}
	}
	for _, key := range []string{"minLength", "maxLength", "minimum", "maximum"} {
		if n := yamlfile.Child(raw, key); n != nil && (v[key] == nil || (n.Tag != "!!int" && n.Tag != "!!float")) {
			r.refuse(at.in(key), "the property %q: its %s is no number", name, key)
		}
	}
}

// oneLine folds a description's white space; YAML block texts have line ends.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
