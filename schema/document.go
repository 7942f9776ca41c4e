package schema

import (
	"fmt"
	"strings"

	"github.com/pb33f/libopenapi"
	"github.com/pb33f/libopenapi/datamodel"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
	"github.com/pb33f/libopenapi/orderedmap"
	"go.yaml.in/yaml/v4"
)

// Compile reads a provider's document and its overlay. The error lists every
// mistake found, each with its file and line.
func Compile(docFile string, doc []byte, overlayFile string, overlayData []byte) (*Provider, error) {
	o, err := readOverlay(overlayFile, overlayData)
	if err != nil {
		return nil, err
	}
	merged, err := o.apply(docFile, doc)
	if err != nil {
		return nil, err
	}
	model, err := model(docFile, merged)
	if err != nil {
		return nil, err
	}
	r := &reader{file: docFile, overlay: o}
	p := r.provider(model)
	if err := r.wrong.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// model parses an OpenAPI 3.x document; nothing outside it is fetched.
func model(file string, data []byte) (*v3.Document, error) {
	document, err := libopenapi.NewDocumentWithConfiguration(data, &datamodel.DocumentConfiguration{
		AllowFileReferences: false, AllowRemoteReferences: false,
	})
	if err != nil {
		return nil, &Mistake{File: file, Text: "this is not an OpenAPI document: " + firstLine(err)}
	}
	m, err := document.BuildV3Model()
	if err != nil {
		return nil, &Mistake{File: file, Text: "reading the document: " + firstLine(err)}
	}
	return &m.Model, nil
}

// reader turns a merged document into a Provider and gathers what is wrong.
type reader struct {
	file    string
	overlay *overlay
	wrong   mistakes
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
	if !r.extension(d.Extensions, keyProvider, &x) {
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
			found = found || serves(s, url)
		}
		if !found {
			r.wrong.add(r.overlay.file, r.overlay.line(keyProvider, nil, "environments", name), "environments.%s: %s is no server of %s", name, url, r.file)
		}
		p.Environments = append(p.Environments, Environment{Name: name, URL: url})
	}
}

// serves reports whether url is s with some choice of its variables.
func serves(s *v3.Server, url string) bool {
	choices := []string{strings.TrimSuffix(s.URL, "/")}
	if s.Variables != nil {
		for pair := s.Variables.First(); pair != nil; pair = pair.Next() {
			values := append([]string{pair.Value().Default}, pair.Value().Enum...)
			var next []string
			for _, c := range choices {
				for _, v := range values {
					next = append(next, strings.ReplaceAll(c, "{"+pair.Key()+"}", v))
				}
			}
			choices = next
		}
	}
	for _, c := range choices {
		if c == url {
			return true
		}
	}
	return false
}

func (r *reader) operations(p *Provider, d *v3.Document) {
	if d.Paths != nil && d.Paths.PathItems != nil {
		for path, item := range d.Paths.PathItems.FromOldest() {
			for method, op := range item.GetOperations().FromOldest() {
				var x operationExtension
				if r.extension(op.Extensions, keyOperation, &x) {
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
					r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, nil, "serves"), "%s with grant %q is served by both %s and %s", op.Tool, g.Name, other.Path, op.Path)
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
		if op.Auth.Style != AuthBearer {
			continue
		}
		if _, _, ok := p.Operation(CreateAccessToken, op.Auth.Grant); !ok {
			r.wrong.add(r.overlay.file, r.overlay.line(keyOperation, nil, "auth", "grant"), "auth: create_access_token does not offer the grant %q", op.Auth.Grant)
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

// extension decodes the extension called key, where there is one.
func (r *reader) extension(all *orderedmap.Map[string, *yaml.Node], key string, into any) bool {
	if all == nil {
		return false
	}
	n, ok := all.Get(key)
	if !ok {
		return false
	}
	if err := n.Decode(into); err != nil {
		r.wrong.add(r.overlay.file, r.overlay.line(key, nil), "%s: %s", key, firstLine(err))
		return false
	}
	return true
}
