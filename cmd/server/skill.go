package main

import (
	"context"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"bankauth/internal/skill"
	"bankauth/internal/stdio"
)

// offerSkill adds the skill's files to m's resources and says that m knows
// the skills extension. A skill that cannot be read is a defect of the build;
// the server goes on without it.
func offerSkill(m *server.MCPServer) *skill.Skill {
	s, err := skill.Bundled()
	if err != nil {
		return nil
	}
	server.WithExtensions(map[string]any{skill.Extension: map[string]any{}})(m)
	for _, f := range s.Files {
		name, about := f.Path, "Belongs to the skill "+s.Name+"."
		if s.IsEntry(f) {
			name, about = s.Name, "The skill: how to get, renew and use open-banking tokens with these tools, and what to do about each error."
		}
		contents := []mcp.ResourceContents{mcp.TextResourceContents{URI: s.URI(f), MIMEType: f.Type, Text: string(f.Body)}}
		m.AddResource(mcp.NewResource(s.URI(f), name, mcp.WithResourceDescription(about), mcp.WithMIMEType(f.Type)),
			func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) { return contents, nil })
	}
	return s
}

// skills answers the extension's methods, which mcp-go does not know and so
// has refused, after it has checked the request's envelope.
func (c *conversation) skills(m stdio.Message) (stdio.Reply, bool) {
	if c.skill == nil || m.Method != skill.MethodList && m.Method != skill.MethodGet {
		return stdio.Reply{}, false
	}
	var asked struct {
		Params struct{ URI, Cursor string }
	}
	if err := json.Unmarshal(m.Raw, &asked); err != nil {
		return refuse("the parameters are not those of the method " + m.Method), true
	}
	if m.Method == skill.MethodList {
		if asked.Params.Cursor != "" {
			return refuse("there is no such cursor: the list has one page"), true
		}
		return stdio.Reply{Result: c.skill.List()}, true
	}
	result, ok := c.skill.Get(asked.Params.URI)
	if !ok {
		return refuse("there is no such skill; skills/list lists them"), true
	}
	return stdio.Reply{Result: result}, true
}

func refuse(message string) stdio.Reply {
	return stdio.Reply{Error: &stdio.Error{Code: stdio.CodeParams, Message: message}}
}
