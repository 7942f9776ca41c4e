package auth

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"bankauth/internal/problem"
)

// MetadataPath is where RFC 9728 has a protected resource's metadata. A
// resource with a path has it after that: …/oauth-protected-resource/mcp.
const MetadataPath = "/.well-known/oauth-protected-resource"

// Resources are the paths of the resources that have metadata: the server as a
// whole, and the MCP endpoints, which clients know by their own URL.
func Resources() []string { return []string{"", "/mcp", "/sse"} }

// Audiences returns what the aud of a token may be when the operator names
// none: the server's public URL, and those of its MCP endpoints. Without a
// public URL there are none, and no JWT is admitted.
func Audiences(publicURL string) []string {
	if publicURL == "" {
		return nil
	}
	all := []string{publicURL + "/"}
	for _, path := range Resources() {
		all = append(all, publicURL+path)
	}
	return all
}

// metadata is the document of RFC 9728 §2.
type metadata struct {
	Resource      string   `json:"resource"`
	Servers       []string `json:"authorization_servers"`
	Scopes        []string `json:"scopes_supported"`
	Methods       []string `json:"bearer_methods_supported"`
	Name          string   `json:"resource_name"`
	Documentation string   `json:"resource_documentation"`
}

// Metadata answers with the metadata of RFC 9728, at MetadataPath and below.
// It needs no caller. Without an issuer there is none: a client has nowhere to
// go for a token.
func (g *Gate) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, MetadataPath), "/")
		switch {
		case g.o.Issuer == nil || !slices.Contains(Resources(), path):
			problem.Refuse(w, http.StatusNotFound, "there is no metadata of this path", "a server with an issuer has that of itself, of /mcp and of /sse, below "+MetadataPath)
			return
		case !problem.Takes(w, r, http.MethodGet):
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=300")
		_ = json.NewEncoder(w).Encode(metadata{
			Resource: g.o.PublicURL + path, Servers: []string{g.o.Issuer.URL()}, Scopes: Scopes(), Methods: []string{"header"},
			Name: "bankauth", Documentation: g.o.PublicURL + "/docs/",
		})
	})
}

// challenge is the WWW-Authenticate of a 401 (RFC 6750 §3, RFC 9728 §5.1).
func (g *Gate) challenge(r *http.Request, why *refusal) string {
	c := []string{`realm="bankauth"`}
	if why.text != "" {
		c = append(c, `error="invalid_token"`, `error_description="`+why.text+`"`)
	}
	return g.write(r, append(c, `scope="`+strings.Join(Scopes(), " ")+`"`))
}

// insufficient is the WWW-Authenticate of a 403. Its scope is all that the
// caller has and the one it lacks, so that the next token is not a poorer one.
func (g *Gate) insufficient(r *http.Request, caller Caller, scope string) string {
	want := slices.DeleteFunc(Scopes(), func(s string) bool { return s != scope && !caller.May(s) })
	return g.write(r, []string{`realm="bankauth"`, `error="insufficient_scope"`, `error_description="the caller lacks the scope ` + scope + `"`,
		`scope="` + strings.Join(want, " ") + `"`})
}

// write adds where the metadata of the resource is that r asked for.
func (g *Gate) write(r *http.Request, parameters []string) string {
	if g.o.Issuer != nil {
		path := ""
		if slices.Contains(Resources(), r.URL.Path) {
			path = r.URL.Path
		}
		parameters = append(parameters, `resource_metadata="`+g.o.PublicURL+MetadataPath+path+`"`)
	}
	return "Bearer " + strings.Join(parameters, ", ")
}
