package main

import (
	"context"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"

	"bankauth/internal/stdio"
	"bankauth/tools"
)

// called is a tools/call as it is read here.
type called struct {
	Params struct {
		Name      string
		Arguments any
		Meta      struct {
			Revision json.RawMessage `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
		Task, RequestState, InputResponses json.RawMessage
	}
}

// readCall reads a tools/call of a client that shook hands and asks for nothing
// but a tool; false for any other message, which is mcp-go's business. mcp-go
// decodes each message four times, a seventh of a call.
func readCall(session *session, m stdio.Message) (called, bool) {
	var asked called
	if mcp.MCPMethod(m.Method) != mcp.MethodToolsCall || session.ProtocolVersion() == "" || json.Unmarshal(m.Raw, &asked) != nil {
		return called{}, false
	}
	p := &asked.Params
	return asked, p.Meta.Revision == nil && p.Task == nil && p.RequestState == nil && p.InputResponses == nil
}

// call calls the tool as mcp-go would. false: there is no such tool.
func (c *conversation) call(ctx context.Context, session *session, asked called) (stdio.Reply, bool) {
	tool := c.mcp.GetTool(asked.Params.Name)
	if tool == nil {
		return stdio.Reply{}, false
	}
	var q mcp.CallToolRequest
	q.Method = string(mcp.MethodToolsCall)
	q.Params.Name, q.Params.Arguments = asked.Params.Name, asked.Params.Arguments
	result, err := tool.Handler(c.mcp.WithContext(ctx, session), q)
	if err != nil {
		return stdio.Reply{Error: &stdio.Error{Code: stdio.CodeInternal}}, true
	}
	return stdio.Reply{Result: tools.Encode(result)}, true
}

// quick answers what is in memory. It is a stdio.Server's Quick.
func (c *conversation) quick(ctx context.Context, m stdio.Message) (stdio.Reply, bool) {
	if mcp.MCPMethod(m.Method) == mcp.MethodPing {
		return c.handle(ctx, m), true
	}
	asked, ok := readCall(c.session, m)
	if !ok {
		return stdio.Reply{}, false
	}
	result, held := c.tools.Held(ctx, tools.Local, asked.Params.Name, asked.Params.Arguments)
	return stdio.Reply{Result: result}, held
}
