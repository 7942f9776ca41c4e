package typo_test

import (
	"testing"

	"bankauth/internal/typo"
)

func TestNearest(t *testing.T) {
	words := []string{"scope", "code", "redirect_uri"}
	for _, c := range []struct {
		given string
		most  int
		want  string
	}{
		{"scopes", 2, "scope"},
		{"SCOPE", 2, "scope"},
		{"cope", 2, "scope"}, // one edit; "code" takes two
		{"redirecturi", 2, "redirect_uri"},
		{"redirect", 2, ""},
		{"redirect", 4, "redirect_uri"},
		{"scopes", 0, ""},
		{"code", 0, "code"},
		{"", 2, ""},
	} {
		if got := typo.Nearest(c.given, words, c.most); got != c.want {
			t.Errorf("%q with %d edits: %q, want %q", c.given, c.most, got, c.want)
		}
	}
}
