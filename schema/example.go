package schema

import (
	"encoding/json"
	"slices"

	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
	"go.yaml.in/yaml/v4"

	"bankauth/internal/yamlfile"
)

// sample is a property's value in one of the document's examples of a body.
type sample struct {
	body  int    // which example
	grant string // its grant_type; "" where it has none
	value *yaml.Node
}

// samples returns the values of a property in the examples of a body.
func samples(content *v3.MediaType, name string) []sample {
	bodies := []*yaml.Node{content.Example}
	if content.Examples != nil {
		for _, e := range content.Examples.FromOldest() {
			bodies = append(bodies, e.Value)
		}
	}
	var all []sample
	for i, body := range bodies {
		if v := yamlfile.Child(body, name); v != nil {
			s := sample{body: i, value: v}
			if grant := yamlfile.Child(body, grantField); grant != nil {
				s.grant = grant.Value
			}
			all = append(all, s)
		}
	}
	return all
}

// exemplify gives a grant the example that its errors and its description
// show: the document's first example of such a body, the examples of its
// properties otherwise, and for a required argument without any a text that
// fits.
func (r *reader) exemplify(at place, g *Grant, fields []*field) {
	body := -1
	for i, name := range g.Arguments {
		f := fields[slices.IndexFunc(fields, func(f *field) bool { return f.Argument == name && f.belongs(g.Name) })]
		needed := slices.Contains(g.Required, name)
		v, from := f.sampled(g.Name, body)
		switch {
		case v != nil && body < 0:
			body = from
		case v == nil && (needed || (i == 0 && body < 0)):
			v = f.exampleValue()
		}
		if v == nil && needed {
			v = f.invented()
		}
		switch {
		case v != nil:
			if g.Example == nil {
				g.Example = map[string]any{}
			}
			g.Example[name] = v
		case needed && f.Schema != nil:
			r.refuse(f.at, "the property %q has no example that fits its schema, and none can be made up; give it one (example: …) in the document or the overlay", f.Name)
		}
	}
}

// sampled returns the value in an example of a body for grant, and which one:
// the given one, or the first where body is -1.
func (f *field) sampled(grant string, body int) (any, int) {
	for _, s := range f.samples {
		if (s.grant != "" && s.grant != grant) || (body >= 0 && s.body != body) {
			continue
		}
		if v := f.fitting(s.value); v != nil {
			return v, s.body
		}
	}
	return nil, -1
}

// exampleValue returns the first of the property's own examples that fits.
func (f *field) exampleValue() any {
	for _, n := range f.examples {
		if v := f.fitting(n); v != nil {
			return v
		}
	}
	return nil
}

// fitting returns n as JSON has it, if it fits the property's schema.
func (f *field) fitting(n *yaml.Node) any {
	v, err := yamlfile.Plain(n)
	if number, ok := v.(json.Number); ok && err == nil {
		v, err = number.Float64()
	}
	if err != nil || v == nil || v == "" || !f.fits(v) {
		return nil
	}
	return v
}

func (f *field) fits(v any) bool {
	s, err := compileSchema(f.Schema)
	return err == nil && s.Validate(v) == nil
}

// invented returns a value that fits and says that it is an example, or nil.
func (f *field) invented() any {
	name := "example-" + f.Name
	for _, v := range []any{name, "https://app.example.com/callback", "someone@example.com", "example", "Example1", "EXAMPLE",
		"00000000-0000-4000-8000-000000000000", "0000000000", "2030-01-31", "000000", "0000", "00", "ex", "A", true, 1.0, 100.0, 10_000.0} {
		if f.fits(v) {
			return v
		}
	}
	return nil
}
