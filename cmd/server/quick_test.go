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

// What is answered past mcp-go is what mcp-go would answer, and only where a
// client that shook hands asks for no more than a tool's call.
func TestQuickCalls(t *testing.T) {
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
	if _, quick := c.quick(t.Context(), message(call)); quick {
		t.Error("quick before there is a token")
	}
	c.handle(t.Context(), message(call))
	for params, want := range map[string]bool{
		call: true,
		call + `,"_meta":{"progressToken":7,"claudecode/toolUseId":"x"}`:           true,
		call + `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`: false,
		call + `,"_meta":7`:                                                       false,
		call + `,"task":{"ttl":1}`:                                                false,
		call + `,"requestState":""`:                                               false,
		call + `,"inputResponses":{"consent":{"action":"accept"}}`:                false,
		`"name":"create_access_token","arguments":{"provider":"flinks"}`:          false,
		`"name":"create_user","arguments":{"provider":"finapi"}`:                  false,
		strings.Replace(call, "credentials\"", "credentials\",\"force\":true", 1): false,
		strings.Replace(call, "arguments", "argument", 1):                         false,
	} {
		r, quick := c.quick(t.Context(), message(params))
		if quick != want {
			t.Errorf("%s: %v, want %v", params, quick, want)
		}
		if !quick {
			continue
		}
		if got, whole := shape(t, r), shape(t, c.handle(t.Context(), message(params))); got != whole {
			t.Errorf("%s: got %s, of mcp-go %s", params, got, whole)
		}
	}
	if r, quick := c.quick(t.Context(), stdio.Message{ID: []byte("1"), Method: "ping", Raw: []byte(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)}); !quick || r.Error != nil {
		t.Errorf("ping: %v %+v", quick, r)
	}
}

// shape is a reply without the seconds that its token has left.
func shape(t *testing.T, r stdio.Reply) string {
	t.Helper()
	line, err := json.Marshal(r.Result)
	if err != nil || r.Error != nil {
		t.Fatalf("%v %v", err, r.Error)
	}
	return regexp.MustCompile(`(\\?"expires_in\\?":)\d+`).ReplaceAllString(string(line), "$1")
}
