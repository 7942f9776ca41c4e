package hosts_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bankauth/internal/config"
	"bankauth/internal/hosts"
)

var shipped = []string{"fintecture", "flinks", "finapi"}

// The repository's own mcp.json must start in a fresh clone, with a host that
// fills in variables and with one that does not, and must name only settings.
func TestRepositoryFile(t *testing.T) {
	body, err := os.ReadFile(filepath.Join("..", "..", "mcp.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ McpServers map[string]json.RawMessage }
	if err := json.Unmarshal(body, &file); err != nil || len(file.McpServers) != 1 {
		t.Fatalf("%v: one server is wanted, got %d", err, len(file.McpServers))
	}
	got := parse(t, body)
	if start := got.Command + " " + strings.Join(got.Args, " "); start != "go run ./cmd/server stdio --simulate" {
		t.Errorf("it starts %q", start)
	}
	var literal, filled []string
	for name, value := range got.Env {
		if !slices.Contains(config.Variables(shipped), name) {
			t.Errorf("%s is no setting", name)
		}
		fallback, ok := strings.CutPrefix(value, "${"+name+":-")
		if !ok || !strings.HasSuffix(value, "}") || !config.IsPlaceholder(value) {
			t.Errorf("%s is %q, want a reference to itself", name, value)
		}
		literal = append(literal, name+"="+value)
		filled = append(filled, name+"="+strings.TrimSuffix(fallback, "}"))
	}
	for variable := range parse(t, block(t, "claude-code", hosts.Options{Command: "/bankauth", Providers: bundled()}).Body).Env {
		if _, ok := got.Env[variable]; !ok {
			t.Errorf("%s has no place", variable)
		}
	}
	for _, provider := range shipped {
		for _, environ := range [][]string{literal, filled} {
			p, err := config.Read(environ, "linux").Provider(provider)
			if err != nil || len(p.Missing) != 2 || p.Environment != config.Sandbox {
				t.Errorf("%s: got %+v, %v; want nothing set", provider, p, err)
			}
		}
	}
}
