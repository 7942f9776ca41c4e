// Package discovery says to whoever finds a server what is served there: as an
// API catalog (RFC 9727), an MCP server card (SEP-2127) with its index,
// llms.txt and APIs.json.
//
// All of it comes from one Site, which is filled with what the other surfaces
// say of themselves, so that no two can disagree.
package discovery

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v4"

	"bankauth/internal/problem"
	"bankauth/internal/skill"
)

// Site is a server as it describes itself.
type Site struct {
	Base        string // where clients reach it, without a slash at its end
	Name        string
	Description string // at most 100 characters
	Version     string
	REST        string // what the REST interface is
	Registry    string // the server's name in the MCP registry
	Repository  string // of its source, at GitHub
	// Revisions are the MCP protocol's that /mcp speaks, Legacy those of /sse.
	Revisions, Legacy []string
	Tools             []Tool
	Skill             *skill.Skill
	// Capabilities are the paths of capability files in the repository. They
	// are not served.
	Capabilities []string
}

// Tool is what is said of a tool.
type Tool struct{ Name, Title, Description string }

// Where the documents are.
const (
	catalogPath = "/.well-known/api-catalog"
	indexPath   = "/.well-known/ai-catalog.json"
	cardPath    = "/mcp/server-card"
	llmsPath    = "/llms.txt"
	apisPath    = "/apis.yml"
	iconPath    = "/icon.svg"
)

// Media types of the documents, and of what they point to.
const (
	cardType    = "application/mcp-server-card+json"
	linksetType = `application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"`
	openAPIType = "application/vnd.oai.openapi+json;version=3.1"
)

//go:embed icon.svg
var icon []byte

// Routes returns the documents' handlers by http.ServeMux pattern. They are
// public and ask nobody who they are.
func (s Site) Routes() (map[string]http.Handler, error) {
	apis, err := s.APIs()
	if err != nil {
		return nil, err
	}
	routes := map[string]http.Handler{llmsPath: public("text/plain", []byte(s.llms())), apisPath: public("application/yaml", apis), iconPath: public("image/svg+xml", icon)}
	for path, d := range map[string]struct {
		kind  string
		value any
	}{
		catalogPath: {linksetType, s.catalog()}, indexPath: {"application/ai-catalog+json", s.index()}, cardPath: {cardType, s.card()},
	} {
		b, err := json.Marshal(d.value)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", path, err)
		}
		routes[path] = public(d.kind, b)
	}
	catalog := routes[catalogPath]
	routes[catalogPath] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<"+s.Base+catalogPath+`>; rel="api-catalog"`)
		catalog.ServeHTTP(w, r)
	})
	return routes, nil
}

func public(kind string, b []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if problem.Takes(w, r, http.MethodGet) {
			skill.Public(w, r, kind, b)
		}
	})
}

// object is a JSON object.
type object = map[string]any

// catalog lists the interfaces with what describes each (RFC 8631).
func (s Site) catalog() object {
	to := func(path, kind string) []object { return []object{{"href": s.Base + path, "type": kind}} }
	ready := to("/health/ready", "application/json")
	return object{"linkset": []object{
		{"anchor": s.Base + catalogPath, "item": []object{{"href": s.Base + "/mcp"}, {"href": s.Base + "/v1"}, {"href": s.Base + "/skills"}}},
		{"anchor": s.Base + "/mcp", "service-desc": to(cardPath, cardType), "service-doc": to(llmsPath, "text/plain"), "status": ready},
		{"anchor": s.Base + "/v1", "service-desc": to("/openapi.json", openAPIType), "service-doc": to("/docs/", "text/html"), "status": ready},
		{"anchor": s.Base + "/skills", "service-desc": to(skill.IndexPath, "application/json")},
	}}
}

func (s Site) index() object {
	host := ""
	if u, err := url.Parse(s.Base); err == nil {
		host = u.Hostname()
	}
	return object{"specVersion": "1.0", "entries": []object{{"identifier": "urn:air:" + host + ":mcp:" + s.Name, "type": cardType, "url": s.Base + cardPath}}}
}

func (s Site) card() object {
	remote := func(kind, path string, revisions []string) object {
		return object{"type": kind, "url": s.Base + path, "supportedProtocolVersions": revisions, "headers": []object{{
			"name": "Authorization", "isSecret": true, "description": "Bearer and a token of the server's operator or issuer. A server on loopback without clients and issuer takes none."}}}
	}
	return object{
		"$schema": "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json",
		"name":    s.Registry, "title": s.Name, "version": s.Version, "description": s.Description,
		"repository": object{"url": s.Repository, "source": "github"}, "icons": []object{{"src": s.Base + iconPath, "mimeType": "image/svg+xml"}},
		"remotes": []object{remote("streamable-http", "/mcp", s.Revisions), remote("sse", "/sse", s.Legacy)},
	}
}

// llms is the text at /llms.txt.
func (s Site) llms() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n> %s\n\nVersion %s. Agents call the tools over MCP, programs over REST. Tokens stay in the server's vault; the caller gets a handle, token_ref.\n", s.Name, s.Description, s.Version)
	link := func(name, path, about string) { fmt.Fprintf(&b, "- [%s](%s%s): %s\n", name, s.Base, path, about) }
	b.WriteString("\n## Tools\n\n")
	for _, t := range s.Tools {
		about, _, _ := strings.Cut(t.Description, "\n")
		link(t.Name, "/openapi.json", t.Title+". "+about)
	}
	b.WriteString("\n## Interfaces\n\n")
	link("MCP", "/mcp", "streamable HTTP; protocol revisions "+strings.Join(s.Revisions, ", "))
	link("MCP for old clients", "/sse", "HTTP with SSE")
	link("REST", "/openapi.json", s.REST)
	link("REST, to try", "/docs/", "a page that makes the calls")
	b.WriteString("\n## Skill\n\n")
	link(s.Skill.Name, s.skillPath(), s.Skill.Front().Description)
	b.WriteString("\n## Optional\n\n")
	link("Skills", skill.IndexPath, "index with digests")
	link("MCP server card", cardPath, "name, version and addresses")
	link("API catalog", catalogPath, "RFC 9727")
	link("APIs.json", apisPath, "what is served, for API directories")
	return b.String()
}

func (s Site) skillPath() string { return "/skills/" + s.Skill.Name + "/contents/SKILL.md" }

// index and entry are an APIs.json document, version 0.23.
type index struct {
	Name          string     `yaml:"name"`
	Type          string     `yaml:"type"`
	Description   string     `yaml:"description"`
	Image         string     `yaml:"image"`
	URL           string     `yaml:"url"`
	Tags          []string   `yaml:"tags,flow"`
	Specification string     `yaml:"specificationVersion"`
	APIs          []entry    `yaml:"apis"`
	Common        []property `yaml:"common"`
	Maintainers   []object   `yaml:"maintainers"`
}

type entry struct {
	Name        string     `yaml:"name"`
	Description string     `yaml:"description"`
	Image       string     `yaml:"image"`
	BaseURL     string     `yaml:"baseURL"`
	HumanURL    string     `yaml:"humanURL"`
	Tags        []string   `yaml:"tags,flow"`
	Properties  []property `yaml:"properties"`
}

type property struct {
	Type string `yaml:"type"`
	URL  string `yaml:"url"`
}

// APIs returns the APIs.json document, in YAML.
func (s Site) APIs() ([]byte, error) {
	tags, image := []string{"Open Banking", "OAuth", "Credentials"}, s.Base+iconPath
	d := index{
		Name: s.Name, Type: "Index", Description: s.Description, Image: image, URL: s.Base + apisPath, Tags: tags, Specification: "0.23",
		APIs: []entry{
			{Name: s.Name + " MCP", Description: s.Description, Image: image, BaseURL: s.Base + "/mcp", HumanURL: s.Base + llmsPath, Tags: append(tags[:3:3], "MCP"),
				Properties: []property{{"MCPServer", s.Base + cardPath}, {"AgentSkill", s.Base + s.skillPath()}}},
			{Name: s.Name + " REST", Description: s.REST, Image: image, BaseURL: s.Base + "/v1", HumanURL: s.Base + "/docs/", Tags: tags,
				Properties: []property{{"OpenAPI", s.Base + "/openapi.json"}}},
		},
		Common:      []property{{"LLMsTxt", s.Base + llmsPath}, {"APICatalog", s.Base + catalogPath}, {"AgentSkills", s.Base + skill.IndexPath}, {"SourceCode", s.Repository}},
		Maintainers: []object{{"FN": s.Name, "url": s.Repository}},
	}
	for _, path := range s.Capabilities {
		d.Common = append(d.Common, property{"X-NaftikoCapability", s.Repository + "/blob/main/" + path})
	}
	b, err := yaml.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", apisPath, err)
	}
	return b, nil
}
