package tools_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"bankauth/tools"
)

// asked is what a client hears of a method.
func asked(t *testing.T, s *tools.Set, method, params string) string {
	t.Helper()
	m := s.Server("test", func(context.Context) string { return tools.Local })
	answer := m.HandleMessage(t.Context(), json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`))
	r, ok := answer.(mcp.JSONRPCResponse)
	if !ok {
		t.Fatalf("%s answered %+v", method, answer)
	}
	b, err := json.Marshal(r.Result)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPrompt: what a person picks in a host names calls that work, and asks
// back where the provider is none of ours, without repeating it.
func TestPrompt(t *testing.T) {
	s := open(t).Set
	if got := asked(t, s, "prompts/list", `{}`); !strings.Contains(got, `"name":"connect_provider"`) || strings.Count(got, `"required":true`) != 1 {
		t.Errorf("got %s", got)
	}
	got := asked(t, s, "prompts/get", `{"name":"connect_provider","arguments":{"provider":" FinAPI"}}`)
	for _, want := range []string{`- create_access_token {\"grant_type\":\"client_credentials\",\"provider\":\"finapi\"}`, "- create_user", "bankauth://providers/finapi"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	if got := asked(t, s, "prompts/get", `{"name":"connect_provider","arguments":{"provider":"canary"}}`); strings.Contains(got, "canary") || !strings.Contains(got, "flinks") {
		t.Errorf("got %s", got)
	}
	for params, want := range map[string]string{
		`{"ref":{"type":"ref/prompt","name":"connect_provider"},"argument":{"name":"provider","value":"F"}}`:          `"values":["fintecture","flinks","finapi"]`,
		`{"ref":{"type":"ref/prompt","name":"connect_provider"},"argument":{"name":"provider","value":"fina"}}`:       `"values":["finapi"]`,
		`{"ref":{"type":"ref/resource","uri":"bankauth://providers/{name}"},"argument":{"name":"name","value":"fl"}}`: `"values":["flinks"]`,
		`{"ref":{"type":"ref/prompt","name":"connect_provider"},"argument":{"name":"another","value":"f"}}`:           `"values":[]`,
	} {
		if got := asked(t, s, "completion/complete", params); !strings.Contains(got, want) {
			t.Errorf("%s: %s", params, got)
		}
	}
}
