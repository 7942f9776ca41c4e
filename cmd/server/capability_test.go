package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bankauth/internal/capability"
	"bankauth/internal/config"
	"bankauth/schema"
	"bankauth/tools"
)

// TestCapabilitySaysWhatTheToolsSay holds the capability file against the tools
// that a server over it would serve: the same title, the same hints, and no
// input that the tool does not take.
func TestCapabilitySaysWhatTheToolsSay(t *testing.T) {
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join("..", "..", "capabilities", capability.Combined+".ikanos.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := capability.Read(data, all)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newService(t.Context(), &process{}, config.Settings{Expose: config.ExposeHandle, LogLevel: "warn", LogFormat: "auto"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	i := slices.IndexFunc(d.Adapters, func(a capability.Adapter) bool { return a.Kind == "mcp" })
	served := map[string]bool{}
	for _, ours := range d.Adapters[i].Tools {
		j := slices.IndexFunc(s.tools.Tools(), func(tool tools.Tool) bool { return tool.Name == ours.Tool })
		if j < 0 {
			t.Fatalf("%s is said to be %s, which is no tool", ours.Name, ours.Tool)
		}
		tool := s.tools.Tools()[j]
		served[tool.Name] = true
		if !strings.Contains(ours.Title, tool.Title) {
			t.Errorf("%s: title %q, and the tool has %q", ours.Name, ours.Title, tool.Title)
		}
		h := ours.Hints
		if *h.ReadOnly != tool.ReadOnly || *h.Destructive != tool.Destructive || *h.Idempotent != tool.Idempotent || !*h.OpenWorld {
			t.Errorf("%s: its hints are not the tool's", ours.Name)
		}
		var input struct {
			Properties map[string]struct{ Type string }
		}
		if err := json.Unmarshal(tool.Input, &input); err != nil {
			t.Fatal(err)
		}
		for _, in := range ours.Inputs {
			if _, has := input.Properties[in.Name]; !has {
				t.Errorf("%s has an input %s, and %s has no such argument", ours.Name, in.Name, tool.Name)
			}
		}
	}
	if len(served) != len(s.tools.Tools()) {
		t.Errorf("the file exposes %v; there are %d tools", served, len(s.tools.Tools()))
	}
}
