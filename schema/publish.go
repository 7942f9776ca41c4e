package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
	orderedmap "github.com/pb33f/ordered-map/v2"
)

// Argument is one property of a tool's input schema: one string type, at
// most an enum, and a description, so that every host can read it.
type Argument struct {
	Name        string
	Type        string
	Description string
	Enum        []string
	Required    bool
	Providers   int // how many take it; 0: it is no provider's
}

// Publication is what the documents say about one tool, merged over the
// providers: published wide, checked narrow.
type Publication struct {
	Providers []string   // those that serve the tool, in order
	Arguments []Argument // in the documents' order; grant_type first where there are grants
	Lines     []string   // one a provider and grant: how it is called, for the tool's description
}

// most bytes of a published property's description; longer ones lose their
// lists of providers first.
const mostDescription = 240

// Publish merges the operations that serve tool. full adds the arguments that
// full exposure lets in. Two providers that give one argument two types are a
// *Mistake.
func Publish(tool string, providers []*Provider, full bool) (*Publication, error) {
	m := &merger{tool: tool, byName: map[string]*merged{}}
	for _, p := range providers {
		if len(p.Grants(tool)) == 0 {
			continue
		}
		m.providers = append(m.providers, p)
		for _, op := range p.Operations {
			if op.Tool == tool {
				if err := m.operation(p, op, full); err != nil {
					return nil, err
				}
			}
		}
	}
	pub := &Publication{}
	if tool == CreateAccessToken {
		pub.Arguments = append(pub.Arguments, m.grantType())
	}
	for _, a := range m.order {
		pub.Arguments = append(pub.Arguments, m.argument(a))
	}
	for _, p := range m.providers {
		pub.Providers = append(pub.Providers, p.Name)
		pub.Lines = append(pub.Lines, lines(p, tool)...)
	}
	return pub, nil
}

// merger gathers what each provider says of each argument.
type merger struct {
	tool      string
	providers []*Provider
	calls     []call // every provider × grant
	order     []*merged
	byName    map[string]*merged
	grantText string
}

// call is one way of calling the tool.
type call struct {
	provider *Provider
	grant    string
}

// merged is one argument with all who have it.
type merged struct {
	field    *Field
	provider *Provider  // the first who has it
	texts    []string   // the different descriptions, in order
	saidBy   [][]string // for each text, the providers that say it
	enums    [][]string
	required []call
	optional []call
}

func (m *merger) operation(p *Provider, op *Operation, full bool) error {
	for _, f := range op.Fields {
		if f.Name == grantField && m.grantText == "" {
			m.grantText = f.Description
		}
	}
	for i := range op.Grants {
		g := &op.Grants[i]
		c := call{p, g.Name}
		m.calls = append(m.calls, c)
		for i := range op.Fields {
			f := &op.Fields[i]
			if !g.takes(f, full) && !(g.Consent != nil && slices.Contains(g.Consent.Arguments(), f.Argument)) {
				continue
			}
			if err := m.add(c, f, g.Consent == nil && slices.Contains(g.Required, f.Argument)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *merger) add(c call, f *Field, required bool) error {
	a := m.byName[f.Argument]
	if a == nil {
		a = &merged{field: f, provider: c.provider}
		m.byName[f.Argument] = a
		m.order = append(m.order, a)
	}
	if a.field.Type != f.Type {
		return &Mistake{File: c.provider.Document, Line: f.line, Text: fmt.Sprintf("the argument %q is %s here and %s in %s; give one of them another name in its overlay (x-bankauth-field: {argument: …})",
			f.Argument, article(f.Type), article(a.field.Type), a.provider.Document)}
	}
	text, enum := f.Description, f.Enum
	if f.Type != "string" && len(enum) > 0 { // hosts know enums of texts alone
		text, enum = strings.TrimSpace(text+" One of "+strings.Join(enum, ", ")+"."), nil
	}
	a.say(text, c.provider.Name)
	a.enums = append(a.enums, enum)
	if required {
		a.required = append(a.required, c)
	} else {
		a.optional = append(a.optional, c)
	}
	return nil
}

// say keeps a description and who gave it.
func (a *merged) say(text, provider string) {
	if text == "" {
		return
	}
	i := slices.Index(a.texts, text)
	if i < 0 {
		i = len(a.texts)
		a.texts, a.saidBy = append(a.texts, text), append(a.saidBy, nil)
	}
	if !slices.Contains(a.saidBy[i], provider) {
		a.saidBy[i] = append(a.saidBy[i], provider)
	}
}

// text is the description: one that all agree on as it is, different ones
// each under its providers' names.
func (a *merged) text() string {
	if len(a.texts) < 2 {
		return strings.Join(a.texts, "")
	}
	parts := make([]string, len(a.texts))
	for i, t := range a.texts {
		parts[i] = strings.Join(a.saidBy[i], ", ") + ": " + t
	}
	return strings.Join(parts, " ")
}

// grantType is the argument that all providers' grants make together.
func (m *merger) grantType() Argument {
	a := Argument{Name: grantField, Type: "string", Description: m.grantText, Required: true}
	for _, c := range m.calls {
		if !slices.Contains(a.Enum, c.grant) {
			a.Enum = append(a.Enum, c.grant)
		}
	}
	return a
}

func (m *merger) argument(a *merged) Argument {
	out := Argument{Name: a.field.Argument, Type: a.field.Type, Enum: a.enum(), Required: len(a.required) == len(m.calls)}
	takers := map[*Provider]bool{}
	for _, c := range slices.Concat(a.required, a.optional) {
		takers[c.provider] = true
	}
	out.Providers = len(takers)
	text := a.text()
	for _, named := range []bool{true, false} {
		out.Description = strings.TrimSpace(text + " " + m.clause(a, out.Required, named))
		if len(out.Description) <= mostDescription {
			break
		}
	}
	if len(out.Description) > mostDescription && len(a.texts) > 0 {
		out.Description = strings.TrimSpace(a.texts[0] + " " + m.clause(a, out.Required, false))
	}
	return out
}

// enum is the union of the providers' enums; one provider without an enum
// leaves the argument open.
func (a *merged) enum() []string {
	var all []string
	for _, e := range a.enums {
		if len(e) == 0 {
			return nil
		}
		for _, v := range e {
			if v != "" && !slices.Contains(all, v) { // an empty text counts as left out
				all = append(all, v)
			}
		}
	}
	return all
}

// clause says with which grants an argument goes, and, when named, with which
// providers, where not all of them agree.
func (m *merger) clause(a *merged, always, named bool) string {
	everywhere := len(a.required) == 0 && len(a.optional) == len(m.calls)
	if m.tool != CreateAccessToken || always || everywhere {
		return ""
	}
	var says []string
	for word, calls := range map[string][]call{"Required": a.required, "Optional": a.optional} {
		var grants, with []string
		for _, c := range calls {
			if !slices.Contains(grants, c.grant) {
				grants = append(grants, c.grant)
			}
		}
		for _, g := range grants {
			part := g
			if who := providersOf(calls, g); named && len(who) < len(providersOf(m.calls, g)) {
				part += " (" + strings.Join(who, ", ") + ")"
			}
			with = append(with, part)
		}
		if len(with) > 0 {
			says = append(says, word+" with "+strings.Join(with, ", ")+".")
		}
	}
	slices.SortFunc(says, func(a, b string) int { return strings.Compare(b, a) }) // Required before Optional
	return strings.Join(says, " ")
}

func providersOf(calls []call, grant string) []string {
	var names []string
	for _, c := range calls {
		if c.grant == grant {
			names = append(names, c.provider.Name)
		}
	}
	return names
}

// lines say how one provider is called, a line a grant: "flinks
// authorization_code: code*, redirect_uri*".
func lines(p *Provider, tool string) []string {
	var all []string
	for _, op := range p.Operations {
		if op.Tool != tool {
			continue
		}
		for i := range op.Grants {
			g := &op.Grants[i]
			said := strings.TrimSpace(p.Name + " " + g.Name)
			if len(g.Arguments) > 0 {
				said += ": " + g.Signature()
			}
			if g.Note != "" {
				said += " (" + g.Note + ")"
			}
			all = append(all, said)
		}
	}
	return all
}

// Object returns the input schema with these arguments: one flat object, no
// combinators, nothing beyond its properties.
func Object(arguments []Argument) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "object", Properties: orderedmap.New[string, *jsonschema.Schema](), AdditionalProperties: jsonschema.FalseSchema}
	for _, a := range arguments {
		p := &jsonschema.Schema{Type: a.Type, Description: a.Description}
		for _, e := range a.Enum {
			p.Enum = append(p.Enum, e)
		}
		s.Properties.Set(a.Name, p)
		if a.Required {
			s.Required = append(s.Required, a.Name)
		}
	}
	return s
}
