package providers

import (
	"testing"

	"bankauth/schema"
)

// bundled returns a fresh copy of a provider as its real documents compile.
func bundled(t testing.TB, name string) *schema.Provider {
	t.Helper()
	all, err := schema.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("%s is not bundled", name)
	return nil
}
