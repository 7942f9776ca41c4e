package providers

import "bankauth/internal/secret"

// reveal opens a secret on its way into a request. It is the package's only
// way to a secret's text, so that a reader finds every place in one search.
func reveal(v secret.Value) string { return v.Reveal() }

// printable reports whether v holds no control character.
func printable(v secret.Value) bool {
	s := v.Reveal()
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
