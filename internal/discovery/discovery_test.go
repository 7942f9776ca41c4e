package discovery

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"bankauth/internal/problem"
	"bankauth/internal/skill"
)

// TestCardFitsItsSchema holds the card against the schema of
// modelcontextprotocol/experimental-ext-server-card (Apache-2.0), as it is
// served.
func TestCardFitsItsSchema(t *testing.T) {
	s, err := skill.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	routes, err := Site{Base: "https://bank.example", Name: "n", Description: strings.Repeat("d", 100), Version: "1.2.3", Registry: "io.github.a/b",
		Repository: "https://github.com/a/b", Revisions: []string{"2026-07-28"}, Legacy: []string{"2024-11-05"}, Skill: s}.Routes()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	routes[cardPath].ServeHTTP(w, httptest.NewRequest("GET", cardPath, nil))
	f, err := os.Open("testdata/server-card.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	schema, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("card.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("card.json#/$defs/ServerCard")
	if err != nil {
		t.Fatal(err)
	}
	card, err := jsonschema.UnmarshalJSON(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := compiled.Validate(card); err != nil {
		t.Error(err)
	}
	delete(card.(map[string]any), "version")
	if compiled.Validate(card) == nil {
		t.Error("a card without a version fits too")
	}
	w = httptest.NewRecorder()
	if routes[cardPath].ServeHTTP(w, httptest.NewRequest("POST", cardPath, nil)); w.Code != 405 || w.Header().Get("Content-Type") != problem.ContentType {
		t.Errorf("POST is answered with %d", w.Code)
	}
}
