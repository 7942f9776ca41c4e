package schema

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// field is a Field with what the overlay says beside it.
type field struct {
	Field
	grants   []string // nil: all
	required bool
	hide     bool
}

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
func (r *reader) body(at string, op *v3.Operation) (fields []*field, media string, required []string) {
	if op.RequestBody == nil || op.RequestBody.Content == nil {
		return nil, MediaForm, nil
	}
	for _, want := range []string{MediaForm, MediaJSON} {
		content, ok := op.RequestBody.Content.Get(want)
		if !ok || content.Schema == nil {
			continue
		}
		fields, required = r.properties(at, content.Schema, 0)
		return fields, want, required
	}
	r.wrong.add(r.file, 0, "%s: its body must be %s or %s", at, MediaForm, MediaJSON)
	return nil, MediaForm, nil
}

// maxNesting bounds allOf, which may refer to itself.
const maxNesting = 16

// properties lists the properties of an object schema, those of its allOf
// included, in the document's order.
func (r *reader) properties(at string, proxy *base.SchemaProxy, depth int) (fields []*field, required []string) {
	s := proxy.Schema()
	if s == nil || depth > maxNesting {
		r.wrong.add(r.file, 0, "%s: its schema cannot be resolved", at)
		return nil, nil
	}
	for _, part := range s.AllOf {
		fs, req := r.properties(at, part, depth+1)
		fields, required = append(fields, fs...), append(required, req...)
	}
	if len(s.OneOf)+len(s.AnyOf) > 0 && s.Properties == nil {
		r.wrong.add(r.file, 0, "%s: its schema is a choice (oneOf, anyOf); let the overlay merge the variants into one object", at)
	}
	if s.Properties != nil {
		for name, p := range s.Properties.FromOldest() {
			if f := r.field(at, name, p); f != nil {
				fields = append(fields, f)
			}
		}
	}
	return fields, append(required, s.Required...)
}

// field compiles one property. Its Type stays empty when it is an object or
// an array: such a property can be neither an argument nor a result.
func (r *reader) field(at, name string, proxy *base.SchemaProxy) *field {
	s := proxy.Schema()
	if s == nil {
		r.wrong.add(r.file, 0, "%s: the property %q cannot be resolved", at, name)
		return nil
	}
	f := &field{Field: Field{Name: name, Argument: name, Description: oneLine(s.Description)}}
	types := slices.DeleteFunc(slices.Clone(s.Type), func(t string) bool { return t == "null" })
	if len(types) == 1 && slices.Contains([]string{"string", "integer", "number", "boolean"}, types[0]) {
		f.Type = types[0]
	}
	for _, e := range s.Enum {
		f.Enum = append(f.Enum, e.Value)
	}
	f.Example = example(s)
	f.Schema = r.valueSchema(at, name, f.Type, s)
	var x fieldExtension
	if r.extension(s.Extensions, keyField, &x) {
		f.grants, f.required, f.hide = x.Grants, x.Required, x.Hide
		f.Held, f.Secret = x.Held, x.Secret || (x.Held != "" && x.Held != HeldClientID)
		if x.Argument != "" {
			f.Argument = x.Argument
		}
	}
	return f
}

func example(s *base.Schema) string {
	switch {
	case s.Example != nil:
		return s.Example.Value
	case len(s.Examples) > 0:
		return s.Examples[0].Value
	case len(s.Enum) > 0:
		return s.Enum[0].Value
	}
	return ""
}

// valueSchema is the JSON Schema of a scalar: the keywords that say something
// about its value. OpenAPI's annotations are left out.
func (r *reader) valueSchema(at, name, typ string, s *base.Schema) json.RawMessage {
	if typ == "" {
		return nil
	}
	v := map[string]any{"type": typ}
	if len(s.Enum) > 0 {
		values := make([]any, len(s.Enum))
		for i, e := range s.Enum {
			if err := e.Decode(&values[i]); err != nil {
				r.wrong.add(r.file, 0, "%s: the property %q: reading its enum: %s", at, name, firstLine(err))
			}
		}
		v["enum"] = values
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
	if s.Pattern != "" {
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
		r.wrong.add(r.file, 0, "%s: the property %q: %s", at, name, firstLine(err))
	}
	return b
}

// oneLine folds a description's white space; YAML block texts have line ends.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
