package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/invopop/jsonschema"

	"bankauth/internal/auth"
	"bankauth/internal/fault"
	"bankauth/internal/problem"
	"bankauth/tools"
)

// About says what the interface is.
const About = "The tools of bankauth's MCP server over plain HTTP. Tokens lie in a vault; a caller works with handles (`token_ref`), and reaches those that it made itself."

// object is a JSON object of the description.
type object = map[string]any

// description answers with the OpenAPI document. It is made of the very
// schemas that MCP clients are shown.
type description struct {
	gate         *auth.Gate
	open, closed []byte // without and with a token needed
}

func newDescription(o Options) (*description, error) {
	d := &description{gate: o.Gate}
	var err error
	if d.open, err = describe(o, false); err != nil {
		return nil, err
	}
	d.closed, err = describe(o, true)
	return d, err
}

// ServeHTTP answers with what is true now: whether a token is needed may
// change while the server runs.
func (d *description) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !problem.Takes(w, r, http.MethodGet) {
		return
	}
	text := d.closed
	if d.gate.Open() {
		text = d.open
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(text)
}

func describe(o Options, closed bool) ([]byte, error) {
	schemas := object{"Problem": problemSchema(), "Token": reflect(tools.TokenAbout{}), "TokenList": reflect(tools.TokenList{}), "Revocation": reflect(tools.Revocation{})}
	paths := object{}
	for _, t := range o.Tools.Tools() {
		scope, ok := auth.ScopeOf(t.Name)
		if !ok {
			return nil, fmt.Errorf("the tool %q has no scope", t.Name)
		}
		paths["/v1/"+t.Name] = object{"post": needing(closed, scope, tool(t, o.Tools.Example(t.Name)))}
	}
	paths["/v1/tokens"] = object{"get": needing(closed, auth.TokensUse, listOperation())}
	paths["/v1/tokens/{ref}"] = object{
		"parameters": []any{object{"name": "ref", "in": "path", "required": true, "description": "The token_ref.", "schema": object{"type": "string"}}},
		"get":        needing(closed, auth.TokensUse, tokenOperation()),
		"delete":     needing(closed, auth.TokensCreate, revokeOperation()),
	}
	return json.Marshal(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "bankauth", "version": o.Version, "summary": "Open-banking credentials for programs",
			"description": About,
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"}, "contact": object{"name": "the operator of this server"},
		},
		"servers": []any{object{"url": "/", "description": "This server"}},
		"tags": []any{
			object{"name": "tools", "description": "What agents call; the arguments are those of the MCP tools."},
			object{"name": "tokens", "description": "The caller's own tokens. Another's is answered as an unknown one."},
		},
		"paths": paths,
		"components": object{
			"schemas": schemas,
			"responses": object{
				"Problem": object{"description": "It did not work; `code` says why and `hint` what to do.",
					"headers": object{"Retry-After": header("Seconds after which to call again.", "integer"), problem.HeaderCorrelation: header("The correlation_id of the body.", "string")}, "content": problemContent()},
				"Refused": object{"description": "The caller is not known, or lacks a scope.",
					"headers": object{"WWW-Authenticate": header("Which token is needed and where to get it (RFC 6750, RFC 9728).", "string")}, "content": problemContent()},
			},
			"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer",
				"description": "A token that the operator made with `bankauth clients add`, or a JWT of the server's issuer. A server on loopback without clients and issuer needs none."}},
		},
	})
}

// needing adds to an operation which scope it needs. Where no token is needed,
// it needs none.
func needing(closed bool, scope string, operation object) object {
	operation["security"] = []any{}
	if closed {
		operation["security"] = []any{object{"bearer": []any{}}} // the scope's place would be here, and linters refuse it
		operation["description"] = fmt.Sprintf("%s\n\nNeeds the scope `%s`.", operation["description"], scope)
	}
	return operation
}

func tool(t tools.Tool, example object) object {
	return object{
		"operationId": t.Name, "tags": []any{"tools"}, "summary": t.Title, "description": t.Description,
		"parameters": []any{object{
			"name": "Idempotency-Key", "in": "header", "required": false, "schema": object{"type": "string", "minLength": 1, "maxLength": mostKey},
			"description": "The same key with the same body gives the same answer for 24 hours; with another body it is refused (422).",
		}},
		"requestBody": object{"required": true, "content": object{"application/json": object{"schema": json.RawMessage(t.Input), "example": example}}},
		"responses": responses(object{"description": "It worked.", "headers": object{
			"Idempotency-Replayed": header("true where this is the answer of an earlier request.", "string")}, "content": jsonContent(json.RawMessage(t.Output))},
			append(problem.Statuses(), http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)...),
	}
}

func listOperation() object {
	return object{
		"operationId": "listTokens", "tags": []any{"tokens"}, "summary": "List tokens", "description": "The caller's tokens, oldest first; no secret.",
		"parameters": []any{
			object{"name": "limit", "in": "query", "description": "How many at most.", "schema": object{"type": "integer", "minimum": 1, "maximum": mostLimit, "default": defaultLimit}},
			object{"name": "after", "in": "query", "description": "Those that follow: the `next` of the page before, or a token_ref.", "schema": object{"type": "string"}},
		},
		"responses": responses(object{"description": "A page of tokens.", "content": jsonContent(reference("schemas", "TokenList"))},
			http.StatusBadRequest, http.StatusConflict, http.StatusInternalServerError, http.StatusServiceUnavailable),
	}
}

func tokenOperation() object {
	return object{
		"operationId": "showToken", "tags": []any{"tokens"}, "summary": "Show a token", "description": "What is known of one token; no secret.",
		"responses": responses(object{"description": "The token.", "content": jsonContent(reference("schemas", "Token"))},
			http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusInternalServerError, http.StatusServiceUnavailable),
	}
}

func revokeOperation() object {
	return object{
		"operationId": "revokeToken", "tags": []any{"tokens"}, "summary": "Revoke a token",
		"description": "Ends the token at its provider, where that has a way, and then erases it from the vault. Where the provider does not say that it has ended it, nothing is erased.",
		"parameters":  []any{object{"name": "force", "in": "query", "description": "Erase it here whatever the provider says.", "schema": object{"type": "boolean", "default": false}}},
		"responses": responses(object{"description": "What became of it.", "content": jsonContent(reference("schemas", "Revocation"))},
			append(problem.Statuses(), http.StatusNotFound)...),
	}
}

// responses are the good one, the gate's, and the problems with the statuses.
func responses(good object, statuses ...int) object {
	all := object{"200": good, "401": reference("responses", "Refused"), "403": reference("responses", "Refused")}
	for _, s := range statuses {
		all[strconv.Itoa(s)] = reference("responses", "Problem")
	}
	return all
}

func reference(kind, name string) object {
	return object{"$ref": "#/components/" + kind + "/" + name}
}

func header(about, kind string) object {
	return object{"description": about, "schema": object{"type": kind}}
}

func jsonContent(schema any) object { return object{"application/json": object{"schema": schema}} }

func problemContent() object {
	return object{problem.ContentType: object{"schema": reference("schemas", "Problem")}}
}

// problemSchema is reflected, with the closed list of codes.
func problemSchema() *jsonschema.Schema {
	s := reflect(problem.Problem{})
	code, _ := s.Properties.Get("code")
	for _, c := range fault.Codes() {
		code.Enum = append(code.Enum, string(c))
	}
	code.Description = "From a closed list; say what to do by it."
	for name, about := range map[string]string{
		"type": "Where the code is explained.", "detail": "What happened, for people.", "hint": "The next step.", "retryable": "The same request may work later.",
		"consent_url": "The page that the person opens in a browser.", "consent_ref": "Send the same request with this argument; it waits for the person.",
		"correlation_id": "What the server's log calls this request.", "example": "A body that works.",
	} {
		p, _ := s.Properties.Get(name)
		p.Description = about
	}
	return s
}

// reflect returns the schema of a Go type, without references.
func reflect(v any) *jsonschema.Schema {
	r := jsonschema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true}
	s := r.Reflect(v)
	s.Version = ""
	return s
}
