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
	besideFlags     `embed:""`
}

// Run serves until input ends or a signal comes.
func (c *stdioCommand) Run(ctx context.Context, p *process) error {
	beside, err := c.listen(ctx)
	if err != nil {
		return err
	}
	s, err := newServiceWith(ctx, p, c.Settings, extras{egress: beside.address()})
	if err != nil {
		return errors.Join(err, beside.close())
	}
	beside.start(ctx, s, nil)
	m := newMemory(p.env, collectAt, softMemory)
	defer m.start(ctx)()
	client := newConversation(ctx, s, func(context.Context) string { return tools.Local })
	server := stdio.Server{Handle: m.watch(client.handle), Quick: m.quick(client.quick), Writable: takes(p.out), Limit: tools.DefaultLimit, Ended: s.consents.End, Log: s.log}
	err = server.Serve(ctx, pollable(p.in), p.out)
	if err != nil {
		// The client is gone; there is nobody to tell but the log.
		s.log.Debug().Err(err).Msg("the conversation ended")
		err = exit(exitFailed)
	}
	return errors.Join(err, beside.close(), s.close())
}

// conversation joins a transport and mcp-go.
type conversation struct {
	tools   *tools.Set
	mcp     *server.MCPServer
	session *session     // of the one client of a stdio process
	skill   *skill.Skill // nil where there is none
}

func newConversation(ctx context.Context, s *service, principal func(context.Context) string) *conversation {
	c := &conversation{tools: s.tools, mcp: s.tools.Server(thisRelease().Version, principal), session: newSession()}
	c.skill = offerSkill(c.mcp)
	// It fails only for an id that is taken, and this server is new.
	_ = c.mcp.RegisterSession(ctx, c.session)
	return c
}

// handle answers one message over stdio. It is a stdio.Handle.
func (c *conversation) handle(ctx context.Context, m stdio.Message) stdio.Reply {
	return c.answer(ctx, c.session, m)
}

// answer answers one message of the client whose session it is.
func (c *conversation) answer(ctx context.Context, session *session, m stdio.Message) stdio.Reply {
	if m.Busy {
		return c.busy(m)
	}
	if asked, ok := readCall(session, m); ok {
		if reply, ok := c.call(ctx, session, asked); ok {
			return reply
		}
	}
	return c.library(ctx, session, m)
}

// library has mcp-go answer.
func (c *conversation) library(ctx context.Context, session *session, m stdio.Message) stdio.Reply {
	switch answer := c.mcp.HandleMessage(c.mcp.WithContext(ctx, session), m.Raw).(type) {
	case mcp.JSONRPCResponse:
		return stdio.Reply{Result: tools.Encode(answer.Result)}
	case mcp.JSONRPCError:
		if answer.Error.Code == mcp.METHOD_NOT_FOUND {
			if reply, ours := c.skills(m); ours {
				return reply
			}
		}
		return stdio.Reply{Error: refusal(m.Method, session.ProtocolVersion() == "", answer.Error)}
	}
	return stdio.Reply{} // a notification's
}

// refusal takes over mcp-go's error, in our words where its own say what Go
// thought of the message or repeat what the client made up. modern says that
// the client shook no hands, so that it is one of 2026-07-28.
func refusal(method string, modern bool, e mcp.JSONRPCErrorDetails) *stdio.Error {
	switch {
	case strings.Contains(e.Message, "json:"), strings.Contains(e.Message, "unmarshal"):
		return &stdio.Error{Code: e.Code, Message: "the parameters are not those of the method " + known(method)}
	case e.Code == mcp.METHOD_NOT_FOUND:
		return &stdio.Error{Code: e.Code, Message: "this server does not have the method " + known(method)}
	case strings.Contains(e.Message, server.ErrToolNotFound.Error()):
		return &stdio.Error{Code: e.Code, Message: "there is no such tool; tools/list lists them"}
	case strings.Contains(e.Message, server.ErrPromptNotFound.Error()):
		return &stdio.Error{Code: mcp.INVALID_PARAMS, Message: "there is no such prompt; prompts/list lists them"}
	case strings.Contains(e.Message, "unknown reference type"):
		return &stdio.Error{Code: e.Code, Message: "ref is a prompt (ref/prompt) or a resource (ref/resource)"}
	case strings.Contains(e.Message, server.ErrResourceNotFound.Error()):
		code := mcp.RESOURCE_NOT_FOUND
		if modern {
			code = mcp.INVALID_PARAMS
		}
		return &stdio.Error{Code: code, Message: "there is no such resource; resources/list lists them"}
	}
	switch e.Code {
	case mcp.UNSUPPORTED_PROTOCOL_VERSION: // its data names those that are
		return &stdio.Error{Code: e.Code, Message: "this revision of the protocol is not supported", Data: e.Data}
	case mcp.INVALID_PARAMS:
		return &stdio.Error{Code: e.Code, Message: "the parameters are not those of the method " + known(method)}
	}
	return &stdio.Error{Code: e.Code, Message: "this is no request that the server takes"}
}

// known names a method that the specification has; what a client made up is
// not repeated.
func known(method string) string {
	switch mcp.MCPMethod(method) {
	case mcp.MethodInitialize, mcp.MethodPing, mcp.MethodToolsList, mcp.MethodToolsCall, mcp.MethodResourcesList,
		mcp.MethodResourcesRead, mcp.MethodResourcesTemplatesList, mcp.MethodPromptsList, mcp.MethodPromptsGet, mcp.MethodCompletionComplete,
		mcp.MethodSetLogLevel:
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
