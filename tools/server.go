package tools

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Local is the principal of stdio and of the command line: whoever may start
// the process owns what it stores.
const Local = "local"

// What the server says of itself, wherever it does.
const (
	Name        = "bankauth"
	Description = "Open-banking credentials for AI agents, without showing them a secret"
)

// Server returns an MCP server that offers the tools. principal says whose
// call it is; it is asked once a call.
func (s *Set) Server(version string, principal func(context.Context) string) *server.MCPServer {
	m := server.NewMCPServer(Name, version,
		server.WithTitle(Name),
		server.WithDescription(Description),
		server.WithInstructions(s.Instructions()),
		server.WithToolCapabilities(false),
		server.WithResourceCapabilities(false, false),
		server.WithPromptCapabilities(false),
		server.WithCompletions(),
		server.WithPromptCompletionProvider(completions{s, principal}),
		server.WithResourceCompletionProvider(completions{s, principal}),
		server.WithLogging(), // a level is taken, though nothing is sent: some clients set one at once
		// The list depends on nothing but the process, so a client may keep it.
		server.WithCacheHints(300_000, mcp.CacheScopePublic),
		server.WithMethodCacheHints(mcp.MethodResourcesRead, 0, mcp.CacheScopePrivate),
	)
	for _, t := range s.tools {
		m.AddTool(t.mcp(), func(ctx context.Context, q mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			// Never an error: its text would reach the client as it is.
			return s.serve(ctx, m, principal(ctx), t.Name, q), nil
		})
	}
	s.addResources(m, principal)
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
