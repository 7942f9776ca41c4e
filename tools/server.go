package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"bankauth/internal/fault"
	"bankauth/schema"
)

// Local is the principal of stdio and of the command line: whoever may start
// the process owns what it stores.
const Local = "local"

// Addresses of the resources.
const (
	providersURI = "bankauth://providers"
	providerURI  = "bankauth://providers/"
)

// Server returns an MCP server that offers the tools. principal says whose
// call it is; it is asked once a call.
func (s *Set) Server(version string, principal func(context.Context) string) *server.MCPServer {
	m := server.NewMCPServer("bankauth", version,
		server.WithTitle("bankauth"),
		server.WithDescription("Open-banking credentials for agents, without showing them a secret"),
		server.WithInstructions(Instructions),
		server.WithToolCapabilities(false),
		server.WithResourceCapabilities(false, false),
		server.WithPromptCapabilities(false),
		server.WithCompletions(),
		server.WithPromptCompletionProvider(completer{s.names}),
		server.WithResourceCompletionProvider(completer{s.names}),
		server.WithLogging(), // a level is taken, though nothing is sent: some clients set one at once
		// The list depends on nothing but the process, so a client may keep it.
		server.WithCacheHints(300_000, mcp.CacheScopePublic),
		server.WithMethodCacheHints(mcp.MethodResourcesRead, 0, mcp.CacheScopePrivate),
	)
	for _, t := range s.tools {
		m.AddTool(t.mcp(), func(ctx context.Context, q mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			// Never an error: its text would reach the client as it is.
			return s.Call(ctx, principal(ctx), t.Name, q.Params.Arguments).mcp(), nil
		})
	}
	s.addResources(m)
	s.addPrompts(m)
	return m
}

// mcp returns the tool for mcp-go. Its own validation and recovery stay off:
// both put values and panics into answers.
func (t Tool) mcp() mcp.Tool {
	tool := mcp.NewToolWithRawSchema(t.Name, t.Description, t.Input)
	tool.Title = t.Title
	tool.RawOutputSchema = t.Output
	tool.Annotations = mcp.ToolAnnotation{
		ReadOnlyHint: &t.ReadOnly, DestructiveHint: &t.Destructive, IdempotentHint: &t.Idempotent, OpenWorldHint: mcp.ToBoolPtr(true),
	}
	return tool
}

// mcp returns the result for mcp-go: the same JSON as text and as structure,
// because hosts show a model one or the other.
func (r Result) mcp() *mcp.CallToolResult {
	out := &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent(string(r.JSON))}, IsError: r.IsError}
	if !r.IsError {
		out.RawStructuredContent = r.JSON
	}
	return out
}

func (s *Set) addResources(m *server.MCPServer) {
	m.AddResource(mcp.NewResource(providersURI, "providers",
		mcp.WithResourceDescription("The providers, and which of them are configured."), mcp.WithMIMEType("application/json")),
		func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			var all []about
			for _, name := range s.names {
				all = append(all, s.about(name))
			}
			return contents(providersURI, all)
		})
	m.AddResourceTemplate(mcp.NewResourceTemplate(resourceName, "provider",
		mcp.WithTemplateDescription("One provider: its grants, their arguments, what is configured and what is missing."), mcp.WithTemplateMIMEType("application/json")),
		func(_ context.Context, q mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			name := strings.TrimPrefix(q.Params.URI, providerURI)
			if s.banks[name] == nil {
				return nil, fmt.Errorf("%w: there is no such provider; %s lists them", server.ErrResourceNotFound, providersURI)
			}
			return contents(q.Params.URI, s.about(name))
		})
}

func contents(uri string, v any) ([]mcp.ResourceContents, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fault.From(err)
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{URI: uri, MIMEType: "application/json", Text: string(b)}}, nil
}

// about is what a resource says of a provider: no secret and no client id.
type about struct {
	Name        string              `json:"name"`
	Title       string              `json:"title"`
	Environment string              `json:"environment"`
	Configured  bool                `json:"configured"`
	Missing     []string            `json:"missing,omitempty"`
	Tools       map[string][]grants `json:"tools"`
}

type grants struct {
	GrantType string          `json:"grant_type,omitempty"`
	Arguments []argumentAbout `json:"arguments"`
	Note      string          `json:"note,omitempty"`
	Example   map[string]any  `json:"example"`
}

type argumentAbout struct {
	Name        string          `json:"name"`
	Required    bool            `json:"required"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema"`
}

func (s *Set) about(name string) about {
	b := s.banks[name]
	p := b.Client.Provider()
	a := about{Name: p.Name, Title: p.Title, Environment: b.Client.Environment(), Configured: len(b.Missing) == 0, Missing: b.Missing, Tools: map[string][]grants{}}
	for _, op := range p.Operations {
		if op.Tool == schema.RefreshToken {
			continue
		}
		for i := range op.Grants {
			g := &op.Grants[i]
			out := grants{GrantType: g.Name, Note: g.Note, Example: p.Example(op, g), Arguments: []argumentAbout{}}
			for _, name := range g.Arguments {
				f := op.Field(name)
				out.Arguments = append(out.Arguments, argumentAbout{Name: name, Required: slices.Contains(g.Required, name), Description: f.Description, Schema: f.Schema})
			}
			a.Tools[op.Tool] = append(a.Tools[op.Tool], out)
		}
	}
	return a
}
