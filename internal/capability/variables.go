package capability

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

var mustache = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{\{\{?[#^/&]?\s*([^}\s]+)\s*\}?\}\}`) })

// place is a text of a request that may hold placeholders.
type place struct {
	text string
	at   int
	// secret: it is where a secret stands, by the format's own meaning.
	secret bool
}

func (p place) names() []string {
	var all []string
	for _, m := range mustache().FindAllStringSubmatch(p.text, -1) {
		all = append(all, m[1])
	}
	return all
}

// places are the texts from which a request is made.
func (c *consumed) places(o *operation) []place {
	all := []place{{text: c.baseURI, at: c.at}, {text: o.path, at: o.pathAt}}
	all = append(all, c.auth.places()...)
	for _, p := range slices.Concat(c.inputs, o.inputs) {
		all = append(all, place{text: p.value, at: p.at})
	}
	if o.body != nil {
		all = append(all, place{text: o.body.text, at: o.body.at})
		for _, m := range o.body.data {
			all = append(all, place{m.value, m.at, secretNames().MatchString(m.name)})
		}
	}
	return all
}

func (a *auth) places() []place {
	if a == nil {
		return nil
	}
	var all []place
	for _, m := range a.members {
		all = append(all, place{m.value, m.at, slices.Contains([]string{"username", "password", "token", "value"}, m.name)})
	}
	return all
}

// secretNames are the members of a request that are secrets wherever they are.
var secretNames = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(client_?secret|password|refresh_?token|access_?token|api_?key)$`)
})

// caller is who makes a request, and what it gives.
type caller struct {
	what  string
	asks  int // inputs of its own
	gives []string
	at    int
}

// variables reports placeholders that nothing fills, and secrets that stand in
// the document.
func (r *report) variables(d *document) {
	var keys []string
	for _, b := range d.binds {
		for _, k := range b.keys {
			keys = append(keys, k.name)
		}
	}
	for _, x := range d.exposes {
		for _, p := range x.auth.places() {
			r.bare(p)
			for _, name := range p.names() {
				if !slices.Contains(keys, name) {
					key := name[strings.LastIndex(name, ".")+1:]
					r.add(p.at, Error, "variable", "'{{"+key+"}}', and "+key+" under binds.keys", "the placeholder %s, which callers of %s authenticate with, is filled by nothing", "{{"+name+"}}", x.namespace)
				}
			}
		}
	}
	for i := range d.consumes {
		c := &d.consumes[i]
		if u, err := url.Parse(c.baseURI); err == nil && u.User != nil {
			r.add(c.at, Error, "secret", "authentication: {type: basic, username: '{{USER}}', password: '{{PASSWORD}}'}", "credentials stand in the baseUri of %s", c.namespace)
		}
		for j := range c.operations {
			o := &c.operations[j]
			callers := d.callers(c.namespace + "." + o.name)
			for _, p := range c.places(o) {
				r.bare(p)
				for _, name := range p.names() {
					r.variable(d, keys, callers, c, o, p, name)
				}
			}
		}
	}
}

// bare reports a secret that stands in the document as it is.
func (r *report) bare(p place) {
	if p.secret && p.text != "" && !strings.Contains(p.text, "{{") {
		r.add(p.at, Error, "secret", "'{{VARIABLE}}', and under binds.keys VARIABLE: NAME_OUTSIDE", "a secret stands in the document")
	}
}

func (r *report) variable(d *document, keys []string, callers []caller, c *consumed, o *operation, p place, name string) {
	if slices.Contains(keys, name) || slices.ContainsFunc(slices.Concat(c.inputs, o.inputs), func(in parameter) bool { return in.name == name && (in.value != "" || in.in == "environment") }) {
		return
	}
	if namespace, key, ok := strings.Cut(name, "."); ok && slices.ContainsFunc(d.binds, func(b bind) bool { return b.namespace == namespace }) {
		r.add(p.at, Error, "variable", "'{{"+key+"}}'", "the placeholder %s never resolves: a bind's keys are known by their own names, without its namespace, and this one is sent empty", "{{"+name+"}}")
		return
	}
	for _, who := range callers {
		if !slices.Contains(who.gives, name) && !slices.Contains(who.gives, stepOf(name)) {
			r.add(p.at, Error, "variable", "an inputParameter "+name+" on the "+who.what+", or "+name+" under binds.keys", "the placeholder %s is filled by nothing when the %s calls %s", "{{"+name+"}}", who.what, o.name)
		}
	}
}

func stepOf(name string) string {
	step, _, _ := strings.Cut(name, ".")
	return step
}

// callers are the actions that call an operation, with all that they give it.
func (d *document) callers(call string) []caller {
	var all []caller
	one := func(a action, what string) {
		var gives []string
		for _, in := range a.inputs {
			gives = append(gives, in.name)
		}
		for _, m := range a.with {
			gives = append(gives, m.name)
		}
		if a.call == call {
			all = append(all, caller{what, len(a.inputs), gives, a.at})
		}
		for _, s := range a.steps {
			with := slices.Clone(gives)
			for _, m := range s.with {
				with = append(with, m.name)
			}
			if s.call == call {
				all = append(all, caller{what, len(a.inputs), with, s.at})
			}
			gives = append(gives, s.name) // its answer is there for the next ones
		}
	}
	for _, a := range d.aggregates {
		for _, f := range a.functions {
			one(f.action, "function "+f.name)
		}
	}
	for _, x := range d.exposes {
		for _, t := range x.ends() {
			one(t.action, x.what(t))
		}
	}
	return all
}

// coverage reports operations that one adapter has and another lacks, and ends
// that take no input where there is some to give.
func (r *report) coverage(d *document) {
	reached := map[string][]string{} // operations by kind of adapter
	var kinds, all []string
	for _, x := range d.exposes {
		if x.kind != kindREST && x.kind != kindMCP || x.imported {
			continue
		}
		if !slices.Contains(kinds, x.kind) {
			kinds = append(kinds, x.kind)
		}
		for _, res := range x.resources {
			if res.forward { // it passes everything on
				return
			}
		}
		for _, t := range x.ends() {
			for _, call := range d.calls(t.action) {
				reached[x.kind] = append(reached[x.kind], call)
				if !slices.Contains(all, call) {
					all = append(all, call)
				}
			}
		}
	}
	for _, call := range all {
		for _, kind := range kinds {
			if _, o, ok := d.operation(call); ok && o != nil && !slices.Contains(reached[kind], call) {
				r.add(o.at, Warning, "coverage", "a "+kind+" end with call: "+call, "the operation %s is exposed, and not by the %s adapter", call, kind)
			}
		}
	}
	for _, call := range d.operations() {
		if _, o, _ := d.operation(call); len(kinds) > 0 && !slices.Contains(all, call) {
			r.add(o.at, Warning, "coverage", "an end with call: "+call+" on each adapter", "the operation %s is consumed, and no adapter exposes it", call)
		}
	}
}

// calls are the operations that an end makes.
func (d *document) calls(a action) []string {
	if a.ref != "" {
		if f, ok := d.function(a.ref); ok {
			return d.calls(f.action)
		}
	}
	var all []string
	if a.call != "" {
		all = append(all, a.call)
	}
	for _, s := range a.steps {
		if s.call != "" {
			all = append(all, s.call)
		}
	}
	return all
}
