package capability

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// references reports names that lead nowhere.
func (r *report) references(d *document) {
	for _, c := range d.consumes {
		for _, o := range again(c.operations, func(o operation) string { return o.name }) {
			r.add(o.at, Error, "names-unique", "name: another one", "%s has two operations of the name %s, and a call finds the first", c.namespace, o.name)
		}
	}
	for _, a := range d.aggregates {
		for _, f := range a.functions {
			r.action(d, a.namespace, f.action, "function "+a.namespace+"."+f.name)
		}
	}
	for _, x := range d.exposes {
		for _, t := range again(x.tools, toolName) {
			r.add(t.at, Error, "names-unique", "name: another one", "%s has two tools of the name %s", x.namespace, t.name)
		}
		for _, t := range x.ends() {
			r.action(d, x.namespace, t.action, x.what(t))
		}
		for _, s := range x.skills {
			for _, t := range s.tools {
				r.skillTool(d, s, t)
			}
		}
	}
	for _, b := range d.binds {
		if b.location != "" && !strings.HasPrefix(b.location, "file://") {
			r.add(b.at, Warning, "bind-location", "leave location out (the environment), or name a file://", "the bind %s has a location that the open engine accepts and cannot read", b.namespace)
		}
	}
}

// what is how a message speaks of an end.
func (a adapter) what(t tool) string {
	name := t.name
	if name == "" {
		name = t.ref
	}
	if a.kind == kindREST {
		return "REST operation " + name
	}
	return "tool " + name
}

// again returns those whose name an earlier one has already.
func again[T any](all []T, name func(T) string) []T {
	var twice []T
	seen := map[string]bool{"": true}
	for _, one := range all {
		if n := name(one); n != "" && seen[n] {
			twice = append(twice, one)
		}
		seen[name(one)] = true
	}
	return twice
}

// action checks where an action's answer comes from, and what it hands on.
func (r *report) action(d *document, namespace string, a action, what string) {
	if a.ref != "" {
		if _, ok := d.function(a.ref); !ok {
			r.add(a.at, Error, "ref", "ref: "+oneOf(d.functions()), "the %s refers to %s, and there is no such function", what, a.ref)
		}
	}
	calls := []step{{call: a.call, with: a.with, at: a.at}}
	for _, s := range append(calls, a.steps...) {
		if s.call != "" {
			if _, _, ok := d.operation(s.call); !ok {
				r.add(s.at, Error, "call", "call: "+oneOf(d.operations()), "the %s calls %s, and nothing of that name is consumed", what, s.call)
			}
		}
		r.with(d, namespace, a, s.with, what)
	}
}

var dotted = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([A-Za-z0-9-]+)\.([A-Za-z0-9_-]+)$`) })

// with checks what is handed on. NAMESPACE.INPUT is a reference only where
// NAMESPACE is the caller's own; anything else is sent as it stands.
func (r *report) with(d *document, namespace string, a action, with []member, what string) {
	for _, m := range with {
		parts := dotted().FindStringSubmatch(m.value)
		if parts == nil || m.literal {
			continue
		}
		own := parts[1] == namespace
		known := slices.ContainsFunc(a.inputs, func(p parameter) bool { return p.name == parts[2] })
		instead := fmt.Sprintf("%s: '{{%s}}', or %s: %s.%s", m.name, parts[2], m.name, namespace, parts[2])
		if !known {
			instead += ", and an inputParameter " + parts[2]
		}
		switch {
		case own && !known && a.ref == "":
			r.add(m.at, Error, "with", "an inputParameter "+parts[2]+" on the "+what, "the %s hands on %s, and has no such input", what, m.value)
		case !own && (known || slices.Contains(d.namespaces(), parts[1]) || slices.Contains([]string{"tools", "inputs", "inputParameters", "params", "parameters", "args", "arguments", "request", "rest", "mcp", "api"}, parts[1])):
			r.add(m.at, Error, "with", instead, "the %s hands on the text %q as it stands: a reference begins with its own namespace, %s", what, m.value, namespace)
		}
	}
}

func (r *report) skillTool(d *document, s skill, t skillTool) {
	if t.instruction != "" || t.namespace == "" {
		return
	}
	for _, x := range d.exposes {
		if x.namespace != t.namespace || x.kind != kindMCP && x.kind != kindREST {
			continue
		}
		var names []string
		for _, end := range x.ends() {
			names = append(names, end.name)
		}
		if !slices.Contains(names, t.action) {
			r.add(t.at, Error, "skill-from", "action: "+oneOf(names), "the tool %s of the skill %s comes from %s in %s, which has no such tool", t.name, s.name, t.action, t.namespace)
		}
		return
	}
	r.add(t.at, Error, "skill-from", "sourceNamespace: that of a rest or mcp adapter of this document", "the tool %s of the skill %s comes from %s, and no adapter has that namespace", t.name, s.name, t.namespace)
}

// function finds what a ref means.
func (d *document) function(ref string) (function, bool) {
	for _, a := range d.aggregates {
		for _, f := range a.functions {
			if a.namespace+"."+f.name == ref {
				return f, true
			}
		}
	}
	return function{}, false
}

func (d *document) functions() []string {
	var all []string
	for _, a := range d.aggregates {
		for _, f := range a.functions {
			all = append(all, a.namespace+"."+f.name)
		}
	}
	return all
}

// operation finds what a call means. An API that another file describes has
// whatever is asked of it; its operation is nil.
func (d *document) operation(call string) (*consumed, *operation, bool) {
	namespace, name, _ := strings.Cut(call, ".")
	for i := range d.consumes {
		c := &d.consumes[i]
		if c.namespace != namespace {
			continue
		}
		if c.imported {
			return c, nil, true
		}
		for j := range c.operations {
			if c.operations[j].name == name {
				return c, &c.operations[j], true
			}
		}
	}
	return nil, nil, false
}

func (d *document) operations() []string {
	var all []string
	for _, c := range d.consumes {
		for _, o := range c.operations {
			all = append(all, c.namespace+"."+o.name)
		}
	}
	return all
}

func (d *document) namespaces() []string {
	var all []string
	for _, c := range d.consumes {
		all = append(all, c.namespace)
	}
	for _, a := range d.aggregates {
		all = append(all, a.namespace)
	}
	for _, x := range d.exposes {
		all = append(all, x.namespace)
	}
	return all
}

func oneOf(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return "none is there; add it"
	}
	return "one of " + strings.Join(names, ", ")
}
