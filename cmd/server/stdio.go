package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"bankauth/internal/config"
	"bankauth/internal/fault"
	"bankauth/internal/skill"
	"bankauth/internal/stdio"
	"bankauth/tools"
)

type stdioCommand struct {
	config.Settings `embed:""`
}

// Run serves until input ends or a signal comes.
func (c *stdioCommand) Run(ctx context.Context, p *process) error {
	s, err := newService(ctx, p, c.Settings)
	if err != nil {
		return err
	}
	m := newMemory(p.env)
	defer m.start(ctx)()
	client := newConversation(ctx, s)
	server := stdio.Server{Handle: m.watch(client.handle), Quick: client.quick, Writable: takes(p.out), Limit: tools.DefaultLimit, Log: s.log}
	err = server.Serve(ctx, pollable(p.in), p.out)
	if err != nil {
		// The client is gone; there is nobody to tell but the log.
		s.log.Debug().Err(err).Msg("the conversation ended")
		err = exit(exitFailed)
	}
	return errors.Join(err, s.close())
}

// conversation joins the read loop and mcp-go for the one client of a process.
type conversation struct {
	tools   *tools.Set
	mcp     *server.MCPServer
	session *session
	skill   *skill.Skill // nil where there is none
}

func newConversation(ctx context.Context, s *service) *conversation {
	principal := func(context.Context) string { return tools.Local }
	c := &conversation{tools: s.tools, mcp: s.tools.Server(thisRelease().Version, principal), session: newSession()}
	c.skill = offerSkill(c.mcp)
	// It fails only for an id that is taken, and this server is new.
	_ = c.mcp.RegisterSession(ctx, c.session)
	return c
}

// handle answers one message. It is a stdio.Handle.
func (c *conversation) handle(ctx context.Context, m stdio.Message) stdio.Reply {
	if m.Busy {
		return c.busy(m)
	}
	switch answer := c.mcp.HandleMessage(c.mcp.WithContext(ctx, c.session), m.Raw).(type) {
	case mcp.JSONRPCResponse:
		return stdio.Reply{Result: tools.Encode(answer.Result)}
	case mcp.JSONRPCError:
		if answer.Error.Code == mcp.METHOD_NOT_FOUND {
			if reply, ours := c.skills(m); ours {
				return reply
			}
		}
		return stdio.Reply{Error: c.refusal(m.Method, answer.Error)}
	}
	return stdio.Reply{} // a notification's
}

// quick reports whether m is answered from memory. It is a stdio.Server's Quick.
func (c *conversation) quick(m stdio.Message) bool {
	switch mcp.MCPMethod(m.Method) {
	case mcp.MethodPing:
		return true
	case mcp.MethodToolsCall:
		var called struct {
			Params struct {
				Name      string
				Arguments any
			}
		}
		return json.Unmarshal(m.Raw, &called) == nil && c.tools.Held(tools.Local, called.Params.Name, called.Params.Arguments)
	}
	return false
}

// refusal takes over mcp-go's error, in our words where its own say what Go
// thought of the message or repeat what the client made up.
func (c *conversation) refusal(method string, e mcp.JSONRPCErrorDetails) *stdio.Error {
	switch {
	case strings.Contains(e.Message, "json:"), strings.Contains(e.Message, "unmarshal"):
		return &stdio.Error{Code: e.Code, Message: "the parameters are not those of the method " + known(method)}
	case e.Code == mcp.METHOD_NOT_FOUND:
		return &stdio.Error{Code: e.Code, Message: "this server does not have the method " + known(method)}
	case strings.Contains(e.Message, server.ErrToolNotFound.Error()):
		return &stdio.Error{Code: e.Code, Message: "there is no such tool; tools/list lists them"}
	case strings.Contains(e.Message, server.ErrResourceNotFound.Error()):
		code := mcp.RESOURCE_NOT_FOUND
		if c.session.ProtocolVersion() == "" { // no handshake: the client is of 2026-07-28
			code = mcp.INVALID_PARAMS
		}
		return &stdio.Error{Code: code, Message: "there is no such resource; resources/list lists them"}
	}
	return &stdio.Error{Code: e.Code, Message: e.Message, Data: e.Data}
}

// known names a method that the specification has; what a client made up is
// not repeated.
func known(method string) string {
	switch mcp.MCPMethod(method) {
	case mcp.MethodInitialize, mcp.MethodPing, mcp.MethodToolsList, mcp.MethodToolsCall, mcp.MethodResourcesList,
		mcp.MethodResourcesRead, mcp.MethodResourcesTemplatesList:
		return method
	}
	return "that was called"
}

// busy answers a call of a tool that is one too many.
func (c *conversation) busy(m stdio.Message) stdio.Reply {
	var called struct {
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	_ = json.Unmarshal(m.Raw, &called) // without a name the answer is the same
	r := c.tools.Busy(called.Params.Name)
	return stdio.Reply{Result: &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent(string(r.JSON))}, IsError: r.Code != fault.Code("")}}
}
