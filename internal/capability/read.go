package capability

import (
	"strconv"

	"go.yaml.in/yaml/v4"

	"bankauth/internal/yamlfile"
)

// plainNodes puts what aliases stand for in their place. The file is bounded:
// yamlfile has counted them.
func plainNodes(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return plainNodes(n.Alias)
	}
	for i, c := range n.Content {
		n.Content[i] = plainNodes(c)
	}
	return n
}

// parse reads what a document says. It takes lists and maps of named things
// alike and passes over what it does not know: whether a document is one is
// the schema's business.
func parse(format Format, root *yaml.Node) *document {
	root = plainNodes(root)
	r := reader{format.dialect()}
	d := &document{format: format}
	i := yamlfile.Child(root, "info")
	d.info = info{label: word(i, r.label), description: word(i, "description")}
	if i != nil {
		d.info.at = i.Line
	}
	for _, t := range items(yamlfile.Child(i, "tags")) {
		d.info.tags = append(d.info.tags, t.Value)
	}
	// The sections stand in the capability or, shared, at the root.
	for _, n := range []*yaml.Node{root, yamlfile.Child(root, "capability")} {
		for _, n := range items(yamlfile.Child(n, "binds")) {
			d.binds = append(d.binds, bind{namespace: word(n, "namespace"), description: word(n, "description"), location: word(n, "location"),
				keys: members(yamlfile.Child(n, "keys")), at: n.Line})
		}
		for _, n := range items(yamlfile.Child(n, "consumes")) {
			d.consumes = append(d.consumes, r.consumed(n))
		}
		for _, n := range items(yamlfile.Child(n, "aggregates")) {
			d.aggregates = append(d.aggregates, r.aggregate(n))
		}
		for _, n := range items(yamlfile.Child(n, "exposes")) {
			d.exposes = append(d.exposes, r.adapter(n))
		}
	}
	return d
}

// reader reads the parts of a document in one dialect.
type reader struct{ dialect }

// named is one of several things that have names.
type entry struct {
	name string
	node *yaml.Node
	at   int
}

func entries(n *yaml.Node) []entry {
	var all []entry
	switch {
	case n == nil:
	case n.Kind == yaml.SequenceNode:
		for _, c := range items(n) {
			all = append(all, entry{word(c, "name"), c, c.Line})
		}
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			all = append(all, entry{n.Content[i].Value, n.Content[i+1], n.Content[i].Line})
		}
	}
	return all
}

func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// word returns the text at key, or "".
func word(n *yaml.Node, key string) string {
	v := yamlfile.Child(n, key)
	if v == nil || v.Kind != yaml.ScalarNode {
		return ""
	}
	return v.Value
}

func truth(n *yaml.Node, key string) *bool {
	b, err := strconv.ParseBool(word(n, key))
	if err != nil {
		return nil
	}
	return &b
}

// members are the texts, numbers and booleans of a mapping.
func members(n *yaml.Node) []member {
	var all []member
	for _, e := range entries(n) {
		if n.Kind == yaml.MappingNode && e.node.Kind == yaml.ScalarNode {
			all = append(all, member{name: e.name, value: e.node.Value, literal: e.node.ShortTag() != "!!str", at: e.at})
		}
	}
	return all
}

func (r reader) consumed(n *yaml.Node) consumed {
	c := consumed{namespace: word(n, "namespace"), description: word(n, "description"), baseURI: word(n, "baseUri"), at: n.Line,
		auth: authOf(n), inputs: parameters(n, "inputParameters"),
		imported: yamlfile.Child(n, "import") != nil}
	if c.imported {
		c.namespace = word(n, "import")
		if as := word(n, "as"); as != "" {
			c.namespace = as
		}
	}
	for _, res := range entries(yamlfile.Child(n, "resources")) {
		for _, op := range entries(yamlfile.Child(res.node, "operations")) {
			o := operation{resource: res.name, path: word(res.node, "path"), name: op.name, method: word(op.node, "method"), description: word(op.node, "description"),
				inputs: append(parameters(res.node, "inputParameters"), parameters(op.node, "inputParameters")...), outputs: parameters(op.node, "outputParameters"),
				at: op.at, pathAt: yamlfile.KeyLine(res.node, "path")}
			if b := yamlfile.Child(op.node, "body"); b != nil {
				o.body = bodyIn(b)
				o.body.at = yamlfile.KeyLine(op.node, "body")
			}
			c.operations = append(c.operations, o)
		}
	}
	return c
}

func bodyIn(n *yaml.Node) *body {
	if n.Kind == yaml.ScalarNode {
		return &body{text: n.Value}
	}
	b := &body{kind: word(n, "type")}
	data := yamlfile.Child(n, "data")
	if data != nil && data.Kind == yaml.ScalarNode {
		b.text = data.Value
		return b
	}
	b.data = members(data)
	return b
}

func authOf(n *yaml.Node) *auth {
	v := yamlfile.Child(n, "authentication")
	if v == nil {
		return nil
	}
	a := &auth{kind: word(v, "type"), at: yamlfile.KeyLine(n, "authentication")}
	for _, m := range members(v) {
		if m.name != "type" {
			a.members = append(a.members, m)
		}
	}
	return a
}

func parameters(n *yaml.Node, key string) []parameter {
	var all []parameter
	for _, e := range entries(yamlfile.Child(n, key)) {
		p := parameter{name: e.name, in: word(e.node, "in"), kind: word(e.node, "type"), description: word(e.node, "description"), value: word(e.node, "value"), at: e.at}
		if required := truth(e.node, "required"); required != nil {
			p.optional = !*required
		}
		all = append(all, p)
	}
	return all
}

func (r reader) aggregate(n *yaml.Node) aggregate {
	a := aggregate{label: word(n, r.label), namespace: word(n, "namespace"), at: n.Line}
	for _, e := range entries(yamlfile.Child(n, r.function)) {
		s := yamlfile.Child(e.node, "semantics")
		a.functions = append(a.functions, function{action: r.action(e), safe: truth(s, "safe"), idempotent: truth(s, "idempotent"), cacheable: truth(s, "cacheable")})
	}
	return a
}

func (r reader) action(e entry) action {
	a := action{name: e.name, label: word(e.node, r.label), description: word(e.node, "description"), inputs: parameters(e.node, "inputParameters"),
		ref: word(e.node, "ref"), call: word(e.node, "call"), with: members(yamlfile.Child(e.node, "with")), at: e.at}
	for _, s := range entries(yamlfile.Child(e.node, "steps")) {
		a.steps = append(a.steps, step{kind: word(s.node, "type"), name: s.name, call: word(s.node, "call"), with: members(yamlfile.Child(s.node, "with")), at: s.at})
	}
	a.mock = a.ref == "" && a.call == "" && len(a.steps) == 0
	return a
}

func (r reader) adapter(n *yaml.Node) adapter {
	a := adapter{kind: word(n, "type"), namespace: word(n, "namespace"), address: word(n, "address"), transport: word(n, "transport"),
		description: word(n, "description"), auth: authOf(n), imported: yamlfile.Child(n, "import") != nil, at: n.Line}
	a.port, _ = strconv.Atoi(word(n, "port")) // 0 where it is none: the schema says so
	if a.kind == kindMCP && a.transport == "" {
		a.transport = "http"
	}
	if a.kind == kindREST {
		for _, e := range entries(yamlfile.Child(n, "resources")) {
			a.resources = append(a.resources, r.resource(e))
		}
	}
	for _, e := range entries(yamlfile.Child(n, "tools")) {
		h := yamlfile.Child(e.node, "hints")
		a.tools = append(a.tools, tool{action: r.action(e), hints: hints{truth(h, "readOnly"), truth(h, "destructive"), truth(h, "idempotent"), truth(h, "openWorld")}})
	}
	for _, key := range map[string][]string{kindMCP: {"resources", "prompts"}, kindControl: {"management", "observability"}}[a.kind] {
		if yamlfile.Child(n, key) != nil {
			a.others = append(a.others, key)
		}
	}
	for _, e := range entries(yamlfile.Child(n, "skills")) {
		a.skills = append(a.skills, r.skill(e))
	}
	return a
}

func (r reader) resource(e entry) resource {
	res := resource{name: e.name, path: word(e.node, "path"), description: word(e.node, "description"), inputs: parameters(e.node, "inputParameters"),
		forward: yamlfile.Child(e.node, "forward") != nil, at: e.at}
	for _, o := range entries(yamlfile.Child(e.node, "operations")) {
		res.operations = append(res.operations, tool{action: r.action(o), method: word(o.node, "method")})
	}
	return res
}

func (r reader) skill(e entry) skill {
	s := skill{name: e.name, description: word(e.node, "description"), location: word(e.node, "location"), at: e.at}
	for _, key := range []string{"license", "compatibility", "metadata", "allowed-tools", "argument-hint", "user-invocable", "disable-model-invocation"} {
		var v any
		if n := yamlfile.Child(e.node, key); n == nil || n.Decode(&v) != nil {
			continue
		}
		if s.front == nil {
			s.front = map[string]any{}
		}
		s.front[key] = v
	}
	for _, t := range entries(yamlfile.Child(e.node, "tools")) {
		from := yamlfile.Child(t.node, "from")
		s.tools = append(s.tools, skillTool{name: t.name, description: word(t.node, "description"), namespace: word(from, "sourceNamespace"),
			action: word(from, "action"), instruction: word(t.node, "instruction"), at: t.at})
	}
	return s
}
