package tools_test

import (
	"go/format"
	"os"
	"testing"

	"bankauth/tools"
)

// TestCompiledIsFresh holds compiled.go against what it is made from;
// -update (go generate ./tools) rewrites it.
func TestCompiledIsFresh(t *testing.T) {
	described, err := open(t).Describe()
	if err != nil {
		t.Fatal(err)
	}
	want, err := format.Source([]byte(tools.Source(described)))
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
		t.Error("tools/compiled.go is stale: run go generate ./schema ./tools and review the difference")
	}
}
