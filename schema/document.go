package schema

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/pb33f/libopenapi/datamodel"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
	low "github.com/pb33f/libopenapi/datamodel/low/v3"
	"github.com/pb33f/libopenapi/orderedmap"
	"go.yaml.in/yaml/v4"

	"bankauth/internal/yamlfile"
)

// Compile reads a provider's document and its overlay. The error lists every
// mistake found, each with its file and line.
func Compile(docFile string, doc []byte, overlayFile string, overlayData []byte) (p *Provider, err error) {
	// The libraries below have not seen every file that somebody may write.
	defer func() {
		if e := recover(); e != nil {
			p, err = nil, &Mistake{File: docFile, Text: "it cannot be read with this overlay: something in it is not what OpenAPI or YAML has there"}
		}
	}()
	o, err := readOverlay(overlayFile, overlayData)
	if err != nil {
		return nil, err
	}
	written, err := readSource(docFile, doc, "an OpenAPI document: it must begin with openapi: 3.1.0 or so")
	if err != nil {
		return nil, err
	}
	if err := written.isOpenAPI(); err != nil {
		return nil, err
	}
	if text := bytes.TrimSpace(doc); len(text) > 0 && text[0] == '{' {
		if doc, err = blocks(docFile, doc); err != nil {
			return nil, err
		}
	}
	data, err := o.apply(docFile, doc)
	if err != nil {
		return nil, err
	}
	merged, err := readSource(docFile, data, "an OpenAPI document with this overlay")
	if err != nil {
		return nil, err
	}
	r := &reader{file: docFile, written: written, merged: merged, overlay: o, nodes: map[*Operation]func(*yaml.Node) bool{}}
	r.audit()
	if err := r.wrong.err(); err != nil {
		return nil, err
	}
	model, err := model(docFile, data)
	if err != nil {
		return nil, err
	}
	p = r.provider(model)
	if err := r.wrong.err(); err != nil {
		return nil, err
	}
	return p, nil
}

func blocks(file string, doc []byte) ([]byte, error) {
	again, err := readSource(file, doc, "an OpenAPI document")
	if err != nil {
		return nil, err
	}
	doc, err = again.block()
	if err != nil {
		return nil, &Mistake{File: file, Text: "it cannot be read as YAML"}
	}
	return doc, nil
}

// model parses a merged document; nothing outside it is fetched, and nothing
// is printed: libopenapi's own logger writes to stdout. It does what the
// methods of libopenapi.Document do for version 3: that package would bring
// version 2, Arazzo and the comparing of documents into the program.
func model(file string, data []byte) (*v3.Document, error) {
	configuration := &datamodel.DocumentConfiguration{
		AllowFileReferences: false, AllowRemoteReferences: false, SkipCircularReferenceCheck: true,
		Logger: slog.New(slog.DiscardHandler),
	}
	info, err := datamodel.ExtractSpecInfoWithConfig(data, configuration)
	if err == nil && !strings.HasPrefix(info.SpecFormat, datamodel.OAS3) {
		err = fmt.Errorf("it is of the kind %s", info.SpecFormat)
	}
	if err != nil {
		return nil, &Mistake{File: file, Text: "this is not an OpenAPI document: " + yamlfile.FirstLine(err)}
	}
	document, err := low.CreateDocumentFromConfig(info, configuration)
	if err != nil {
		return nil, &Mistake{File: file, Text: "reading the document: " + yamlfile.FirstLine(err)}
	}
	return v3.NewDocument(document), nil
}

// reader turns a merged document into a Provider and gathers what is wrong.
type reader struct {
	file    string
	written *source // the document as its author wrote it
	merged  *source // with the overlay applied
	overlay *overlay
	wrong   mistakes
	visited int                                  // schemas; see properties
	nodes   map[*Operation]func(*yaml.Node) bool // finds the operation's own extension in the overlay
}

// place is a part of the document: how we call it, and its path.
type place struct {
	text string
	path []string
}

func (at place) in(steps ...string) place {
	return place{at.text, slices.Concat(at.path, steps)}
}

// audit refuses what is wrong wherever it stands.
func (r *reader) audit() {
	r.merged.audit(func(path []string, key string, n *yaml.Node, text string) {
		if key != "$ref" {
			r.wrong.add(r.overlay.file, r.overlay.line(key, within(n)), "%s", text)
			return
		}
		r.wrong.add(r.file, r.written.line(append(path, key)...), "%s", text)
	})
}

// refuse adds a mistake in the document.
func (r *reader) refuse(at place, format string, args ...any) {
	r.wrong.add(r.file, r.written.line(at.path...), "%s: %s", at.text, fmt.Sprintf(format, args...))
}

// providerExtension is x-bankauth-provider as the overlay says it.
type providerExtension struct {
	Name         string    `yaml:"name"`
	Title        string    `yaml:"title"`
	Environments yaml.Node `yaml:"environments"` // a mapping whose order counts
	Credentials  struct {
		ClientID     string `yaml:"client_id"`
		ClientSecret string `yaml:"client_secret"`
		Help         string `yaml:"help"`
	} `yaml:"credentials"`
	RequestID string `yaml:"request_id"`
	Rotation  struct {
		Mode  string `yaml:"mode"`
		Grace int    `yaml:"grace"`
	} `yaml:"rotation"`
	Errors struct {
		Codes []string `yaml:"codes"`
		Rules []Rule   `yaml:"rules"`
	} `yaml:"errors"`
}

func (r *reader) provider(d *v3.Document) *Provider {
	var x providerExtension
	if !r.decode(keyProvider, extension(d.Extensions, keyProvider), &x) {
		r.wrong.add(r.overlay.file, 1, "no action gives the root ($) an %s", keyProvider)
		return nil
	}
	p := &Provider{
		Name: x.Name, Title: x.Title, Document: r.file, RequestID: x.RequestID,
		Credentials: Credentials(x.Credentials),
		Rotation:    Rotation(x.Rotation),
		Errors:      Errors(x.Errors),
	}
	if p.Credentials.ClientID == "" {
		p.Credentials.ClientID = HeldClientID
	}
	if p.Credentials.ClientSecret == "" {
		p.Credentials.ClientSecret = HeldClientSecret
	}
	if (p.Rotation.Mode == "grace") != (p.Rotation.Grace > 0) {
		r.wrong.add(r.overlay.file, r.overlay.line(keyProvider, nil, "rotation"), "rotation: grace is needed with mode grace and with no other")
	}
	r.environments(p, d.Servers, &x.Environments)
	r.operations(p, d)
	r.refersToGrants(p)
	return p
}

// environments takes the servers that the overlay names; each must be one
// that the document lists, its variables filled in.
func (r *reader) environments(p *Provider, servers []*v3.Server, named *yaml.Node) {
	for i := 0; i+1 < len(named.Content); i += 2 {
		name, url := named.Content[i].Value, named.Content[i+1].Value
		found := false
		for _, s := range servers {
			urls, _ := choices(s)
			found = found || slices.Contains(urls, url)
		}
		if !found {
			r.wrong.add(r.overlay.file, r.overlay.line(keyProvider, nil, "environments", name), "environments.%s: %s is no server of %s", name, url, r.file)
		}
		p.Environments = append(p.Environments, Environment{Name: name, URL: url})
	}
	for _, s := range servers {
		urls, all := choices(s)
		p.OwnServers = p.OwnServers || !all || slices.ContainsFunc(urls, func(url string) bool {
			return !slices.ContainsFunc(p.Environments, func(e Environment) bool { return e.URL == url })
		})
	}
}

// choices returns the addresses of s, and whether these are all: a variable
// without an enum takes any text.
func choices(s *v3.Server) (urls []string, all bool) {
	urls, all = []string{strings.TrimSuffix(s.URL, "/")}, true
	if s.Variables == nil {
		return urls, all
	}
	for name, variable := range s.Variables.FromOldest() {
		all = all && len(variable.Enum) > 0
		var next []string
		for _, url := range urls {
			for _, value := range append([]string{variable.Default}, variable.Enum...) {
				next = append(next, strings.ReplaceAll(url, "{"+name+"}", value))
			}
		}
		urls = next
	}
	return urls, all
}

func (r *reader) operations(p *Provider, d *v3.Document) {
	if d.Paths != nil && d.Paths.PathItems != nil {
		for path, item := range d.Paths.PathItems.FromOldest() {
			for method, op := range item.GetOperations().FromOldest() {
				x := operationExtension{node: extension(op.Extensions, keyOperation)}
				if r.decode(keyOperation, x.node, &x) {
					p.Operations = append(p.Operations, r.operation(path, strings.ToUpper(method), item, op, &x)...)
				}
			}
		}
	}
	if len(p.Operations) == 0 {
		r.wrong.add(r.overlay.file, 1, "no action gives an operation an %s", keyOperation)
	}
	for i, op := range p.Operations {
		for _, g := range op.Grants {
			for _, other := range p.Operations[:i] {
				if _, twice := other.grant(g.Name); twice && other.Tool == op.Tool {
					r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, r.nodes[op], "serves"), "%s with grant %q is served by both %s and %s", op.Tool, g.Name, other.Path, op.Path)
				}
			}
		}
	}
}

// refersToGrants checks the names of tools and grants that the overlay uses
// outside the operations that define them.
func (r *reader) refersToGrants(p *Provider) {
	known := map[string]bool{}
	for _, op := range p.Operations {
		for _, g := range op.Grants {
			known[g.Name] = true
		}
	}
	for i, rule := range p.Errors.Rules {
		if rule.Grant != "" && !known[rule.Grant] {
			r.wrong.add(r.overlay.file, r.overlay.line(keyProvider, nil, "errors", "rules", fmt.Sprint(i), "grant"), "errors.rules.%d: no operation offers the grant %q", i, rule.Grant)
		}
	}
	for _, op := range p.Operations {
		r.bearer(p, op)
		r.revoked(p, op)
	}
}

// bearer checks that the token with which op is called can be had.
func (r *reader) bearer(p *Provider, op *Operation) {
	if op.Auth.Style != AuthBearer {
		return
	}
	line := r.overlay.line(keyOperation, r.nodes[op], "auth", "grant")
	_, g, ok := p.Operation(CreateAccessToken, op.Auth.Grant)
	switch {
	case op.Tool != CreateUser && op.Tool != Revoke:
		r.wrong.add(r.overlay.file, line, "auth: style bearer is for create_user and revoke alone")
	case !ok:
		r.wrong.add(r.overlay.file, line, "auth: create_access_token does not offer the grant %q", op.Auth.Grant)
	case len(g.Required) > 0:
		r.wrong.add(r.overlay.file, line, "auth: the grant %q needs %s, which nobody gives there; fix it in the grant (fixed: {…})", op.Auth.Grant, strings.Join(g.Required, ", "))
	}
}

// revoked checks that there are tokens of the grants whose tokens op ends.
func (r *reader) revoked(p *Provider, op *Operation) {
	if op.Tool != Revoke {
		return
	}
	for _, g := range op.Grants {
		if g.Name != "" && !slices.Contains(p.Grants(CreateAccessToken), g.Name) {
			r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, r.nodes[op], "grants", g.Name), "grants: revoke names the grant %q, which create_access_token does not offer", g.Name)
		}
	}
}

func (op *Operation) grant(name string) (*Grant, bool) {
	for i := range op.Grants {
		if op.Grants[i].Name == name {
			return &op.Grants[i], true
		}
	}
	return nil, false
}

// extension returns the extension called key, or nil.
func extension(all *orderedmap.Map[string, *yaml.Node], key string) *yaml.Node {
	if all == nil {
		return nil
	}
	n, _ := all.Get(key)
	return n
}

// decode decodes an extension. The vocabulary has passed each update by
// itself; only two updates that contradict each other can fail here.
func (r *reader) decode(key string, n *yaml.Node, into any) bool {
	if n == nil {
		return false
	}
	if err := n.Decode(into); err != nil {
		r.wrong.add(r.overlay.file, r.overlay.line(key, within(n)), "%s: the updates of this place together make no sense", key)
		return false
	}
	return true
}
