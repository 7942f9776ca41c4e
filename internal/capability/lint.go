package capability

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// lint applies the format's own rules, those that the schema does not hold. A
// rule's name is that of the published ruleset, without its prefix.
func (r *report) lint(d *document) {
	r.namespaces(d)
	r.prose(d)
	for _, c := range d.consumes {
		if strings.HasSuffix(c.baseURI, "/") {
			r.add(c.at, Warning, "consumes-baseuri-no-trailing-slash", "baseUri without it", "the baseUri of %s ends with a slash, and the paths begin with one", c.namespace)
		}
		if c.description == "" && !c.imported {
			r.add(c.at, Warning, "consumes-description", "description: what this API is", "%s has no description, which tells an agent what it reaches there", c.namespace)
		}
		for _, o := range c.operations {
			if path, _, has := strings.Cut(o.path, "?"); has {
				r.add(o.pathAt, Warning, "consumed-resource-no-query-in-path", "path: "+path+", and inputParameters with in: query", "the path of %s has a query in it", o.resource)
			}
		}
	}
	r.adapters(d)
	for _, a := range d.aggregates {
		for _, f := range a.functions {
			r.semantics(d, a, f)
		}
	}
}

// namespaces must mean one thing.
func (r *report) namespaces(d *document) {
	seen := map[string]string{}
	one := func(namespace, what, ending string, at int) {
		if namespace == "" {
			return
		}
		if other, twice := seen[namespace]; twice {
			r.add(at, Error, "namespaces-unique", namespace+"-"+ending+" for the "+what, "the namespace %s is that of a %s and of a %s; references could mean either", namespace, other, what)
		}
		seen[namespace] = what
	}
	for _, b := range d.binds {
		one(b.namespace, "bind", "env", b.at)
	}
	for _, c := range d.consumes {
		one(c.namespace, "consumed API", "api", c.at)
	}
	for _, a := range d.exposes {
		one(a.namespace, a.kind+" adapter", a.kind, a.at)
	}
}

// prose looks for what a browser would run where a description is shown.
func (r *report) prose(d *document) {
	one := func(text string, at int) {
		if strings.Contains(text, "<script") {
			r.add(at, Error, "no-script-tags-in-markdown", "plain words", "a description holds a script tag, which a page that shows it would run")
		}
		if strings.Contains(text, "eval(") {
			r.add(at, Error, "no-eval-in-markdown", "plain words", "a description holds a call of eval, which a page that shows it might run")
		}
	}
	one(d.info.label, d.info.at)
	one(d.info.description, d.info.at)
	for _, c := range d.consumes {
		one(c.description, c.at)
	}
	for _, a := range d.exposes {
		one(a.description, a.at)
		for _, res := range a.resources {
			one(res.description, res.at)
		}
		for _, t := range a.ends() {
			one(t.description, t.at)
		}
		for _, s := range a.skills {
			one(s.description, s.at)
		}
	}
}

func (r *report) adapters(d *document) {
	ports := map[int]adapter{}
	controls := 0
	for _, a := range d.exposes {
		if strings.HasSuffix(a.address, "example.com") {
			r.add(a.at, Warning, "address-not-example", "address: 127.0.0.1", "the %s adapter listens on a placeholder's address", a.kind)
		}
		if a.auth != nil && a.transport == "stdio" {
			r.add(a.auth.at, Warning, "mcp-auth-stdio-conflict", "leave authentication out", "%s speaks over stdio, where whoever started it is the caller", a.namespace)
		}
		if other, taken := ports[a.port]; a.port != 0 && taken && !(a.kind == kindControl && other.kind == kindControl) {
			rule, says := "ports", "the %s adapter and the %s adapter cannot both listen on port %d"
			if a.kind == kindControl || other.kind == kindControl {
				rule = "control-port-singleton-and-unique"
			}
			r.add(a.at, Error, rule, "port: another one", says, other.kind, a.kind, a.port)
		}
		ports[a.port] = a
		if a.kind == kindControl {
			if controls++; controls > 1 {
				r.add(a.at, Error, "control-port-singleton-and-unique", "keep one", "there is more than one control adapter")
			}
			if !local(a.address) {
				r.add(a.at, Warning, "control-address-localhost-warning", "address: localhost", "the control adapter can be reached from other machines, and shows what goes on inside")
			}
			if d.format == Ikanos {
				r.add(a.at, Warning, "exposes-namespace-required", "leave the control adapter out, or lint without that rule", "the published rules want a namespace on a control adapter, and the schema of %s refuses one", Ikanos.Version())
			}
		}
		for _, res := range a.resources {
			if len(res.path) > 1 && strings.HasSuffix(res.path, "/") {
				r.add(res.at, Warning, "rest-resource-path-no-trailing-slash", "path: "+strings.TrimRight(res.path, "/"), "the path of %s ends with a slash", res.name)
			}
			if path, _, has := strings.Cut(res.path, "?"); has {
				r.add(res.at, Warning, "rest-resource-path-no-query", "path: "+path+", and inputParameters with in: query", "the path of %s has a query in it", res.name)
			}
			if res.description == "" {
				r.add(res.at, Warning, "rest-resource-description", "description: what it is for", "the REST resource %s has no description", res.name)
			}
		}
	}
}

func local(address string) bool {
	if address == "" || address == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.IsLoopback()
}

// semantics must agree with what adapters make of a function.
func (r *report) semantics(d *document, a aggregate, f function) {
	if f.safe == nil || !*f.safe {
		return
	}
	ref := a.namespace + "." + f.name
	for _, x := range d.exposes {
		for _, t := range x.ends() {
			switch {
			case t.ref != ref:
			case t.hints.destructive != nil && *t.hints.destructive, t.hints.readOnly != nil && !*t.hints.readOnly:
				r.add(t.at, Warning, "aggregate-semantics-consistency", "hints that agree, or safe: false on "+ref, "%s is said to change something, and its function %s to be safe", t.name, ref)
			case slices.Contains([]string{"POST", "PUT", "PATCH", "DELETE"}, t.method):
				r.add(t.at, Warning, "aggregate-semantics-consistency", "method: GET, or safe: false on "+ref, "%s is a %s, and its function %s is said to be safe", t.name, t.method, ref)
			}
		}
	}
}

// ends are the tools of an MCP adapter, or the operations of a REST one.
func (a adapter) ends() []tool {
	all := slices.Clone(a.tools)
	for _, res := range a.resources {
		all = append(all, res.operations...)
	}
	return all
}

// hostPath splits a base URI; "" where it is none.
func hostPath(base string) (host, path string) {
	u, err := url.Parse(base)
	if err != nil {
		return "", ""
	}
	return u.Host, strings.TrimRight(u.Path, "/")
}
