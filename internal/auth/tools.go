package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"bankauth/internal/fault"
	"bankauth/internal/problem"
	"bankauth/schema"
)

// ScopeOf returns the scope that a call of the tool needs; ok is false where
// there is no such tool.
func ScopeOf(tool string) (scope string, ok bool) {
	switch tool {
	case schema.CreateAccessToken:
		return TokensCreate, true
	case schema.RefreshToken:
		return TokensRefresh, true
	case schema.CreateUser:
		return UsersCreate, true
	}
	return "", false
}

// Tools stands between Handler and an MCP endpoint: a tools/call whose tool
// needs a scope that the caller lacks is answered with 403, from which an MCP
// client learns which token to get. The body must be bounded already.
//
// The message is read as mcp-go reads it, letter case and doubled names
// included, so that both see the same tool.
func (g *Gate) Tools(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			tooLarge(w, err)
			return
		}
		var message struct {
			Method string `json:"method"`
			Params struct {
				Name string `json:"name"`
			} `json:"params"`
		}
		// A mistake elsewhere in the message must not hide the tool's name, so
		// what could be decoded counts.
		_ = json.NewDecoder(bytes.NewReader(body)).Decode(&message)
		if message.Method == "tools/call" {
			if scope, ok := ScopeOf(message.Params.Name); ok && !g.Require(w, r, scope) {
				return
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func tooLarge(w http.ResponseWriter, err error) {
	status, what := http.StatusBadRequest, "the request's body ended early"
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		status, what = http.StatusRequestEntityTooLarge, "the request's body is too large"
	}
	problem.Of(fault.New(fault.InvalidArgument, what, "send one JSON message"), "").With(status).Write(w)
}
