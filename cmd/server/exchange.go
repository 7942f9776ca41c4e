package main

import (
	"context"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"bankauth/internal/auth"
	"bankauth/internal/httpd"
	"bankauth/internal/stdio"
	"bankauth/tools"
)

const methodListen = "subscriptions/listen"

// callerOf is whose call it is that came over HTTP. Without a caller the gate
// let nobody in, and the name is nobody's.
func callerOf(ctx context.Context) string {
	caller, _ := auth.FromContext(ctx)
	return caller.Principal
}

// scopeOf is the scope that an MCP request needs; ok is false where it needs
// none. name is the tool, or the resource's URI.
func scopeOf(method, name string) (scope string, ok bool) {
	switch mcp.MCPMethod(method) {
	case mcp.MethodToolsCall:
		return auth.ScopeOf(name)
	case mcp.MethodResourcesRead:
		return auth.TokensUse, tools.ShowsTokens(name)
	}
	return "", false
}

// exchange answers one message over HTTP, where each stands alone: what mcp-go
// calls a session lasts as long as the request. It is an httpd.Handle.
func (c *conversation) exchange(ctx context.Context, m httpd.Message) stdio.Reply {
	from := &session{version: m.Revision}
	from.Initialize()
	if m.Modern {
		from.version = ""
	}
	if m.Legacy {
		// server/discover then tells a newer client what to fall back to.
		ctx = server.WithSupportedProtocolVersions(ctx, mcp.LegacyProtocolVersions())
	}
	if caller, _ := auth.FromContext(ctx); m.Method == string(mcp.MethodCompletionComplete) && !caller.May(auth.TokensUse) {
		// It would tell token_refs. A refusal would keep the names of providers back.
		ctx = auth.NewContext(ctx, auth.Caller{})
	}
	if m.Method != methodListen {
		return c.answer(ctx, from, m.Message)
	}
	// Nothing that we offer changes, so mcp-go acknowledges and is done.
	from.notices = make(chan mcp.JSONRPCNotification, 1)
	reply := c.answer(ctx, from, m.Message)
	select {
	case notice := <-from.notices:
		if b, err := json.Marshal(notice); err == nil && reply.Error == nil {
			m.Notify(b)
		}
	default:
	}
	return reply
}
