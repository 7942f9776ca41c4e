package schema_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"bankauth/openapi"
	"bankauth/schema"
)

var update = flag.Bool("update", false, "rewrite the generated and golden files")

// TestCompiledIsFresh holds openapi/compiled.json against the documents it is
// made from; -update (go generate ./openapi) rewrites it.
func TestCompiledIsFresh(t *testing.T) {
	providers, err := schema.CompileBundled()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(providers); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("../openapi/compiled.json", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(b.Bytes(), openapi.Compiled) {
		t.Error("openapi/compiled.json is stale: run go generate ./openapi and review the difference")
	}
}
