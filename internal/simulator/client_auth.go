package simulator

import (
	"net/url"

	"bankauth/internal/secret"
)

// authentic reports whether a request proves to be from the bank's client, by
// the ways that accept names: basic, body or both.
func (b *Bank) authentic(q *request, params map[string]string, accept string) bool {
	if id, text, ok := q.BasicAuth(); ok {
		if accept == "body" {
			return false
		}
		// RFC 6749 §2.3.1 has both encoded first; Fintecture's pages do not.
		return b.client.matches(id, text) || b.client.matches(unescaped(id), unescaped(text))
	}
	if accept == "basic" {
		return false
	}
	return b.client.matches(params["client_id"], params["client_secret"])
}

func (c Credentials) matches(id, text string) bool {
	return id == c.ID && c.Secret.Equal(secret.New(text))
}

func unescaped(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}
