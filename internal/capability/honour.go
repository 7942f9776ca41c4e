package capability

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"bankauth/schema"
)

// honourer turns a document into a deployment and notes what cannot be one.
type honourer struct {
	doc       *document
	providers []*schema.Provider
	cannot    []string
}

func (h *honourer) no(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(h.cannot, text) {
		h.cannot = append(h.cannot, text)
	}
}

func (h *honourer) deployment() *Deployment {
	d := &Deployment{Format: h.doc.format}
	for _, b := range h.doc.binds {
		if b.location != "" {
			h.no("the bind %s has a location; credentials come from bankauth's own settings", b.namespace)
		}
	}
	stdio := 0
	for _, x := range h.doc.exposes {
		if x.imported {
			h.no("an adapter is imported from another file")
			continue
		}
		if x.kind == kindMCP && x.port == 0 {
			if stdio++; stdio > 1 {
				h.no("the adapter %s is another one over stdio, of which a process has one (line %d)", x.namespace, x.at)
			}
		}
		d.Adapters = append(d.Adapters, h.adapter(x))
	}
	if len(h.doc.exposes) == 0 {
		h.no("it exposes nothing")
	}
	return d
}

func (h *honourer) adapter(x adapter) Adapter {
	a := Adapter{Kind: x.kind, Namespace: x.namespace, Address: x.address, Port: x.port, Description: x.description}
	if a.Address == "" {
		a.Address = address
	}
	if x.auth != nil {
		h.no("the adapter %s has an authentication of its own; callers are bankauth's clients", x.namespace)
	}
	for _, what := range x.others {
		h.no("the %s adapter has %s", x.kind, what)
	}
	for _, t := range x.tools {
		a.Tools = h.tool(a.Tools, x, t)
	}
	at := map[string]string{}
	for _, res := range x.resources {
		if res.forward {
			h.no("the REST resource %s forwards whatever comes", res.name)
		}
		for _, t := range res.operations {
			had := len(a.Tools)
			if a.Tools = h.tool(a.Tools, x, t); len(a.Tools) > had {
				a.Tools[had].Method, a.Tools[had].Path = t.method, res.path
			}
			if other, taken := at[res.path]; taken {
				h.no("the %s is at %s, and so is the %s (line %d)", x.what(t), res.path, other, t.at)
			}
			at[res.path] = x.what(t)
			for _, in := range append(slices.Clone(res.inputs), t.inputs...) {
				if in.in != "body" {
					h.no("the %s takes %s from the %s, and bankauth takes arguments from a JSON body alone (line %d)", x.what(t), in.name, in.in, in.at)
				}
			}
			if t.method != "POST" {
				h.no("the %s is a %s, and a call that changes something is a POST", x.what(t), t.method)
			}
		}
		switch {
		case strings.Contains(res.path, "{"):
			h.no("the path of the REST resource %s has a parameter", res.name)
		case !servable().MatchString(res.path):
			h.no("the path of the REST resource %s is not made of plain names (line %d)", res.name, res.at)
		case res.path == "/health/live", res.path == "/health/ready":
			h.no("the path of the REST resource %s is where bankauth says how it is (line %d)", res.name, res.at)
		}
	}
	taken := map[string]bool{}
	for _, s := range x.skills {
		if taken[s.name] {
			h.no("the adapter %s has two skills named %s (line %d)", x.namespace, s.name, s.at)
		}
		taken[s.name] = true
		a.Skills = append(a.Skills, h.skill(s))
	}
	return a
}

// servable is a path that means one thing to every client and server.
var servable = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^/$|^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?$`) })

func (h *honourer) skill(s skill) Skill {
	if s.location != "" {
		h.no("the skill %s has a location; bankauth serves no files but its own", s.name)
	}
	out := Skill{Name: s.name, Description: s.description, Front: s.front}
	for _, t := range s.tools {
		if t.instruction != "" {
			h.no("the tool %s of the skill %s is an instruction in a file", t.name, s.name)
		}
		out.Tools = append(out.Tools, SkillTool{t.name, t.description, t.namespace, t.action})
	}
	return out
}

// tool appends the end of an adapter, if it is one of ours.
func (h *honourer) tool(all []Tool, x adapter, t tool) []Tool {
	what, does := x.what(t), t.action
	does.with = own(x.namespace, t.with)
	out := Tool{Name: t.name, Title: t.label, Description: t.description, Hints: Hints{t.hints.readOnly, t.hints.destructive, t.hints.idempotent, t.hints.openWorld}, Line: t.at}
	asked, says := t.inputs, x.kind == kindMCP
	if t.ref != "" {
		f, _ := h.doc.function(t.ref) // Check has found it
		namespace, _, _ := strings.Cut(t.ref, ".")
		with := does.with
		does = f.action
		does.with = append(own(namespace, f.with), with...)
		out.inherit(f)
		if len(asked) == 0 {
			asked, says = f.inputs, true
		}
	}
	m, sent, ok := h.operation(does, what)
	if !ok {
		return all
	}
	out.Fixed = h.fixed(what, sent, m)
	out.Provider, out.Environment, out.Tool = m[0].provider.Name, m[0].environment, m[0].op.Tool
	if len(m) == 1 {
		out.Grant = m[0].grant.Name
	}
	h.inputs(what, asked, m)
	for _, in := range asked {
		out.Inputs = append(out.Inputs, Input{in.name, in.kind, in.description, says && !in.optional})
	}
	return append(all, out)
}

// inherit takes from a function what its end does not say itself.
func (t *Tool) inherit(f function) {
	if t.Name == "" {
		t.Name = f.name
	}
	if t.Description == "" {
		t.Description = f.description
	}
	if t.Hints.Idempotent == nil {
		t.Hints.Idempotent = f.idempotent
	}
	if f.safe == nil {
		return
	}
	if t.Hints.ReadOnly == nil {
		t.Hints.ReadOnly = f.safe
	}
	if t.Hints.Destructive == nil && *f.safe {
		t.Hints.Destructive = new(bool)
	}
}

// own writes references to a caller's own inputs, NAMESPACE.INPUT, as
// placeholders.
func own(namespace string, with []member) []member {
	with = slices.Clone(with)
	for i, m := range with {
		if input, ok := strings.CutPrefix(m.value, namespace+"."); ok {
			with[i].value = placeholder(input)
		}
	}
	return with
}

// operation finds which of our operations an action is: one tool of one
// provider, with each grant that the caller may still choose, and what the
// request sends.
func (h *honourer) operation(a action, what string) (last []match, sent []member, ok bool) {
	if a.mock {
		h.no("the %s answers with values of its own", what)
		return nil, nil, false
	}
	calls := a.steps
	if a.call != "" {
		calls = []step{{kind: "call", call: a.call}}
	}
	for i, s := range calls {
		if s.kind != "call" {
			h.no("the %s has a step of the kind %s", what, s.kind)
			return nil, nil, false
		}
		last, sent = h.meant(s.call, append(slices.Clone(a.with), s.with...))
		switch {
		case len(last) == 0:
			h.no("the %s calls %s, which is no operation of %s", what, s.call, enumerate(names(h.providers)))
			return nil, nil, false
		case ambiguous(last):
			h.no("the %s calls %s, which may mean several operations: say %s in its body", what, s.call, grantType)
			return nil, nil, false
		case i < len(calls)-1 && last[0].op.Tool != schema.CreateAccessToken, i > 0 && last[0].op.Auth.Style != schema.AuthBearer:
			h.no("the %s calls several operations", what)
			return nil, nil, false
		}
	}
	return last, sent, true
}

// meant are the operations that a call may mean, and what it sends, given what
// goes with it.
func (h *honourer) meant(call string, with []member) ([]match, []member) {
	c, o, _ := h.doc.operation(call)
	if o == nil {
		return nil, nil
	}
	as := *o
	if o.body != nil {
		b := *o.body
		b.data = slices.Clone(b.data)
		for i, m := range b.data {
			for _, w := range with {
				if m.value == placeholder(w.name) {
					b.data[i].value = w.value
				}
			}
		}
		as.body = &b
	}
	all := fits(&as, matches(c, &as, h.providers))
	if as.body == nil || as.body.data == nil {
		return all, nil
	}
	// One address for two tools: what sends no refresh token renews nothing.
	return slices.DeleteFunc(all, func(m match) bool {
		f := m.op.HeldField(schema.HeldRefreshToken)
		return m.op.Tool == schema.RefreshToken && !slices.ContainsFunc(as.body.data, func(have member) bool { return have.name == f.Name })
	}), as.body.data
}

// fixed are the arguments that the request names, and refuses what the tool
// would send otherwise.
func (h *honourer) fixed(what string, sent []member, m []match) map[string]any {
	var fixed map[string]any
	for _, have := range sent {
		var f *schema.Field
		for i := range m[0].op.Fields {
			if m[0].op.Fields[i].Name == have.name {
				f = &m[0].op.Fields[i]
			}
		}
		switch {
		case f == nil:
			h.no("the %s sends %s, which %s does not know", what, have.name, m[0].provider.Title)
		case f.Name == grantType, !slices.ContainsFunc(m, func(m match) bool { return slices.Contains(m.grant.Arguments, f.Argument) }):
		case have.value == "", have.value == placeholder(f.Argument):
		case strings.Contains(have.value, "{{"):
			h.no("the %s fills %s with something else than the input %s", what, have.name, f.Argument)
		default:
			if fixed == nil {
				fixed = map[string]any{}
			}
			fixed[f.Argument] = have.value
			if f.Type != "string" {
				var v any
				if json.Unmarshal([]byte(have.value), &v) != nil {
					h.no("the %s fills %s with what is no %s", what, have.name, f.Type)
				}
				fixed[f.Argument] = v
			}
		}
	}
	return fixed
}

// ambiguous reports whether those are not all the same tool of one provider.
func ambiguous(all []match) bool {
	return slices.ContainsFunc(all, func(m match) bool {
		return m.op.Tool != all[0].op.Tool || m.provider != all[0].provider || m.environment != all[0].environment
	})
}

// inputs refuses those that the tool does not know.
func (h *honourer) inputs(what string, asked []parameter, m []match) {
	known := []string{"force"}
	if m[0].op.Tool == schema.CreateUser {
		known = nil
	}
	if len(m) > 1 {
		known = append(known, grantType)
	}
	for _, one := range m {
		ours, _ := inputs(one.op, one.grant)
		for _, in := range ours {
			known = append(known, in.name)
		}
	}
	for _, in := range asked {
		if !slices.Contains(known, in.name) {
			h.no("the %s has an input %s, and %s takes %s", what, in.name, m[0].op.Tool, takes(known))
		}
	}
}

func takes(all []string) string {
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 0 {
		return "none"
	}
	return enumerate(all)
}

func names(providers []*schema.Provider) []string {
	var all []string
	for _, p := range providers {
		all = append(all, p.Name)
	}
	return all
}
