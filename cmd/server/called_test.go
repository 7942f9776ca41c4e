package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"bankauth/internal/config"
	"bankauth/internal/stdio"
	"bankauth/tools"
)

// What is answered past mcp-go's reading is what mcp-go would answer, and only
// where a client that shook hands asks for no more than a tool.
func TestCallsPastTheLibrary(t *testing.T) {
	p := &process{env: config.Read([]string{"HOME=" + t.TempDir()}, "linux"), in: strings.NewReader(""), out: io.Discard, err: io.Discard}
	s, err := newService(t.Context(), p, config.Settings{Simulate: true, Expose: config.ExposeHandle, LogLevel: "warn", LogFormat: "auto"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	c := newConversation(t.Context(), s, func(context.Context) string { return tools.Local })
	message := func(params string) stdio.Message {
		return stdio.Message{ID: []byte("1"), Method: "tools/call", Raw: fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{%s}}`, params)}
	}
	const call = `"name":"create_access_token","arguments":{"provider":"flinks","grant_type":"client_credentials"}`
	if _, ok := readCall(c.session, message(call)); ok {
		t.Error("read for a client that shook no hands")
	}
	c.handle(t.Context(), stdio.Message{ID: []byte("0"), Method: "initialize", Raw: []byte(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)})
	if _, quick := c.quick(t.Context(), message(call)); quick {
		t.Error("quick before there is a token")
	}
	c.handle(t.Context(), message(call))
	type way struct{ read, quick bool }
	for params, want := range map[string]way{
		call: {true, true},
		call + `,"_meta":{"progressToken":7,"claudecode/toolUseId":"x"}`:           {true, true},
		call + `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`: {},
		call + `,"_meta":7`:                                        {},
		call + `,"task":{"ttl":1}`:                                 {},
		call + `,"requestState":""`:                                {},
		call + `,"inputResponses":{"consent":{"action":"accept"}}`: {},
		`"name":7`:                                                                {},
		`"name":"nothing","arguments":{}`:                                         {true, false},
		`"name":"create_access_token"`:                                            {true, false},
		`"name":"create_access_token","arguments":[7]`:                            {true, false},
		`"name":"create_access_token","arguments":{"provider":"flinks"}`:          {true, false},
		strings.Replace(call, "credentials\"", "credentials\",\"force\":true", 1): {true, false},
		strings.Replace(call, "arguments", "argument", 1):                         {true, false},
	} {
		m := message(params)
		_, read := readCall(c.session, m)
		reply, quick := c.quick(t.Context(), m)
		if (way{read, quick}) != want {
			t.Errorf("%s: %+v, want %+v", params, way{read, quick}, want)
		}
		if !read {
			continue
		}
		ours, library := replied(t, c.handle(t.Context(), m)), replied(t, c.library(t.Context(), c.session, m))
		if ours != library || quick && replied(t, reply) != library {
			t.Errorf("%s: %s\nquick: %s\nof mcp-go: %s", params, ours, replied(t, reply), library)
		}
	}
	if r, quick := c.quick(t.Context(), stdio.Message{ID: []byte("1"), Method: "ping", Raw: []byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)}); !quick || r.Error != nil {
		t.Errorf("ping: %v %+v", quick, r)
	}
}

// replied is a reply without what differs from call to call.
func replied(t *testing.T, r stdio.Reply) string {
	t.Helper()
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(\\?"(expires_in|expires_at|correlation_id)\\?":)(\d+|\\?"[^"\\]*\\?")`).ReplaceAllString(string(line), "$1")
}
