package capability

import (
	"fmt"
	"slices"
	"strings"

	"bankauth/schema"
)

// match is an operation of a provider that a consumed operation means: the
// same host, path and method.
type match struct {
	provider    *schema.Provider
	environment string
	op          *schema.Operation
	grant       *schema.Grant
}

// matches returns all that a consumed operation may mean, in the documents'
// order, one for each tool and grant.
func matches(c *consumed, o *operation, providers []*schema.Provider) []match {
	return slices.DeleteFunc(located(c, o, providers), func(m match) bool { return m.op.Method != o.method })
}

// located is matches whatever the method.
func located(c *consumed, o *operation, providers []*schema.Provider) []match {
	host, path := hostPath(c.baseURI)
	path += o.path
	var all []match
	for _, p := range providers {
		for _, e := range p.Environments {
			to, base := hostPath(e.URL)
			if to != host {
				continue
			}
			for _, op := range p.Operations {
				if partOf(op.Tool) == "" || base+op.Path != path {
					continue
				}
				for i := range op.Grants {
					all = append(all, match{p, e.Name, op, &op.Grants[i]})
				}
			}
		}
	}
	return all
}

// fits keeps those of matches whose grant is the one that the request names.
// Where it names none, or leaves it to its caller, all are kept.
func fits(o *operation, all []match) []match {
	said := ""
	if o.body != nil {
		for _, m := range o.body.data {
			if m.name == grantType {
				said = m.value
			}
		}
	}
	if said == "" || strings.Contains(said, "{{") {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(m match) bool { return m.grant.Name != said })
}

const grantType = "grant_type"

// known reports requests that the provider would refuse.
func (r *report) known(d *document, providers []*schema.Provider) {
	for i := range d.consumes {
		c := &d.consumes[i]
		for j := range c.operations {
			o := &c.operations[j]
			all := matches(c, o, providers)
			if len(all) == 0 {
				// Other things than making one may be done with users.
				if at := located(c, o, providers); len(at) > 0 && at[0].op.Tool != schema.CreateUser {
					r.add(o.at, Error, "method", "method: "+at[0].op.Method, "%s sends a %s, and %s takes a %s there", o.name, o.method, at[0].provider.Title, at[0].op.Method)
				}
				continue
			}
			meant := fits(o, all)
			if len(meant) == 0 {
				r.add(o.at, Error, "grant", grantType+": "+oneOf(grantNames(all)), "%s does not offer the grant that %s asks for here", all[0].provider.Title, o.name)
				continue
			}
			r.request(d, c, o, meant)
		}
	}
}

func grantNames(all []match) []string {
	var names []string
	for _, m := range all {
		if !slices.Contains(names, m.grant.Name) {
			names = append(names, m.grant.Name)
		}
	}
	return names
}

// request holds a consumed operation against what the provider wants.
func (r *report) request(d *document, c *consumed, o *operation, meant []match) {
	m := meant[0]
	want := bodyOf(m.provider, m.op, m.grant)
	write := "body: " + want.sketch()
	if len(meant) > 1 {
		write += "; that is for one grant, and `bankauth capability export " + m.provider.Name + "-" + partOf(m.op.Tool) + "` has all of them"
	}
	who := m.provider.Title
	switch {
	case o.body == nil:
		r.add(o.at, Error, "body", write, "%s sends no body, and %s wants one of type %s", o.name, who, want.kind)
	case o.body.kind == "" || o.body.data == nil: // a text: nothing can be said of it
	case o.body.kind != want.kind:
		r.add(o.body.at, Error, "body", write, "%s sends a body of type %s, and %s wants %s", o.name, o.body.kind, who, want.kind)
	default:
		if missing := o.missing(meant); len(missing) > 0 {
			r.add(o.body.at, Error, "body", write, "the body of %s lacks %s, without which %s refuses it", o.name, strings.Join(missing, " and "), who)
		}
	}
	r.credentials(c, o, m)
	for _, end := range d.callers(c.namespace + "." + o.name) {
		if asks := asks(meant); end.asks == 0 && o.body == nil && len(asks) > 0 {
			r.add(end.at, Error, "inputs", "inputParameters: "+strings.Join(asks, ", "), "the %s takes no input, so nobody can say what %s needs", end.what, who)
		}
	}
}

// missing are the members that every grant it may mean wants, and the body
// does not have.
func (o *operation) missing(meant []match) []string {
	var names []string
	for _, m := range bodyOf(meant[0].provider, meant[0].op, meant[0].grant).data {
		needed := true
		for _, other := range meant {
			f := other.op.Field(m.name)
			needed = needed && (m.name == grantType || slices.Contains(other.op.Required, m.name) || slices.Contains(other.grant.Required, m.name) ||
				f != nil && f.Held != "" && other.op.Auth.Style == schema.AuthBody)
		}
		if needed && !slices.ContainsFunc(o.body.data, func(have member) bool { return have.name == m.name }) {
			names = append(names, m.name)
		}
	}
	return names
}

// credentials checks that they go where the provider looks for them.
func (r *report) credentials(c *consumed, o *operation, m match) {
	want := authentication(m.provider, m.op)
	switch {
	case want == nil || c.auth != nil && c.auth.kind == want.kind:
	case c.auth == nil && slices.ContainsFunc(slices.Concat(c.inputs, o.inputs), func(p parameter) bool { return strings.EqualFold(p.name, "Authorization") }):
	case c.auth == nil:
		r.add(c.at, Error, "authentication", "authentication: "+want.sketch(), "%s sends no credentials, and %s wants them as %s", o.name, m.provider.Title, want.kind)
	default:
		r.add(c.auth.at, Error, "authentication", "authentication: "+want.sketch(), "%s authenticates by %s, and %s wants %s", o.name, c.auth.kind, m.provider.Title, want.kind)
	}
}

// asks are the inputs that the request takes from its caller.
func asks(meant []match) []string {
	var names []string
	if len(meant) > 1 {
		names = append(names, grantType)
	}
	for _, other := range meant {
		asked, _ := inputs(other.op, other.grant)
		for _, in := range asked {
			if in.name == tokenRef { // which only we know
				in.name = other.op.HeldField(schema.HeldRefreshToken).Argument
			}
			if !slices.Contains(names, in.name) {
				names = append(names, in.name)
			}
		}
	}
	return names
}

// sketch is the body in one line.
func (b *body) sketch() string {
	var parts []string
	for _, m := range b.data {
		parts = append(parts, m.sketch())
	}
	return fmt.Sprintf("{type: %s, data: {%s}}", b.kind, strings.Join(parts, ", "))
}

func (a *auth) sketch() string {
	parts := []string{"type: " + a.kind}
	for _, m := range a.members {
		parts = append(parts, m.sketch())
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (m member) sketch() string {
	if strings.Contains(m.value, "{") {
		return m.name + ": '" + m.value + "'"
	}
	return m.name + ": " + m.value
}
