package providers

import (
	"encoding/base64"
	"strings"
)

// visible reports whether s is a token as RFC 6749 appendix A.12 has it, and
// may thus stand in a header: visible ASCII and spaces there, here without
// the spaces, which no bearer token has (RFC 6750 §2.1).
func visible(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isScope checks RFC 6749 appendix A.4: scope-token *( SP scope-token ). What
// mark-up is made of is refused too: a scope is shown to a model.
func isScope(s string) bool {
	if s == "" || len(s) > maxScope || s[0] == ' ' || s[len(s)-1] == ' ' || strings.Contains(s, "  ") {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || strings.IndexByte("\"\\<>[](){}!`", s[i]) >= 0 {
			return false
		}
	}
	return true
}

// isName reports whether s may be an identifier: short, and nothing in it
// that could be read as a sentence or a mark-up.
func isName(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~@+:|", c) >= 0) {
			return false
		}
	}
	return true
}

// tokenType returns a type-name of RFC 6749 appendix A.13. All ways of
// writing bearer are "Bearer", and so is a type that is not given: every
// provider that names none means it.
func tokenType(value []byte) string {
	s, ok := text(value)
	if !ok || strings.EqualFold(s, "bearer") || !isName(s, 32) {
		return "Bearer"
	}
	return s
}

// subject returns the sub of a JWT's payload, or "". The signature is not
// looked at: the token came over TLS from the one who signed it, and the
// subject is shown, not trusted.
func subject(jwt string) string {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return ""
	}
	d := parse(payload)
	value, ambiguous := d.find([]string{"sub"})
	s, ok := text(value)
	if !d.whole || ambiguous || !ok || !isName(s, maxSubject) {
		return ""
	}
	return s
}
