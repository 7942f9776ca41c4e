package schema_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"bankauth/schema"
)

// FuzzCompile: whatever two files say, what comes back within a second is a
// provider or mistakes that name one of them; never a panic.
func FuzzCompile(f *testing.F) {
	b := base(f)
	f.Add(b.text[b.document], b.text[b.overlay])
	for _, cut := range []int{100, 700, 1500} {
		f.Add(b.text[b.document][:cut], b.text[b.overlay])
		f.Add(b.text[b.document], b.text[b.overlay][:cut])
	}
	for _, old := range []string{"object", "string", "post:", "'200'", "properties", "{", "schema:", "enum"} {
		for _, changed := range []string{"", "[]", "null", "{a: b}", "-1", "*x", "&x", "\n- ", "true"} {
			f.Add(strings.ReplaceAll(b.text[b.document], old, changed), b.text[b.overlay])
		}
	}
	for _, old := range []string{"$", "paths", "update", "serves", "[*]", "{", "/", "'"} {
		for _, changed := range []string{"", "[]", "..", "*", "?(@.x)", "\n- "} {
			f.Add(b.text[b.document], strings.ReplaceAll(b.text[b.overlay], old, changed))
		}
	}
	f.Fuzz(func(t *testing.T, document, overlay string) {
		start := time.Now()
		p, err := schema.Compile("d.yaml", []byte(document), "o.yaml", []byte(overlay))
		if took := time.Since(start); took > time.Second {
			t.Errorf("compiling took %v", took)
		}
		if err == nil {
			// What compiles can be published and called.
			if _, err := schema.Publish(schema.CreateAccessToken, []*schema.Provider{p}, true); err != nil {
				t.Errorf("publishing: %v", err)
			}
			return
		}
		var m *schema.Mistake
		if p != nil || !errors.As(err, &m) || (m.File != "d.yaml" && m.File != "o.yaml") || m.Text == "" {
			t.Errorf("%v beside %v", p, err)
		}
		for _, line := range strings.Split(err.Error(), "\n") {
			if strings.Contains(line, "runtime error") || strings.Contains(line, ".go:") {
				t.Errorf("a mistake in words that are not ours: %s", line)
			}
		}
	})
}
