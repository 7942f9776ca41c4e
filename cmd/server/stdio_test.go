package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"bankauth/internal/config"
	"bankauth/internal/stdio"
	"bankauth/tools"
)

// bare is the conversation of a server without any setting.
func bare(t *testing.T) *conversation {
	t.Helper()
	return newConversation(t.Context(), bareService(t), func(context.Context) string { return tools.Local })
}

func bareService(t *testing.T) *service {
	t.Helper()
	p := &process{env: config.Read([]string{"HOME=" + t.TempDir()}, "linux"), in: strings.NewReader(""), out: io.Discard, err: io.Discard}
	s, err := newService(t.Context(), p, config.Settings{Expose: config.ExposeHandle, LogLevel: "warn", LogFormat: "auto"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A call too many is a tool's result, so that a model reads it and waits.
func TestBusyIsAResult(t *testing.T) {
	c := bare(t)
	r := c.handle(t.Context(), stdio.Message{ID: []byte("1"), Method: "tools/call", Busy: true, Raw: json.RawMessage(callFlinks)})
	got, err := json.Marshal(r.Result)
	if err != nil || r.Error != nil {
		t.Fatalf("got %v, %v", r.Error, err)
	}
	for _, want := range []string{`"isError":true`, `\"code\":\"busy\"`, `\"retryable\":true`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}

// What Go says of a message that it cannot read may quote it.
func TestRefusalsQuoteNothing(t *testing.T) {
	for _, e := range []mcp.JSONRPCErrorDetails{
		{Code: mcp.INVALID_REQUEST, Message: "json: cannot unmarshal number 4711canary into Go value", Data: "canary"},
		{Code: mcp.INVALID_PARAMS, Message: "failed to unmarshal canary"},
		{Code: mcp.INVALID_PARAMS, Message: "tool 'canary' not found: tool not found"},
		{Code: mcp.INTERNAL_ERROR, Message: "resource not found: canary"},
	} {
		got := refusal("tools/canary", true, e)
		if text, _ := json.Marshal(got); strings.Contains(string(text), "canary") {
			t.Errorf("%q became %s", e.Message, text)
		}
		if got.Code == mcp.INTERNAL_ERROR {
			t.Errorf("%q stayed internal", e.Message)
		}
	}
}
