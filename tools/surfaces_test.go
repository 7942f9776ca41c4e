package tools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"bankauth/openapi"
	"bankauth/tools"
)

// surface is the MCP server of a house, for one principal.
type surface struct {
	t   *testing.T
	mcp *server.MCPServer
}

func (h *house) surface(principal string) surface {
	return surface{h.t, h.Server("test", func(context.Context) string { return principal })}
}

// ask makes a request and returns the result's JSON; "" for an error.
func (s surface) ask(method string, params any) string {
	s.t.Helper()
	message, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		s.t.Fatal(err)
	}
	answer, ok := s.mcp.HandleMessage(s.t.Context(), message).(mcp.JSONRPCResponse)
	if !ok {
		return ""
	}
	b, err := json.Marshal(answer.Result)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// read returns a resource's text; "" where there is none.
func (s surface) read(uri string) string {
	s.t.Helper()
	var r struct{ Contents []struct{ Text string } }
	if b := s.ask("resources/read", map[string]any{"uri": uri}); b != "" {
		if err := json.Unmarshal([]byte(b), &r); err != nil {
			s.t.Fatal(err)
		}
		return r.Contents[0].Text
	}
	return ""
}

func (s surface) complete(ref map[string]any, name, value string, given map[string]string) []string {
	s.t.Helper()
	var r struct{ Completion struct{ Values []string } }
	b := s.ask("completion/complete", map[string]any{"ref": ref, "argument": map[string]any{"name": name, "value": value}, "context": map[string]any{"arguments": given}})
	if err := json.Unmarshal([]byte(b), &r); err != nil || r.Completion.Values == nil {
		s.t.Fatalf("%s: %v", b, err)
	}
	return r.Completion.Values
}

func (s surface) prompt(args map[string]string) string {
	s.t.Helper()
	var r struct {
		Messages []struct{ Content struct{ Text string } }
	}
	b := s.ask("prompts/get", map[string]any{"name": "connect_bank", "arguments": args})
	if err := json.Unmarshal([]byte(b), &r); err != nil || len(r.Messages) != 1 {
		s.t.Fatalf("%s: %v", b, err)
	}
	return r.Messages[0].Content.Text
}

// TestSurfacesAreReviewed holds the lists, the providers' resources and the
// journeys against what was read once.
func TestSurfacesAreReviewed(t *testing.T) {
	s := open(t).surface(tools.Local)
	var all bytes.Buffer
	for _, method := range []string{"resources/list", "resources/templates/list", "prompts/list"} {
		fmt.Fprintf(&all, "== %s\n", method)
		if err := json.Indent(&all, []byte(s.ask(method, map[string]any{})), "", "  "); err != nil {
			t.Fatal(err)
		}
		all.WriteString("\n")
	}
	for _, uri := range []string{"bankauth://tokens", "bankauth://providers/flinks"} {
		fmt.Fprintf(&all, "== %s\n", uri)
		if err := json.Indent(&all, []byte(s.read(uri)), "", "  "); err != nil {
			t.Fatal(err)
		}
		all.WriteString("\n")
	}
	for _, args := range []map[string]string{
		{"provider": "flinks", "purpose": "read a user's accounts", "scope": "ACCOUNT_BASIC"}, {"provider": " Fintecture"},
		{"provider": "finapi", "purpose": "show last month's \"big\"\nspendings"}, {"provider": "finapi", "purpose": "work as the application itself"},
		{"provider": "acme"}, {},
	} {
		fmt.Fprintf(&all, "== connect_bank %v\n%s\n", args, s.prompt(args))
	}
	const golden = "testdata/surfaces.txt"
	if *update {
		if err := os.WriteFile(golden, all.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || !bytes.Equal(want, all.Bytes()) {
		t.Errorf("%s differs (%v); if that is meant, run go test ./tools -update and review the difference", golden, err)
	}
}

// TestTokensAreThePrincipals: a resource shows what its reader owns, and no secret.
func TestTokensAreThePrincipals(t *testing.T) {
	h := open(t)
	mine := h.ok("create_access_token", `{"provider":"finapi","grant_type":"client_credentials"}`)["token_ref"].(string)
	user := h.ok("create_user", `{"provider":"finapi"}`)["id"]
	theirs := h.ok("create_access_token", fmt.Sprintf(`{"provider":"finapi","grant_type":"password","username":%q}`, user))["token_ref"].(string)
	me, another := h.surface(tools.Local), h.surface("another")
	list := me.read("bankauth://tokens")
	for _, ref := range []string{mine, theirs} {
		one := me.read("bankauth://tokens/" + ref)
		if !strings.Contains(list, ref) || !strings.Contains(one, `"state":"live"`) || !strings.Contains(one, ref) {
			t.Errorf("%s\n%s", list, one)
		}
		if got := another.read("bankauth://tokens/" + ref); got != "" {
			t.Errorf("another reads %s", got)
		}
		rec, err := h.vault.Get(t.Context(), tools.Local, ref)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{rec.Token.Access.Reveal(), rec.Token.Refresh.Reveal()} {
			if secret != "" && strings.Contains(list+one, secret) {
				t.Error("a secret is shown")
			}
		}
		template := map[string]any{"type": "ref/resource", "uri": "bankauth://tokens/{token_ref}"}
		if got := me.complete(template, "token_ref", ref[:10], nil); !slices.Equal(got, []string{ref}) {
			t.Errorf("%q", got)
		}
		if got := another.complete(template, "token_ref", "", nil); len(got) != 0 {
			t.Errorf("another is offered %q", got)
		}
	}
	if got := another.read("bankauth://tokens"); got != "[]" {
		t.Errorf("another has %s", got)
	}
	if me.read("bankauth://tokens/tok_nothing") != "" {
		t.Error("a token that is not there")
	}
}

// TestDocumentIsTheBundledOne: byte for byte, and a third party's too.
func TestDocumentIsTheBundledOne(t *testing.T) {
	h, _ := withNorrbank(t)
	s := h.surface(tools.Local)
	for _, name := range openapi.Bundled() {
		want, err := openapi.Files.ReadFile(name + ".yaml")
		if err != nil || s.read("bankauth://providers/"+name+"/document") != string(want) {
			t.Errorf("%s: another document (%v)", name, err)
		}
	}
	if !strings.HasPrefix(s.read("bankauth://providers/norrbank/document"), "openapi: 3.0.3") {
		t.Error("norrbank has no document")
	}
	for _, uri := range []string{"bankauth://providers/acme", "bankauth://providers/acme/document", "bankauth://providers/", "bankauth://elsewhere"} {
		if got := s.read(uri); got != "" {
			t.Errorf("%s: %s", uri, got)
		}
	}
}

func TestCompletions(t *testing.T) {
	s := open(t).surface(tools.Local)
	prompt, template := map[string]any{"type": "ref/prompt", "name": "connect_bank"}, map[string]any{"type": "ref/resource", "uri": "bankauth://providers/{name}"}
	for _, c := range []struct {
		ref         map[string]any
		name, value string
		given       map[string]string
		want        []string
	}{
		{prompt, "provider", "f", nil, []string{"fintecture", "flinks", "finapi"}},
		{prompt, "provider", "FL", nil, []string{"flinks"}},
		{prompt, "provider", "x", nil, []string{}},
		{template, "name", "fin", nil, []string{"fintecture", "finapi"}},
		{prompt, "purpose", "w", nil, []string{"work as the application itself"}},
		{prompt, "scope", "account", map[string]string{"provider": "flinks"}, []string{"ACCOUNT_BASIC", "ACCOUNT_DETAILED", "ACCOUNT_PAYMENTS"}},
		{prompt, "scope", "ACCOUNT_BASIC ACC", map[string]string{"provider": "flinks"}, []string{"ACCOUNT_BASIC ACCOUNT_DETAILED", "ACCOUNT_BASIC ACCOUNT_PAYMENTS"}},
		{prompt, "scope", "", map[string]string{"provider": "finapi"}, []string{}},
		{prompt, "nothing", "", nil, []string{}},
		{map[string]any{"type": "ref/prompt", "name": "another"}, "provider", "", nil, []string{}},
		{map[string]any{"type": "ref/resource", "uri": "x://y"}, "name", "", nil, []string{}},
	} {
		if got := s.complete(c.ref, c.name, c.value, c.given); !slices.Equal(got, c.want) {
			t.Errorf("%s=%q %v: got %q, want %q", c.name, c.value, c.given, got, c.want)
		}
	}
}
