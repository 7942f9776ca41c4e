package schema_test

import (
	"flag"
	"go/format"
	"os"
	"testing"

	"bankauth/schema"
)

var update = flag.Bool("update", false, "rewrite the generated and golden files")

// TestCompiledIsFresh holds compiled.go against the documents it is made from;
// -update (go generate ./schema) rewrites it.
func TestCompiledIsFresh(t *testing.T) {
	providers, err := schema.CompileBundled()
	if err != nil {
		t.Fatal(err)
	}
	want, err := format.Source([]byte(source(providers)))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("compiled.go", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile("compiled.go")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(want) {
		t.Error("schema/compiled.go is stale: run go generate ./schema and review the difference")
	}
}
