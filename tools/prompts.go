package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// promptConnect is what a person picks in a host to begin with.
const promptConnect = "connect_provider"

// addPrompts adds the one prompt. Its provider is completed while it is typed.
func (s *Set) addPrompts(m *server.MCPServer) {
	m.AddPrompt(mcp.NewPrompt(promptConnect,
		mcp.WithPromptDescription("Get a working credential for one open-banking provider."),
		mcp.WithArgument("provider", mcp.ArgumentDescription("One of "+list(s.names)+"."), mcp.RequiredArgument()),
	), func(_ context.Context, q mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		// Never an error: its text would reach the client as it is.
		return mcp.NewGetPromptResult("Connect a provider", []mcp.PromptMessage{
			mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent(s.connect(q.Params.Arguments["provider"]))),
		}), nil
	})
}

// connect is the prompt's text. What the caller typed is not repeated.
func (s *Set) connect(provider string) string {
	name := strings.ToLower(strings.TrimSpace(provider))
	if s.banks[name] == nil {
		return "I want a working open-banking credential. Ask me which provider it is for: " + list(s.names) + "."
	}
	a := s.about(name)
	var b strings.Builder
	fmt.Fprintf(&b, "Get me a working credential for %s with bankauth. Ask me for nothing secret: no client id, secret, password or token. Calls that work:\n", a.Title)
	for _, t := range s.tools {
		for _, g := range a.Tools[t.Name] {
			example, err := json.Marshal(g.Example)
			if err != nil {
				continue
			}
			fmt.Fprintf(&b, "\n- %s %s", t.Name, example)
			if g.Note != "" {
				b.WriteString(" (" + strings.TrimSuffix(g.Note, ".") + ")")
			}
		}
	}
	fmt.Fprintf(&b, "\n\nThe resource %s%s says more of each argument. If something is not configured, tell me which variable to set.", providerURI, name)
	return b.String()
}

// completer completes a provider's name, in the prompt and in the address of
// a provider's resource.
type completer struct{ names []string }

func (c completer) complete(argument mcp.CompleteArgument) *mcp.Completion {
	values := []string{}
	if argument.Name == "provider" || argument.Name == "name" { // the prompt's and the resource's
		for _, n := range c.names {
			if strings.HasPrefix(n, strings.ToLower(argument.Value)) && len(values) < 100 { // the protocol's most
				values = append(values, n)
			}
		}
	}
	return &mcp.Completion{Values: values, Total: len(values)}
}

// CompletePromptArgument is for mcp-go.
func (c completer) CompletePromptArgument(_ context.Context, _ string, a mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	return c.complete(a), nil
}

// CompleteResourceArgument is for mcp-go.
func (c completer) CompleteResourceArgument(_ context.Context, _ string, a mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	return c.complete(a), nil
}
