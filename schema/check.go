package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"bankauth/internal/fault"
	"bankauth/internal/yamlfile"
)

func compileSchema(schema json.RawMessage) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	const url = "https://bankauth.invalid/value.json"
	c := yamlfile.NewCompiler()
	if err := c.AddResource(url, doc); err != nil {
		return nil, err
	}
	return c.Compile(url)
}

// valueCheck compiles its field's schema when it is first needed: a start
// must not pay for calls that never come. Compile has tried each one before,
// and a test tries the bundled ones.
type valueCheck struct {
	once   sync.Once
	schema *jsonschema.Schema
	err    error
}

func (c *valueCheck) get(f *Field) (*jsonschema.Schema, error) {
	c.once.Do(func() { c.schema, c.err = compileSchema(f.Schema) })
	return c.schema, c.err
}

// Check checks a call's arguments, by their names in the tools, against the
// exact operation and grant. The values must be of JSON's types as
// encoding/json decodes them. full lets the secret arguments in.
//
// The Fault names arguments, never values: what is missing, what does not
// belong, and a call that has what this one lacks.
func (p *Provider) Check(op *Operation, g *Grant, args map[string]any, full bool) *fault.Fault {
	var missing, foreign, wrong []string
	for _, name := range g.Required {
		if _, ok := args[name]; !ok {
			missing = append(missing, name)
		}
	}
	for _, name := range sortedKeys(args) {
		f := op.Field(name)
		if f == nil || !g.takes(f, full) {
			foreign = append(foreign, name)
			continue
		}
		if problem := op.value(f, args[name]); problem != "" {
			wrong = append(wrong, fmt.Sprintf("%s %s", name, problem))
		}
	}
	if len(missing)+len(foreign)+len(wrong) == 0 {
		return nil
	}
	return p.refuse(op, g, missing, foreign, wrong)
}

// takes reports whether a caller may give f. In full exposure it may also
// give what we otherwise hold.
func (g *Grant) takes(f *Field, full bool) bool {
	if slices.Contains(g.Arguments, f.Argument) {
		return true
	}
	return full && slices.Contains(g.Secrets, f.Argument)
}

func (p *Provider) refuse(op *Operation, g *Grant, missing, foreign, wrong []string) *fault.Fault {
	var says []string
	if len(missing) > 0 {
		says = append(says, "missing: "+strings.Join(missing, ", "))
	}
	if len(foreign) > 0 {
		says = append(says, "not allowed here: "+strings.Join(foreign, ", "))
	}
	says = append(says, wrong...)
	call := p.Name
	if g.Name != "" {
		call += " with grant_type=" + g.Name
	}
	takes := "no further arguments"
	if len(g.Arguments) > 0 {
		takes = g.Signature()
	}
	return &fault.Fault{
		Code: fault.InvalidArgument, Provider: p.Name,
		Message:  fmt.Sprintf("%s does not fit %s; %s", op.Tool, call, strings.Join(says, "; ")),
		Hint:     fmt.Sprintf("%s takes %s (* = required); the example shows a call that fits", call, takes),
		Required: missing, NotAllowed: foreign, Example: p.Example(op, g),
	}
}

// Signature lists the grant's arguments; the required ones carry a star. Where
// a consent can be opened it says with which arguments.
func (g *Grant) Signature() string {
	names := make([]string, len(g.Arguments))
	for i, a := range g.Arguments {
		names[i] = a
		if slices.Contains(g.Required, a) {
			names[i] += "*"
		}
	}
	said := strings.Join(names, ", ")
	if g.Consent != nil {
		said += "; without code: " + cmp.Or(strings.Join(g.Consent.Arguments(), ", "), "none")
	}
	return said
}

// Example returns the arguments of a call that Check accepts, provider and
// grant_type among them: those of the document's own example where it has one.
func (p *Provider) Example(op *Operation, g *Grant) map[string]any {
	args := maps.Clone(g.Example)
	if args == nil {
		args = map[string]any{}
	}
	args["provider"] = p.Name
	if g.Name != "" {
		args[grantField] = g.Name
	}
	return args
}

// value says what is wrong with a value, in words that do not quote it; ""
// means nothing.
func (op *Operation) value(f *Field, v any) string {
	check := op.check(f)
	schema, err := check.get(f)
	if err != nil {
		return "cannot be checked"
	}
	var bad *jsonschema.ValidationError
	if err := schema.Validate(v); !errors.As(err, &bad) {
		return ""
	}
	return problem(yamlfile.Leaves(bad)[0].ErrorKind)
}

func (op *Operation) check(f *Field) *valueCheck {
	op.checksMade.Do(func() {
		op.checks = make(map[string]*valueCheck, len(op.Fields))
		for i := range op.Fields {
			op.checks[op.Fields[i].Name] = &valueCheck{}
		}
	})
	return op.checks[f.Name]
}

func problem(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return "must be " + article(strings.Join(k.Want, " or "))
	case *kind.Enum:
		want := make([]string, len(k.Want))
		for i, w := range k.Want {
			want[i] = fmt.Sprint(w)
		}
		return "must be one of " + strings.Join(want, ", ")
	case *kind.MinLength:
		return "must have at least " + count(k.Want, "character")
	case *kind.MaxLength:
		return "must have at most " + count(k.Want, "character")
	case *kind.Pattern:
		return "has characters or a form that are not allowed (pattern " + k.Want + ")"
	case *kind.Format:
		return "must be a valid " + k.Want
	case *kind.Minimum:
		return "must be at least " + number(k.Want)
	case *kind.Maximum:
		return "must be at most " + number(k.Want)
	}
	return "does not fit the provider's document"
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func number(r *big.Rat) string { return strings.TrimSuffix(r.FloatString(3), ".000") }
