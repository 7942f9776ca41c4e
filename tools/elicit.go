package tools

import (
	"context"
	"maps"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"bankauth/schema"
)

// asking bounds a call during which a person is asked: hosts give up after 60 s.
const asking = 45 * time.Second

// inputConsent names our one input request.
const inputConsent = "consent"

// serve answers a tools/call. Where a person has to consent, a client that can
// show addresses (URL-mode elicitation) is asked to; any other has the address
// in the error.
func (s *Set) serve(ctx context.Context, m *server.MCPServer, who, tool string, q mcp.CallToolRequest) *mcp.CallToolResult {
	args := q.Params.Arguments
	if ref := q.Params.RequestState; ref != "" && tool == schema.CreateAccessToken {
		return s.resume(ctx, who, args, ref, server.ElicitationResponse(q.Params.InputResponses, inputConsent))
	}
	r := s.Call(ctx, who, tool, args)
	if r.consent == nil || r.consent.again || !showsAddresses(ctx) {
		return r.mcp()
	}
	params := mcp.ElicitationParams{Mode: mcp.ElicitationModeURL, ElicitationID: r.consent.ref, URL: r.consent.url,
		Message: "Open this page to consent at " + r.consent.provider + ". bankauth keeps what comes of it; your agent sees no secret."}
	if server.IsModernRequest(ctx) {
		return server.NewInputRequestBuilder(r.consent.ref).Elicit(inputConsent, params).ToolResult()
	}
	// mcp-go would ask as well, but what a client refuses would become an
	// error of the protocol in place of the address.
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	said, err := m.RequestElicitation(ctx, mcp.ElicitationRequest{Request: mcp.Request{Method: string(mcp.MethodElicitationCreate)}, Params: params})
	if err != nil {
		return r.mcp()
	}
	return s.resume(ctx, who, args, r.consent.ref, said)
}

// resume makes the call again, for the consent that was opened. said is what
// the person answered; nil: nothing that can be read.
func (s *Set) resume(ctx context.Context, who string, args any, ref string, said *mcp.ElicitationResult) *mcp.CallToolResult {
	if s.o.Consents != nil && said != nil && said.Action != mcp.ElicitationResponseActionAccept {
		s.o.Consents.Withdraw(ctx, who, ref)
	}
	given, f := read(args)
	if f != nil {
		return s.Call(ctx, who, schema.CreateAccessToken, args).mcp()
	}
	given = maps.Clone(given)
	given[argumentRef] = ref
	return s.Call(ctx, who, schema.CreateAccessToken, map[string]any(given)).mcp()
}

// showsAddresses reports whether the client has URL-mode elicitation.
func showsAddresses(ctx context.Context) bool {
	var can mcp.ClientCapabilities
	if info := server.RequestProtocolInfoFromContext(ctx); info != nil && info.Modern {
		if info.ClientCapabilities != nil {
			can = *info.ClientCapabilities
		}
	} else if session, ok := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo); ok {
		can = session.GetClientCapabilities()
	}
	return can.Elicitation != nil && can.Elicitation.URL != nil
}
