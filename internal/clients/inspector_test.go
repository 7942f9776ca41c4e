package clients

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const inspector = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"

// The Inspector's exit codes.
const (
	inspectorOK        = 0
	inspectorToolError = 5
)

// inspection is one server as the Inspector's command line calls it, a
// process of its own for each call: what they share is the vault.
type inspection struct {
	node    node
	program string
	env     map[string]string
	era     string

	url, transport string // of a server that runs, in place of the program
}

// output is what the Inspector prints of a result.
type output struct {
	Tools   []struct{ Name string } `json:"tools"`
	Content []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	} `json:"content"`
	Structured map[string]any `json:"structuredContent"`
	IsError    bool           `json:"isError"`
}

func TestInspector(t *testing.T) {
	n := findNode(t)
	program := build(t)
	for _, era := range []string{"legacy", "auto", "modern"} {
		t.Run(era, func(t *testing.T) {
			s := simulate(t, program)
			i := inspection{node: n, program: program, env: s.env, era: era}
			i.lists(t)
			i.verifies(t)
			i.refuses(t, "create_access_token", map[string]any{"provider": "flinks"}, "invalid_argument")
			for name, bank := range s.banks {
				i.consents(t, name, bank)
			}
			if era == "legacy" { // the era of most hosts; a call takes a second
				i.authorizes(t)
				i.slips(t)
			}
		})
	}
}

// TestInspectorOverHTTP does the same over HTTP. A client that insists on 2026
// has nothing to look for on /sse.
func TestInspectorOverHTTP(t *testing.T) {
	n := findNode(t)
	program := build(t)
	for _, c := range []struct{ transport, path, era string }{
		{"http", "/mcp", "legacy"}, {"http", "/mcp", "auto"}, {"http", "/mcp", "modern"}, {"sse", "/sse", "legacy"}, {"sse", "/sse", "auto"},
	} {
		t.Run(c.transport+" "+c.era, func(t *testing.T) {
			s := simulate(t, program)
			i := inspection{node: n, era: c.era, url: serve(t, program, s.env) + c.path, transport: c.transport}
			i.lists(t)
			if c.transport == "http" {
				i.verifies(t)
			}
			i.refuses(t, "create_access_token", map[string]any{"provider": "flinks"}, "invalid_argument")
			i.consents(t, "fintecture", s.banks["fintecture"])
			if c.era == "modern" {
				i.authorizes(t)
			}
		})
	}
}

// TestInspectorOverCapability has it judge the tools of a capability file that
// is served, and use them.
func TestInspectorOverCapability(t *testing.T) {
	n := findNode(t)
	data, err := os.ReadFile(filepath.Join("..", "..", "capabilities", "open-banking-credentials.naftiko.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	free := regexp.MustCompile(`port: \d+`).ReplaceAllFunc(data, func([]byte) []byte {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return fmt.Appendf(nil, "port: %d", l.Addr().(*net.TCPAddr).Port)
	})
	file := filepath.Join(t.TempDir(), "capability.yaml")
	if err := os.WriteFile(file, free, 0o600); err != nil {
		t.Fatal(err)
	}
	program := build(t)
	url := serve(t, program, simulate(t, program).env, "--capability", file) + "/"
	for _, era := range []string{"legacy", "modern"} {
		i := inspection{node: n, era: era, url: url, transport: "http"}
		got, code, stderr := i.ask(t, "--method", "tools/list", "--strict")
		if code != inspectorOK || len(got.Tools) != 10 {
			t.Errorf("tools/list --strict exits with %d: %v %s", code, got.Tools, stderr)
		}
		token := i.works(t, "fintecture-create-access-token-client-credentials", map[string]any{"scope": "PIS"})
		i.works(t, "fintecture-refresh-token", map[string]any{"token_ref": token["token_ref"]})
		i.refuses(t, "flinks-refresh-token", map[string]any{"token_ref": token["token_ref"]}, "invalid_argument")
	}
}

// lists lets the Inspector judge how portable the schemas are.
func (i inspection) lists(t *testing.T) {
	t.Helper()
	got, code, stderr := i.ask(t, "--method", "tools/list", "--strict")
	if code != inspectorOK {
		t.Errorf("tools/list --strict exits with %d: %s", code, stderr)
	}
	var names []string
	for _, tool := range got.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	if want := []string{"create_access_token", "create_user", "refresh_token"}; !slices.Equal(names, want) {
		t.Errorf("tools are %v, want %v", names, want)
	}
}

// consents uses the code that a person's consent brought, then refreshes.
func (i inspection) consents(t *testing.T, name string, b bank) {
	t.Helper()
	code := i.node.run(t, "code.mjs", name, b.Base, b.ClientID)
	if code.code != 0 {
		t.Fatalf("consenting at %s: %s", name, code.stderr)
	}
	arguments := map[string]any{
		"provider": name, "grant_type": "authorization_code",
		"code": strings.TrimSpace(string(code.stdout)), "redirect_uri": "http://127.0.0.1:1/callback",
	}
	if name == "fintecture" {
		arguments["scope"] = "AIS"
	}
	token := i.works(t, "create_access_token", arguments)
	i.works(t, "refresh_token", map[string]any{"token_ref": token["token_ref"], "force": true})
}

func (i inspection) authorizes(t *testing.T) {
	t.Helper()
	for _, name := range []string{"fintecture", "flinks", "finapi"} {
		arguments := map[string]any{"provider": name, "grant_type": "client_credentials"}
		if name == "fintecture" {
			arguments["scope"] = "PIS"
		}
		first := i.works(t, "create_access_token", arguments)
		again := i.works(t, "create_access_token", arguments)
		if again["reused"] != true || again["token_ref"] != first["token_ref"] {
			t.Errorf("%s: another process got %v after %v", name, again, first)
		}
	}
	user := i.works(t, "create_user", map[string]any{"provider": "finapi"})
	token := i.works(t, "create_access_token", map[string]any{"provider": "finapi", "grant_type": "password", "username": user["id"]})
	i.works(t, "refresh_token", map[string]any{"token_ref": token["token_ref"]})
}

func (i inspection) slips(t *testing.T) {
	t.Helper()
	i.refuses(t, "create_access_token", map[string]any{"provider": "fintecture", "grant_type": "client_credentials", "colour": "red"}, "invalid_argument")
	i.refuses(t, "create_access_token", map[string]any{"provider": "acme", "grant_type": "client_credentials"}, "invalid_argument")
	i.refuses(t, "create_access_token", map[string]any{"provider": "finapi", "grant_type": "implicit"}, "invalid_argument")
	i.refuses(t, "create_access_token", map[string]any{"provider": nil, "grant_type": ""}, "invalid_argument")
	i.refuses(t, "refresh_token", map[string]any{"token_ref": "tok_" + strings.Repeat("a", 32)}, "invalid_argument")
	i.refuses(t, "create_user", map[string]any{"provider": "flinks"}, "unsupported")
	if _, code, _ := i.ask(t, "--method", "tools/call", "--tool-name", "create_wealth", "--tool-args-json", "{}"); code == inspectorOK {
		t.Error("an unknown tool can be called")
	}
}

func (i inspection) works(t *testing.T, tool string, arguments map[string]any) map[string]any {
	t.Helper()
	got, code, stderr := i.call(t, tool, arguments)
	if code != inspectorOK || got.IsError {
		t.Fatalf("%s exits with %d: %v %s", tool, code, got.Content, stderr)
	}
	text := got.text(t)
	if !reflect.DeepEqual(text, got.Structured) {
		t.Errorf("%s: text is %v, structuredContent %v", tool, text, got.Structured)
	}
	return got.Structured
}

func (i inspection) refuses(t *testing.T, tool string, arguments map[string]any, code string) {
	t.Helper()
	got, exit, stderr := i.call(t, tool, arguments)
	if exit != inspectorToolError || !got.IsError {
		t.Errorf("%s exits with %d: %v %s", tool, exit, got.Content, stderr)
		return
	}
	fault, _ := got.text(t)["error"].(map[string]any)
	if hint, _ := fault["hint"].(string); fault["code"] != code || hint == "" {
		t.Errorf("%s: error is %v, want code %s and a hint", tool, fault, code)
	}
}

func (o output) text(t *testing.T) map[string]any {
	t.Helper()
	var object map[string]any
	if len(o.Content) != 1 || json.Unmarshal([]byte(o.Content[0].Text), &object) != nil {
		t.Fatalf("content is %v, want one text that is a JSON object", o.Content)
	}
	return object
}

func (i inspection) call(t *testing.T, tool string, arguments map[string]any) (output, int, []byte) {
	t.Helper()
	text, err := json.Marshal(arguments)
	if err != nil {
		t.Fatal(err)
	}
	return i.ask(t, "--method", "tools/call", "--tool-name", tool, "--tool-args-json", string(text))
}

func (i inspection) ask(t *testing.T, args ...string) (output, int, []byte) {
	t.Helper()
	got := i.run(t, args...)
	var printed struct {
		Result output `json:"result"`
	}
	if len(got.stdout) > 0 {
		if err := json.Unmarshal(got.stdout, &printed); err != nil {
			t.Fatalf("reading %s: %v", got.stdout, err)
		}
	}
	return printed.Result, got.code, got.stderr
}

func (i inspection) run(t *testing.T, args ...string) answer {
	t.Helper()
	line := []string{"--cli", "-q", "--protocol-era", i.era, "--format", "json"}
	if i.url != "" {
		return i.node.run(t, inspector, append(append(line, "--server-url", i.url, "--transport", i.transport), args...)...)
	}
	for name, value := range i.env {
		line = append(line, "-e", name+"="+value)
	}
	return i.node.run(t, inspector, append(append(line, args...), "--", i.program, "stdio")...)
}
