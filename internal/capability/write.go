package capability

import (
	"strconv"

	"go.yaml.in/yaml/v4"
)

// write returns the document in its dialect, under a comment.
func (d *document) write(comment string) ([]byte, error) {
	w := writer{d.format.dialect()}
	root := &block{}
	root.set(string(d.format), d.format.Version())
	root.set("info", w.info(d.info))
	root.set("binds", list(d.binds, w.bind))
	inside := &block{}
	inside.set("consumes", list(d.consumes, w.consumed))
	inside.set("aggregates", list(d.aggregates, w.aggregate))
	inside.set("exposes", list(d.exposes, w.adapter))
	root.set("capability", inside)
	data, err := yaml.Dump(root.node(), yaml.WithIndent(2), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, err
	}
	return append([]byte("# "+comment+"\n"), data...), nil
}

// block is a mapping that is being written. Setting nothing leaves a key out.
type block struct{ content []*yaml.Node }

func (b *block) node() *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: b.content}
}

func (b *block) set(key string, value any) {
	var n *yaml.Node
	switch v := value.(type) {
	case string:
		if v != "" {
			n = text(v)
		}
	case int:
		if v != 0 {
			n = literal(strconv.Itoa(v))
		}
	case *bool:
		if v != nil {
			n = literal(strconv.FormatBool(*v))
		}
	case *block:
		if v != nil && len(v.content) > 0 {
			n = v.node()
		}
	case *yaml.Node:
		if v != nil && len(v.Content) > 0 {
			n = v
		}
	}
	if n != nil {
		b.content = append(b.content, text(key), n)
	}
}

// members sets each member in order.
func (b *block) members(all []member) *block {
	for _, m := range all {
		if m.literal {
			b.content = append(b.content, text(m.name), literal(m.value))
			continue
		}
		b.content = append(b.content, text(m.name), text(m.value))
	}
	return b
}

func text(s string) *yaml.Node {
	var n yaml.Node
	n.SetString(s)
	return &n
}

// literal is a number or a boolean.
func literal(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

func list[T any](all []T, write func(T) *block) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, one := range all {
		n.Content = append(n.Content, write(one).node())
	}
	return n
}

// writer writes the parts of a document in one dialect.
type writer struct{ dialect }

// named writes what has a name: with it in a list, or under it in a map.
func named[T any](w writer, all []T, name func(T) string, write func(T) *block) *yaml.Node {
	if w.lists {
		return list(all, func(one T) *block {
			b := &block{}
			b.set("name", name(one))
			b.content = append(b.content, write(one).content...)
			return b
		})
	}
	b := &block{}
	for _, one := range all {
		b.content = append(b.content, text(name(one)), write(one).node())
	}
	return b.node()
}

func (w writer) info(i info) *block {
	b := &block{}
	b.set(w.label, i.label)
	b.set("description", i.description)
	tags := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
	for _, t := range i.tags {
		tags.Content = append(tags.Content, text(t))
	}
	b.set("tags", tags)
	return b
}

func (w writer) bind(d bind) *block {
	b := &block{}
	b.set("namespace", d.namespace)
	b.set("description", d.description)
	b.set("location", d.location)
	b.set("keys", (&block{}).members(d.keys))
	return b
}

func (w writer) consumed(c consumed) *block {
	b := &block{}
	b.set("type", "http")
	b.set("namespace", c.namespace)
	b.set("description", c.description)
	b.set("baseUri", c.baseURI)
	if c.auth != nil {
		a := &block{}
		a.set("type", c.auth.kind)
		b.set("authentication", a.members(c.auth.members))
	}
	var byPath [][]operation
	for _, o := range c.operations {
		if n := len(byPath); n > 0 && byPath[n-1][0].resource == o.resource {
			byPath[n-1] = append(byPath[n-1], o)
			continue
		}
		byPath = append(byPath, []operation{o})
	}
	b.set("resources", named(w, byPath, func(o []operation) string { return o[0].resource }, func(o []operation) *block {
		r := &block{}
		r.set("path", o[0].path)
		r.set("operations", named(w, o, func(o operation) string { return o.name }, w.operation))
		return r
	}))
	return b
}

func (w writer) operation(o operation) *block {
	b := &block{}
	b.set("method", o.method)
	b.set("inputParameters", w.parameters(o.inputs))
	if o.body != nil {
		body := &block{}
		body.set("type", o.body.kind)
		body.content = append(body.content, text("data"), (&block{}).members(o.body.data).node())
		b.set("body", body)
	}
	b.set("outputParameters", w.parameters(o.outputs))
	return b
}

func (w writer) parameters(all []parameter) *yaml.Node {
	return named(w, all, func(p parameter) string { return p.name }, func(p parameter) *block {
		b := &block{}
		b.set("in", p.in)
		b.set("type", p.kind)
		b.set("description", p.description)
		if p.optional {
			b.set("required", new(bool)) // true where nothing is said
		}
		b.set("value", p.value)
		return b
	})
}

func (w writer) aggregate(a aggregate) *block {
	b := &block{}
	b.set(w.label, a.label)
	b.set("namespace", a.namespace)
	b.set(w.function, named(w, a.functions, func(f function) string { return f.name }, w.functionBlock))
	return b
}

func (w writer) functionBlock(f function) *block {
	b := &block{}
	b.set("description", f.description)
	semantics := &block{}
	semantics.set("safe", f.safe)
	semantics.set("idempotent", f.idempotent)
	semantics.set("cacheable", f.cacheable)
	b.set("semantics", semantics)
	w.act(b, f.action)
	return b
}

// act sets how an action comes about.
func (w writer) act(b *block, a action) {
	b.set("inputParameters", w.parameters(a.inputs))
	b.set("ref", a.ref)
	b.set("call", a.call)
	b.set("with", (&block{}).members(a.with))
	b.set("steps", named(w, a.steps, func(s step) string { return s.name }, func(s step) *block {
		b := &block{}
		b.set("type", s.kind)
		b.set("call", s.call)
		b.set("with", (&block{}).members(s.with))
		return b
	}))
}

func (w writer) adapter(a adapter) *block {
	b := &block{}
	b.set("type", a.kind)
	b.set("namespace", a.namespace)
	b.set("description", a.description)
	b.set("transport", a.transport)
	b.set("address", a.address)
	b.set("port", a.port)
	b.set("resources", named(w, a.resources, func(r resource) string { return r.name }, w.resource))
	b.set("tools", named(w, a.tools, toolName, w.tool))
	b.set("skills", named(w, a.skills, func(s skill) string { return s.name }, w.skill))
	return b
}

func toolName(t tool) string { return t.name }

func (w writer) resource(r resource) *block {
	b := &block{}
	b.set("path", r.path)
	b.set("description", r.description)
	b.set("operations", named(w, r.operations, toolName, w.tool))
	return b
}

func (w writer) tool(t tool) *block {
	b := &block{}
	b.set("method", t.method)
	b.set(w.label, t.label)
	b.set("description", t.description)
	h := &block{}
	h.set("readOnly", t.hints.readOnly)
	h.set("destructive", t.hints.destructive)
	h.set("idempotent", t.hints.idempotent)
	h.set("openWorld", t.hints.openWorld)
	b.set("hints", h)
	w.act(b, t.action)
	return b
}

func (w writer) skill(s skill) *block {
	b := &block{}
	b.set("description", s.description)
	b.set("location", s.location)
	b.set("tools", named(w, s.tools, func(t skillTool) string { return t.name }, func(t skillTool) *block {
		b := &block{}
		b.set("description", t.description)
		from := &block{}
		from.set("sourceNamespace", t.namespace)
		from.set("action", t.action)
		b.set("from", from)
		return b
	}))
	return b
}
